//! A running reference API.

use crate::{DriverError, Programs};
use serde_json::Value;
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running reference API; killed with SIGKILL when dropped: a server that needs a goodbye to keep what it signed for
/// would be no server for evidence.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens, for example `http://127.0.0.1:40000`.
    pub url: String,
    /// Its folder.
    pub data: PathBuf,
}

impl Server {
    /// Starts it and waits for its first line. Its log goes to `DATA.log`.
    pub fn start(programs: &Programs, data: &Path, listen: &str, options: &[&str]) -> Result<Self, DriverError> {
        Self::start_in(programs, data, listen, options, &[])
    }

    /// Starts it with variables added to its environment.
    pub fn start_in(
        programs: &Programs,
        data: &Path,
        listen: &str,
        options: &[&str],
        environment: &[(&str, OsString)],
    ) -> Result<Self, DriverError> {
        let start = |source| DriverError::Start { program: "snaptrak-server".to_owned(), source };
        let log = OpenOptions::new().create(true).append(true).open(data.with_extension("log")).map_err(start)?;
        let mut command = Command::new(programs.server());
        command.arg("serve").arg("--data").arg(data).args(["--listen", listen]).args(options);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().map_err(start)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(start)?;
        }
        let first: Value = serde_json::from_str(line.trim()).unwrap_or(Value::Null);
        if let Some(url) = first["listening"].as_str() {
            return Ok(Self { url: url.to_owned(), data: data.to_owned(), child });
        }
        let _ = child.kill();
        let code = child.wait().map_err(start)?.code().unwrap_or(-1);
        let log = std::fs::read_to_string(data.with_extension("log")).unwrap_or_default();
        Err(DriverError::Said { program: "snaptrak-server serve".to_owned(), code, said: line + &log })
    }

    /// The address without its scheme, to start again at the same place.
    pub fn address(&self) -> &str {
        self.url.split("//").nth(1).unwrap_or_default()
    }

    /// Kills it with SIGKILL now, for a trial that does something before the next one starts at the same address.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The server's process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
