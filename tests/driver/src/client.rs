//! The command line on one store.

use crate::{DriverError, Programs};
use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The command line on one store, with its passphrase in a file beside it.
#[derive(Debug, Clone)]
pub struct Client {
    programs: Programs,
    /// Folder of the store.
    pub store: PathBuf,
    passphrase_file: PathBuf,
    environment: Vec<(String, OsString)>,
    launcher: Vec<OsString>,
}

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub json: Value,
    /// Standard error.
    pub words: String,
}

impl Client {
    /// A client on `folder/store`; the passphrase is written to `folder/passphrase`.
    pub fn new(programs: &Programs, folder: &Path) -> std::io::Result<Self> {
        let passphrase_file = folder.join("passphrase");
        std::fs::write(&passphrase_file, "a passphrase for trials\n")?;
        // The command line warns of a passphrase that others can read.
        std::fs::set_permissions(&passphrase_file, std::fs::Permissions::from_mode(0o600))?;
        let (programs, store) = (programs.clone(), folder.join("store"));
        Ok(Self { programs, store, passphrase_file, environment: Vec::new(), launcher: Vec::new() })
    }

    /// The same options on another store.
    #[must_use]
    pub fn with_store(mut self, folder: &Path) -> Self {
        self.store = folder.to_owned();
        self
    }

    /// The same store with another file for the passphrase.
    #[must_use]
    pub fn with_passphrase_file(mut self, file: &Path) -> Self {
        self.passphrase_file = file.to_owned();
        self
    }

    /// Starts every command by way of another program, which is given the command as its last arguments (`nsenter`).
    #[must_use]
    pub fn through(mut self, launcher: Vec<OsString>) -> Self {
        self.launcher = launcher;
        self
    }

    /// A file beside the passphrase, outside of the store, for what a trial writes.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.passphrase_file.with_file_name(name)
    }

    /// Sets a variable of the environment for every command.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Tells where models and inference library are: the cache that `cargo xtask models` fills.
    #[must_use]
    pub fn with_cache(self, cache: &Path, runtime_library: &Path) -> Self {
        self.with_environment("SNAPTRAK_MODELS", cache.join("models"))
            .with_environment("SNAPTRAK_ONNXRUNTIME", runtime_library)
    }

    /// A command with the global options set, for tests that must do something special with it.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        self.with_globals(&["--json"], arguments)
    }

    /// The same, which answers in words.
    pub fn command_for_a_person<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        self.with_globals(&[], arguments)
    }

    fn with_globals<S: AsRef<OsStr>>(&self, globals: &[&str], arguments: &[S]) -> Command {
        let words: Vec<OsString> = self.launcher.iter().cloned().chain([self.programs.snaptrak().into()]).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.args(globals).arg("--store").arg(&self.store).arg("--passphrase-file").arg(&self.passphrase_file);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end, whatever its exit code.
    pub fn ask<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Answer, DriverError> {
        let start = |source| DriverError::Start { program: "snaptrak".to_owned(), source };
        let output = self.command(arguments).output().map_err(start)?;
        Answer::of(&spelled(arguments), &output)
    }

    /// Runs a command that must end with exit code 0.
    pub fn tell<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Value, DriverError> {
        let answer = self.ask(arguments)?;
        if answer.code == 0 {
            return Ok(answer.json);
        }
        let said = format!("{}{}", answer.json, answer.words);
        Err(DriverError::Said { program: spelled(arguments), code: answer.code, said })
    }
}

impl Answer {
    /// What a command that has ended answered; `command` names it in an error.
    pub fn of(command: &str, output: &Output) -> Result<Self, DriverError> {
        let code = output.status.code().unwrap_or(-1);
        let text = String::from_utf8_lossy(&output.stdout);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        match serde_json::from_str(text.trim()) {
            Ok(json) => Ok(Self { code, json, words }),
            Err(_) => Err(DriverError::Said { program: command.to_owned(), code, said: format!("{text}{words}") }),
        }
    }
}

fn spelled<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    format!("snaptrak {}", words.join(" "))
}
