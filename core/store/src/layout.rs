//! The folder: where everything lies, with which permissions, and how a file is replaced whole.
//!
//! Owns paths and modes: folders 0700, files 0600, whatever the umask says. Refuses to know contents.

use crate::StoreError;
use snaptrak_domain::{AssetId, KeyClass};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Only the owner enters.
const FOLDER_MODE: u32 = 0o700;
/// Only the owner reads and writes.
const FILE_MODE: u32 = 0o600;

/// A folder whose creation was begun and not finished holds this file; nothing was acknowledged in it yet.
pub(crate) const CREATING: &str = "creating";

/// After the id in the name of a recording's folder that is being taken back.
pub(crate) const CANCELLED_SUFFIX: &str = ".cancelled";

/// The places of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn store_file(&self) -> PathBuf {
        self.root.join("store.json")
    }

    pub(crate) fn creating(&self) -> PathBuf {
        self.root.join(CREATING)
    }

    /// Not in `database/`: whoever puts back an old copy of that folder must not put back its number of openings too.
    pub(crate) fn session(&self) -> PathBuf {
        self.root.join("session.json")
    }

    /// A folder that recovery makes holds this file until it holds `store.json`.
    pub(crate) fn recovering(&self) -> PathBuf {
        self.root.join("recovering")
    }

    /// What recovery found, until it was told.
    pub(crate) fn recovered(&self) -> PathBuf {
        self.root.join("recovered.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Holds nothing but room.
    pub(crate) fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    pub(crate) fn keyset_folder(&self) -> PathBuf {
        self.root.join("keyset")
    }

    pub(crate) fn keyset(&self, class: KeyClass) -> PathBuf {
        self.keyset_folder().join(format!("{}.json", class.as_str()))
    }

    pub(crate) fn database_folder(&self) -> PathBuf {
        self.root.join("database")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.database_folder().join("store.sqlite3")
    }

    /// The database's write-ahead log; SQLite chooses the name.
    pub(crate) fn database_log(&self) -> PathBuf {
        self.database_folder().join("store.sqlite3-wal")
    }

    pub(crate) fn database_key(&self) -> PathBuf {
        self.database_folder().join("key.json")
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(crate) fn assets(&self) -> PathBuf {
        self.root.join("assets")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Where an asset lies between capture and its move.
    pub(crate) fn incoming_asset(&self, asset_id: AssetId) -> PathBuf {
        self.incoming().join(asset_id.to_string())
    }

    /// A recording that is being taken back, until its folder is gone. The name is no asset's.
    pub(crate) fn cancelled_asset(&self, asset_id: AssetId) -> PathBuf {
        self.incoming().join(format!("{asset_id}{CANCELLED_SUFFIX}"))
    }

    /// The folder of at most a few thousand assets: the last two digits of the id, since a UUIDv7 begins with the time.
    pub(crate) fn assets_part(&self, asset_id: AssetId) -> PathBuf {
        let id = asset_id.to_string();
        self.assets().join(&id[id.len() - 2..])
    }

    /// Where an asset lies for good.
    pub(crate) fn settled_asset(&self, asset_id: AssetId) -> PathBuf {
        self.assets_part(asset_id).join(asset_id.to_string())
    }

    /// Where a file of an asset is at this moment; it may be moved the next, unless moves are held off.
    pub(crate) fn find_in_asset(&self, asset_id: AssetId, name: &str) -> PathBuf {
        let settled = self.settled_asset(asset_id).join(name);
        let incoming = self.incoming_asset(asset_id).join(name);
        if !settled.exists() && incoming.exists() { incoming } else { settled }
    }

    /// Opens a file of an asset in whichever of its two places it is. The last look is for a move between the first two.
    pub(crate) fn open_in_asset(&self, asset_id: AssetId, name: &str) -> Result<Option<File>, StoreError> {
        let settled = self.settled_asset(asset_id).join(name);
        for path in [&settled, &self.incoming_asset(asset_id).join(name), &settled] {
            match File::open(path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("open a file of an asset", error)),
            }
        }
        Ok(None)
    }

    /// Every folder of a new store, outermost first.
    pub(crate) fn folders(&self) -> [PathBuf; 5] {
        [self.keyset_folder(), self.database_folder(), self.incoming(), self.assets(), self.journal()]
    }
}

/// Name of a piece's file.
pub(crate) fn piece_name(index: u32) -> String {
    format!("{index:08}.piece")
}

/// Name of the envelope beside an asset's pieces.
pub(crate) const ENVELOPE_NAME: &str = "envelope.json";

/// Makes a folder that only its owner can enter; one that exists is taken as it is, with its permissions put right.
pub(crate) fn create_folder(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("make a folder", error);
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    // The umask can only take rights away, also the owner's.
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(failed)
}

/// Makes a new file that only its owner can read; an error if it exists.
pub(crate) fn create_file(path: &Path) -> Result<File, StoreError> {
    open_with(path, OpenOptions::new().read(true).write(true).create_new(true))
}

/// Opens a file for reading and writing, and makes it if it is not there.
pub(crate) fn open_or_create(path: &Path) -> Result<File, StoreError> {
    open_with(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

fn open_with(path: &Path, options: &mut OpenOptions) -> Result<File, StoreError> {
    let failed = |error| StoreError::io("make a file", error);
    let file = options.mode(FILE_MODE).open(path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(failed)?;
    Ok(file)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::io("sync a folder", error))
}

/// Replaces a file whole: after a kill or a power cut the old bytes are there or the new ones.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().expect("every path of a layout lies in the store's folder");
    let temporary = temporary_of(path);
    let written = write_new(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| StoreError::io("replace a file", error)));
    if let Err(error) = written {
        // On a full disk the half-written file takes room that is needed.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

/// Where [`replace_file`] writes before its rename; may be left behind by a kill and is overwritten then.
pub(crate) fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let file = write_unsynced(path, bytes)?;
    file.sync_all().map_err(|error| StoreError::io("write a file", error))
}

/// Writes a file from its beginning and does not wait for the disk.
pub(crate) fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
    let mut file = open_with(path, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(bytes).map_err(|error| StoreError::io("write a file", error))?;
    Ok(file)
}

/// Reads a small file of the store, `None` where there is none.
pub(crate) fn read_small(path: &Path, bytes_max: u64, what: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
    match File::open(path) {
        Ok(file) => read_bounded(file, bytes_max, what).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read a file of the store", error)),
    }
}

/// Reads an open file that is damaged if it is longer than `bytes_max`.
pub(crate) fn read_bounded(file: File, bytes_max: u64, what: &'static str) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| StoreError::io("read a file of the store", error))?;
    if bytes.len() as u64 > bytes_max { Err(StoreError::Damaged { what }) } else { Ok(bytes) }
}
