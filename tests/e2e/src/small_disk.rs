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

    /// Where this process reaches the disk.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same command in the holder's namespace, where the disk is mounted. SQLite resolves links in its paths, so that the
    /// way through the holder's root is not for it.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        if !rustix::process::geteuid().is_root() {
            inside.args(["--user", "--preserve-credentials"]);
        }
        inside.args(["--mount", "--target", &self.holder.id().to_string()]);
        inside.arg("--").arg(command.get_program()).args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.stdin(Stdio::null());
        inside
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
