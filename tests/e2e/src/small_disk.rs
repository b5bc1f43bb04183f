//! A disk of a few megabytes that no other process sees, and that is gone with the process that holds it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A small disk.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

/// What fills it.
const FILLER: &str = "filler";

impl SmallDisk {
    /// A disk of so many bytes, or none, which is said, for somebody who is not root on a machine that gives none: the gate runs
    /// as root on Debian, where there must be one.
    pub fn if_possible(folder: &Path, bytes: u64) -> Option<Self> {
        match Self::on(folder, bytes) {
            Ok(disk) => Some(disk),
            Err(reason) => {
                assert!(!rustix::process::geteuid().is_root(), "no small disk on this machine: {reason}");
                // A test that cannot run on this machine says so, whatever becomes of what it says.
                let _ = writeln!(io::stderr(), "skipped: no small disk without root: {reason}");
                None
            }
        }
    }

    /// A disk of so many bytes, mounted on `folder` in a mount namespace of its own; or why this machine gives none.
    pub fn on(folder: &Path, bytes: u64) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
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

    /// Fills it to its last byte.
    pub fn fill(&self) {
        let mut filler = File::create(self.folder.join(FILLER)).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives back what filling it took.
    pub fn make_room(&self) {
        fs::remove_file(self.folder.join(FILLER)).unwrap();
    }

    /// What starts a program in the holder's namespace, where the disk is mounted. SQLite resolves links in its paths, so that
    /// the way through the holder's root is not for it.
    pub fn launcher(&self) -> Vec<OsString> {
        let mut words = vec!["nsenter".to_owned()];
        if !rustix::process::geteuid().is_root() {
            words.extend(["--user", "--preserve-credentials"].map(str::to_owned));
        }
        words.extend(["--mount".to_owned(), "--target".to_owned(), self.holder.id().to_string(), "--".to_owned()]);
        words.into_iter().map(OsString::from).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
