//! A disk of a few megabytes that no other process sees, and that is gone with the process that holds it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A small disk.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// A disk of so many bytes, mounted on `folder` in a mount namespace of its own; or why this machine gives none.
    pub fn on(folder: &Path, bytes: u64) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        // The holder lives until its standard input ends, so that nothing stays mounted whatever happens to the test.
        let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && read -r _"#;
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", script, "sh", &bytes.to_string()]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).map_err(|error| error.to_string())?;
        if line.trim() != "mounted" {
            let output = holder.wait_with_output().map_err(|error| error.to_string())?;
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        // Other processes reach the mount through the holder's root (proc(5)).
        let folder = PathBuf::from(format!("/proc/{}/root", holder.id())).join(folder.strip_prefix("/").unwrap());
        Ok(Self { holder, folder })
    }

    /// Where the disk is reached.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
