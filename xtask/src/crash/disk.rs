//! File systems of a trial's own, in a mount namespace that no other process sees and that ends with its holder.
//!
//! Owns: the holder, and how commands are brought into its namespace. Where this machine mounts nothing (no root, a sandbox)
//! it says what the system said, and the trial is skipped.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Error, Result};
use crate::process;

/// The holder lives until its standard input ends, so that nothing stays mounted whatever happens to the trial.
const HOLD: &str = " && echo mounted && read -r _";

/// A mounted file system.
pub(super) struct Disk {
    holder: Child,
    is_root: bool,
}

impl Disk {
    /// Runs a script of `mount` commands in a new namespace; `Err` with what the system said where it cannot.
    pub(super) fn mount(script: &str, arguments: &[&Path]) -> std::result::Result<Self, String> {
        let is_root = process::run(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let mut command = Command::new("unshare");
        if !is_root {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", &format!("{script}{HOLD}"), "sh"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        if line.trim() == "mounted" {
            return Ok(Self { holder, is_root });
        }
        let output = holder.wait_with_output().map_err(|error| error.to_string())?;
        Err(format!(
            "this machine cannot mount: {}",
            String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")
        ))
    }

    /// The words that bring a command into the namespace. What lies outside of the mounts has the same path in it.
    pub(super) fn launcher(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["nsenter".into()];
        if !self.is_root {
            words.extend(["--user".into(), "--preserve-credentials".into()]);
        }
        words.extend(["--mount".into(), "--target".into(), self.holder.id().to_string().into(), "--".into()]);
        words
    }

    /// Runs a program in the namespace to its end.
    pub(super) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<String> {
        let launcher = self.launcher();
        let mut command = Command::new(&launcher[0]);
        process::run(command.args(&launcher[1..]).args(words))
    }

    /// How this process reaches a path in the namespace, by way of the holder's root (proc(5)).
    pub(super) fn reach(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// A step of a trial's preparation that failed, in its words.
pub(super) fn failed(words: &str) -> Error {
    Error::Missing { what: words.to_owned(), next: "look at the kernel's log".to_owned() }
}
