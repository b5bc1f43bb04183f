//! The other side: a Python process with the same library, which waits for a line and answers one.

use std::{
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const SCRIPT: &str = include_str!("peer.py");

/// What `cargo xtask` has fetched.
pub(super) struct Place {
    pub(super) cache: PathBuf,
}

impl Place {
    pub(super) fn models(&self) -> PathBuf {
        self.cache.join("models")
    }

    /// The newest that there is.
    pub(super) fn onnxruntime(&self) -> Result<PathBuf, Box<dyn Error>> {
        let files = std::fs::read_dir(self.cache.join("runtime"))?.collect::<Result<Vec<_>, _>>()?;
        let found = files
            .iter()
            .map(std::fs::DirEntry::path)
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime")));
        Ok(found.max().ok_or("there is no ONNX Runtime: run `cargo xtask models` first")?)
    }

    pub(super) fn litert(&self) -> PathBuf {
        self.cache.join("runtime/litert/libLiteRt.so")
    }

    /// Python with both libraries' own packages.
    pub(super) fn python(&self) -> Command {
        let mut python = Command::new(self.cache.join("tools/bin/python"));
        python.args(["-c", SCRIPT]);
        python
    }
}

/// A peer with a loaded model.
pub(super) struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Loads the model and leaves what it answers to `input` in `output`, both as little-endian floats.
    pub(super) fn start(
        place: &Place,
        engine: &str,
        model: &Path,
        threads: usize,
        (input, output): (&Path, &Path),
    ) -> Result<Self, Box<dyn Error>> {
        let mut python = place.python();
        python.args(["run", engine]).arg(model).arg(threads.to_string()).args([input, output]);
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let (questions, answers) = questions.zip(answers).ok_or("the peer has no pipes")?;
        let mut peer = Self { child, questions, answers: BufReader::new(answers) };
        peer.answer()?;
        Ok(peer)
    }

    /// Seconds of so many runs.
    pub(super) fn seconds(&mut self, runs: usize) -> Result<f64, Box<dyn Error>> {
        writeln!(self.questions, "{runs}")?;
        self.questions.flush()?;
        Ok(self.answer()?.trim().parse()?)
    }

    fn answer(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        // What a library prints there is no answer.
        while !line.starts_with("= ") {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                return Err("the peer ended".into());
            }
        }
        Ok(line.split_off(2))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to be done about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
