//! The server's folder: where each file lies, who may read it, and that one process at a time owns it.
//!
//! Layout: `server.sqlite3`, `data.key` (only if the server made it), `lock`, `tls/`, `uploads/` (pieces under way),
//! `pieces/XX/ASSET/NNNNNNNN.piece` (whole pieces; XX are the last digits of the id, because a UUIDv7 begins with the
//! time), `models/SHA256` (files of published models). Group and world have no rights on any of it.

use crate::error::Error;
use ring::digest;
use snaptrak_domain::{AssetId, Sha256Digest};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The folder of one server.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

/// Reads on, and digests what it has read.
struct Hashed<'a, R> {
    source: R,
    digest: &'a mut digest::Context,
}

impl<R: io::Read> io::Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Held for as long as a server owns its folder; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl Folder {
    /// A folder that exists and has been served.
    pub(crate) fn existing(root: &Path) -> Result<Self, Error> {
        let folder = Self { root: root.to_owned() };
        if folder.database().is_file() { Ok(folder) } else { Err(Error::NotAServer { path: root.to_owned() }) }
    }

    /// Makes what is missing and takes the lock.
    pub(crate) fn own(root: &Path) -> Result<(Self, FolderLock), Error> {
        let folder = Self { root: root.to_owned() };
        for path in [root.to_owned(), folder.uploads(), root.join("pieces")] {
            make_folder(&path)?;
        }
        let path = root.join("lock");
        let file = private_options().open(&path).map_err(Error::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok((folder, FolderLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: root.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::File { action: "lock", path, source }),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("server.sqlite3")
    }

    pub(crate) fn data_key(&self) -> PathBuf {
        self.root.join("data.key")
    }

    /// The folder for certificates that the server makes itself.
    pub(crate) fn tls(&self) -> Result<PathBuf, Error> {
        let path = self.root.join("tls");
        make_folder(&path)?;
        Ok(path)
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Makes the names of the files under way durable.
    pub(crate) fn sync_uploads(&self) -> Result<(), Error> {
        sync_folder(&self.uploads())
    }

    /// The file of an upload that is under way.
    pub(crate) fn upload(&self, upload_id: Uuid) -> PathBuf {
        self.uploads().join(format!("{upload_id}.part"))
    }

    /// The file of a whole piece.
    pub(crate) fn piece(&self, asset_id: AssetId, index: u32) -> PathBuf {
        let id = asset_id.to_string();
        self.root.join("pieces").join(&id[id.len() - 2..]).join(id).join(format!("{index:08}.piece"))
    }

    /// A file of published models.
    pub(crate) fn model(&self, sha256: &Sha256Digest) -> PathBuf {
        self.root.join("models").join(sha256.to_string())
    }

    /// Keeps a copy of a model's file, durably, if it is the one that a manifest names; whether it is. What is longer is not
    /// read further.
    pub(crate) fn keep_model(&self, from: &Path, sha256: &Sha256Digest, bytes: u64) -> Result<bool, Error> {
        let folder = self.root.join("models");
        make_folder(&folder)?;
        // One name for each process: two may publish side by side.
        let new = folder.join(format!("{sha256}.{}", std::process::id()));
        let source = File::open(from).map_err(Error::file("open", from))?;
        let mut file = private_options().open(&new).map_err(Error::file("make", &new))?;
        file.set_len(0).map_err(Error::file("write", &new))?;
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut hashed = Hashed { source: source.take(bytes.saturating_add(1)), digest: &mut digest };
        let copied = io::copy(&mut hashed, &mut file).map_err(Error::file("copy", from))?;
        if copied != bytes || digest.finish().as_ref() != sha256.as_bytes() {
            remove_file(&new)?;
            return Ok(false);
        }
        file.sync_all().map_err(Error::file("sync", &new))?;
        let to = self.model(sha256);
        fs::rename(&new, &to).map_err(Error::file("move a model to", &to))?;
        sync_folder(&folder)?;
        Ok(true)
    }

    /// Moves a finished and synced upload to its place, durably: when this returns, a power cut does not lose the piece.
    pub(crate) fn place_piece(&self, upload_id: Uuid, asset_id: AssetId, index: u32) -> Result<(), Error> {
        let from = self.upload(upload_id);
        let to = self.piece(asset_id, index);
        let asset = to.parent().expect("a piece lies in its asset's folder");
        let shard = asset.parent().expect("an asset's folder lies in a shard");
        make_folder(shard)?;
        make_folder(asset)?;
        fs::rename(&from, &to).map_err(Error::file("move a piece to", &to))?;
        for path in [asset, shard, &self.root.join("pieces")] {
            sync_folder(path)?;
        }
        Ok(())
    }
}

/// How every file of the folder is opened for writing.
pub(crate) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    options
}

/// Writes a small file that only its owner can read, and syncs it. An existing file is refused, never replaced.
pub(crate) fn write_new_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(Error::file("make", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(Error::file("write", path))
}

/// Deletes a file; one that is not there is no error.
pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::File { action: "delete", path: path.to_owned(), source }),
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(Error::file("make", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::file("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_owner_at_a_time_and_nobody_else_may_read() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("server");
        let (folder, lock) = Folder::own(&path).expect("an empty place");
        assert!(matches!(Folder::own(&path), Err(Error::InUse { .. })));
        assert!(matches!(Folder::existing(&path), Err(Error::NotAServer { .. })));
        drop(lock);
        Folder::own(&path).expect("the lock went with its owner");
        for (path, mode) in [(folder.uploads(), 0o700), (path.join("lock"), 0o600), (path, 0o700)] {
            assert_eq!(fs::metadata(path).expect("it was made").permissions().mode() & 0o777, mode);
        }
    }
}
