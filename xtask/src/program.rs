//! The SDK's two programs as another process sees them: JSON out, an exit code, a server that prints where it listens.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::cache::repository;
use crate::error::{Error, Result};
use crate::terminal;

/// The built programs.
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds both programs, unless `SNAPTRAK_BINARIES` names a folder that holds them.
    pub(crate) fn build() -> Result<Self> {
        if let Some(folder) = std::env::var_os("SNAPTRAK_BINARIES") {
            // Relative names are meant from the root of the repository, wherever the command was started.
            return Ok(Self { folder: repository().join(folder) });
        }
        terminal::progress("building snaptrak and snaptrak-server (the first time takes some minutes)");
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--locked", "--package", "snaptrak-cli", "--package", "snaptrak-server"]);
        cargo.env("CARGO_INCREMENTAL", "0").current_dir(repository());
        let status = cargo.status().map_err(|source| Error::Start { program: "cargo".to_owned(), source })?;
        if !status.success() {
            return Err(Error::Failed { program: "cargo build".to_owned(), status: status.to_string(), said: String::new() });
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        Ok(Self { folder: target.join("debug") })
    }

    /// Path of the command line.
    pub(crate) fn snaptrak(&self) -> PathBuf {
        self.folder.join(format!("snaptrak{}", std::env::consts::EXE_SUFFIX))
    }

    /// Path of the reference API.
    pub(crate) fn server(&self) -> PathBuf {
        self.folder.join(format!("snaptrak-server{}", std::env::consts::EXE_SUFFIX))
    }
}

/// The command line on one store.
pub(crate) struct Client<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) store: PathBuf,
    pub(crate) passphrase_file: PathBuf,
    pub(crate) models: PathBuf,
    pub(crate) runtime_library: PathBuf,
}

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) json: Value,
}

impl Client<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.programs.snaptrak());
        command.arg("--json").arg("--store").arg(&self.store);
        command.arg("--passphrase-file").arg(&self.passphrase_file);
        command.env("SNAPTRAK_MODELS", &self.models).env("SNAPTRAK_ONNXRUNTIME", &self.runtime_library);
        command
    }

    /// Runs a command to its end, whatever its exit code.
    pub(crate) fn ask<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Answer> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let start = |source| Error::Start { program: "snaptrak".to_owned(), source };
        let output = command.output().map_err(start)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let json = serde_json::from_str(text.trim()).map_err(|_| Error::Failed {
            program: "snaptrak".to_owned(),
            status: output.status.to_string(),
            said: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        })?;
        Ok(Answer { code: output.status.code().unwrap_or(-1), json })
    }

    /// Runs a command that must end well.
    pub(crate) fn tell<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Value> {
        let answer = self.ask(arguments)?;
        if answer.code == 0 {
            return Ok(answer.json);
        }
        let words = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
        Err(Error::Failed { program: format!("snaptrak {words}"), status: answer.code.to_string(), said: answer.json.to_string() })
    }
}

/// A running reference API; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
}

impl Server {
    /// Starts it and waits for its first line.
    pub(crate) fn start(programs: &Programs, data: &Path, listen: &str, log: &Path) -> Result<Self> {
        let start = |source| Error::Start { program: "snaptrak-server".to_owned(), source };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(start)?;
        let mut command = Command::new(programs.server());
        command.arg("serve").arg("--data").arg(data).args(["--listen", listen]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().map_err(start)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(start)?;
        }
        let first: Value = serde_json::from_str(line.trim()).unwrap_or(Value::Null);
        match first["listening"].as_str() {
            Some(url) => Ok(Self { url: url.to_owned(), child }),
            None => {
                let _ = child.kill();
                let status = child.wait().map_err(start)?.to_string();
                Err(Error::Failed { program: "snaptrak-server serve".to_owned(), status, said: line })
            }
        }
    }

    /// The address without its scheme, to start again at the same place.
    pub(crate) fn address(&self) -> &str {
        self.url.split("//").nth(1).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL: a server that needs a goodbye to keep what it signed for would be no server for evidence.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
