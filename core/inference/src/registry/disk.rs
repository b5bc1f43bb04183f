//! The few things that the registry does to a disk, one by one, so that a test can end the process between any two of them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// What changes a disk. Each call is durable when it returns, but for names: those are after [`Disk::sync_folder`].
pub(super) trait Disk: Send + Sync {
    /// Makes a folder and those above it.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Writes a file from its beginning and waits for the disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Copies at most so many bytes of a file and waits for the disk.
    fn copy(&self, from: &Path, to: &Path, bytes_max: u64) -> io::Result<()>;
    /// Gives a file that is durable a second name; where the system cannot, copies at most so many bytes of it.
    fn link(&self, from: &Path, to: &Path, bytes_max: u64) -> io::Result<()>;
    /// Gives a file or folder another name, replacing a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with what is in it; one that is not there is removed already.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
}

/// The disk of this device.
pub(super) struct DeviceDisk;

impl Disk for DeviceDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn copy(&self, from: &Path, to: &Path, bytes_max: u64) -> io::Result<()> {
        let mut file = File::create(to)?;
        io::copy(&mut File::open(from)?.take(bytes_max), &mut file)?;
        file.sync_all()
    }

    fn link(&self, from: &Path, to: &Path, bytes_max: u64) -> io::Result<()> {
        fs::hard_link(from, to).or_else(|_| self.copy(from, to, bytes_max))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
