//! One command that works on the store, with its answers read as they come: what a trial interrupts.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use snaptrak_driver::Client;

use super::evidence::Sources;
use super::ground::Chance;
use crate::error::{Error, Result};

/// One write into a recording: some frames' worth.
const RECORD_CHUNK_BYTES: u64 = 256 * 1024;

/// A bounded purge stops when so many bytes are free at most: a few captures.
const PURGE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A command of the device.
#[derive(Debug)]
pub(super) enum Job {
    /// `capture --jsonl`.
    Capture(Vec<PathBuf>),
    /// `note`.
    Note(String),
    /// `record` of so many bytes that begin with these.
    Record { head: String, bytes: u64 },
    /// `analyse`.
    Analyse,
    /// `sync`.
    Sync,
    /// `rotate-keys`.
    RotateKeys,
    /// `purge`, of all that may go or until so many bytes are free.
    Purge { to_free_bytes: Option<u64> },
}

impl Job {
    /// What a device does, drawn by chance.
    pub(super) fn draw(chance: &mut Chance, sources: &mut Sources, record_bytes_max: u64) -> Result<Self> {
        Ok(match chance.below(12) {
            0..4 => Self::Capture(sources.choose(chance)?),
            4 => Self::Note(format!("a note with the number {}", chance.next())),
            5 => {
                let head = format!("a recording with the number {} ", chance.next());
                Self::Record { head, bytes: chance.below(record_bytes_max).max(1) }
            }
            6 => Self::Analyse,
            7 => Self::RotateKeys,
            8 => Self::purge(chance),
            _ => Self::Sync,
        })
    }

    /// Every second one stops early, so that what is here and what is not lie side by side.
    pub(super) fn purge(chance: &mut Chance) -> Self {
        let is_bounded = chance.below(2) == 0;
        Self::Purge { to_free_bytes: is_bounded.then(|| 1 + chance.below(PURGE_BYTES_MAX)) }
    }

    /// What has to be done for this to have anything to do: only what the server has signed for can go.
    pub(super) fn before(&self) -> Option<Self> {
        matches!(self, Self::Purge { .. }).then_some(Self::Sync)
    }

    /// A note or a file, for a trial that wants something acknowledged before it goes on.
    pub(super) fn fresh(chance: &mut Chance, sources: &mut Sources) -> Result<Self> {
        Ok(match chance.below(3) {
            0 => Self::Note(format!("a fresh note with the number {}", chance.next())),
            _ => Self::Capture(vec![sources.one(chance)?]),
        })
    }

    /// The command's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Capture(_) => "capture",
            Self::Note(_) => "note",
            Self::Record { .. } => "record",
            Self::Analyse => "analyse",
            Self::Sync => "sync",
            Self::RotateKeys => "rotate-keys",
            Self::Purge { .. } => "purge",
        }
    }

    fn arguments(&self) -> Vec<OsString> {
        let name = OsString::from(self.name());
        match self {
            Self::Capture(files) => {
                [name, "--jsonl".into()].into_iter().chain(files.iter().map(|file| file.clone().into())).collect()
            }
            Self::Note(text) => vec![name, text.into()],
            Self::Record { .. } => vec![name, "--kind".into(), "audio".into(), "--jsonl".into()],
            Self::Purge { to_free_bytes: Some(bytes) } => vec![name, "--to-free".into(), bytes.to_string().into()],
            Self::Analyse | Self::Sync | Self::RotateKeys | Self::Purge { to_free_bytes: None } => vec![name],
        }
    }

    /// Starts it.
    pub(super) fn start(&self, client: &Client) -> Result<Running> {
        let mut command = client.command(&self.arguments());
        if let Self::Record { .. } = self {
            command.stdin(Stdio::piped());
        }
        let failed = |source| Error::Start { program: format!("snaptrak {}", self.name()), source };
        let mut child = command.spawn().map_err(failed)?;
        if let (Self::Record { head, bytes }, Some(stdin)) = (self, child.stdin.take()) {
            let (head, bytes) = (head.clone(), *bytes);
            // Ends with the process, whose end of the pipe goes.
            std::thread::spawn(move || feed(stdin, &head, bytes));
        }
        Ok(Running::of(self.name(), child))
    }
}

fn feed(mut stdin: impl Write, head: &str, bytes: u64) {
    let mut chunk = head.as_bytes().to_vec();
    let mut left = bytes;
    while left > 0 {
        chunk.resize(left.min(RECORD_CHUNK_BYTES) as usize, b'.');
        if stdin.write_all(&chunk).is_err() {
            return;
        }
        left -= chunk.len() as u64;
        chunk.clear();
    }
}

/// A command that runs.
pub(super) struct Running {
    name: &'static str,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    words: Option<JoinHandle<String>>,
}

/// A command that has ended.
pub(super) struct Ended {
    /// Exit code; `None` for a signal.
    pub(super) code: Option<i32>,
    /// Standard output.
    pub(super) lines: Vec<String>,
    /// Standard error, and the signal that ended it.
    pub(super) words: String,
}

impl Running {
    /// Reads the answers of a process that was started.
    pub(super) fn of(name: &'static str, mut child: Child) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stdout.take().map(|stdout| {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        let words = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut words = Vec::new();
                let _ = stderr.read_to_end(&mut words);
                String::from_utf8_lossy(&words).into_owned()
            })
        });
        Self { name, child, lines, reader, words }
    }

    /// Kills it with SIGKILL; whether it was still running.
    pub(super) fn kill(&mut self) -> Result<bool> {
        let was_running = !self.has_ended()?;
        let failed = |source| Error::Start { program: format!("snaptrak {}", self.name), source };
        self.child.kill().map_err(failed)?;
        Ok(was_running)
    }

    /// What it has printed until now.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        let failed = |source| Error::Start { program: format!("snaptrak {}", self.name), source };
        Ok(self.child.try_wait().map_err(failed)?.is_some())
    }

    /// Waits for its end. Pipes outlive the process: what was printed before a kill is read after it.
    pub(super) fn end(mut self) -> Result<Ended> {
        let failed = |source| Error::Start { program: format!("snaptrak {}", self.name), source };
        let status = self.child.wait().map_err(failed)?;
        let code = status.code();
        let _ = self.reader.take().map(JoinHandle::join);
        let mut words = self.words.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if code.is_none() {
            words.push_str(&status.to_string());
        }
        Ok(Ended { code, lines: self.lines(), words })
    }
}

#[expect(clippy::disallowed_methods, reason = "the moment of the failure is what the trials are about")]
pub(super) fn wait(duration: Duration) {
    std::thread::sleep(duration);
}
