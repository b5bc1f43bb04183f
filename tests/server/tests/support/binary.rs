//! The server's binary in a process of its own, so that it can be killed.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses a part of it")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Binary {
    child: Child,
    pub(crate) url: String,
    log: std::thread::JoinHandle<String>,
}

impl Binary {
    pub(crate) fn serve(data: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_snaptrak-server"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .env_remove("SNAPTRAK_SERVER_KEY")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("{\"listening\": \"").and_then(|rest| rest.strip_suffix("\"}"));
        let url = url.unwrap_or_else(|| panic!("unexpected first line: {line}")).to_owned();
        Self { child, url, log }
    }

    /// SIGKILL; everything that it wrote to standard error.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.join().unwrap()
    }

    /// SIGTERM, and whether it ended well.
    pub(crate) fn terminate(mut self) -> (bool, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        let ended = self.child.wait().unwrap().success();
        (ended, self.log.join().unwrap())
    }
}
