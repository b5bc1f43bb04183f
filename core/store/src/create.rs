//! Making a store in a new or empty folder.
//!
//! Order: a marker `creating`, folders, keysets, database, `store.json`, then the marker goes. Until `store.json` is there
//! nothing can have been acknowledged, so a creation that was killed is begun again; any other content is left alone.

use crate::{
    Store, StoreError, Surroundings,
    connection::{self, Access, PageMac},
    database_key::{self, Candidate},
    keys,
    keyset::{self, KeyRole},
    layout::{self, Layout},
    lock::Lock,
    migrate, setting,
    store_file::StoreFile,
};
use rusqlite::Connection;
use snaptrak_domain::{DeviceId, StoreId};
use std::{fs, io, path::Path};

impl Store {
    /// Makes a store in `folder`, which does not exist or is empty, and opens it.
    pub fn create(folder: &Path, surroundings: Surroundings) -> Result<Self, StoreError> {
        let layout = Layout::new(folder);
        let lock = begin_folder(&layout, &layout.creating())?;
        fill(&layout, &surroundings)?;
        fs::remove_file(layout.creating()).map_err(|error| StoreError::io("finish the store's folder", error))?;
        layout::sync_folder(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            layout::sync_folder(parent)?;
        }
        Self::open_locked(layout, surroundings, lock)
    }

    /// Whether nothing of a store is in `folder`, nor anything else: it is absent or empty, or a creation was broken off in it before
    /// there was a store. [`Store::create`] makes one there.
    pub fn is_nothing_yet(folder: &Path) -> bool {
        let layout = Layout::new(folder);
        refuse_other_content(&layout, &layout.creating()).is_ok()
    }
}

/// Makes the folders of a store under its lock, or finds them where `marker` says that this was begun before. The marker
/// stays until its owner has finished.
pub(crate) fn begin_folder(layout: &Layout, marker: &Path) -> Result<Lock, StoreError> {
    refuse_other_content(layout, marker)?;
    if let Some(parent) = layout.root().parent() {
        fs::create_dir_all(parent).map_err(|error| StoreError::io("make a folder", error))?;
    }
    layout::create_folder(layout.root())?;
    let lock = Lock::take(&layout.lock())?;
    // Looked at again under the lock: another creation may have been quicker.
    refuse_other_content(layout, marker)?;
    layout::replace_file(marker, b"")?;
    for path in layout.folders() {
        layout::create_folder(&path)?;
    }
    Ok(lock)
}

/// A store, or anything else that is not ours to touch.
fn refuse_other_content(layout: &Layout, marker: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(layout.root()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(StoreError::NotEmpty),
        Err(error) => return Err(StoreError::io("list the folder", error)),
    };
    let mut only_lock = true;
    for entry in entries {
        only_lock &= entry.map_err(|error| StoreError::io("list the folder", error))?.file_name() == "lock";
    }
    let begun = marker.exists() && !layout.store_file().exists();
    if only_lock || begun { Ok(()) } else { Err(StoreError::NotEmpty) }
}

fn fill(layout: &Layout, surroundings: &Surroundings) -> Result<(), StoreError> {
    let (clock, random) = (surroundings.clock.as_ref(), surroundings.random.as_ref());
    let now = clock.now();
    let keysets = keys::draw(random, now)?;
    keyset::write(layout, &keysets.background, surroundings.key_store.as_ref())?;
    keyset::write(layout, &keysets.viewing, surroundings.key_store.as_ref())?;
    let database = Candidate { entry: keysets.background.active(KeyRole::Database)?, page_mac: PageMac::NEW };
    database_key::write(&layout.database_key(), database, None)?;

    let store_file = StoreFile::new(StoreId::new(now, random)?, StoreId::new(now, random)?, now);
    let device_id = DeviceId::new(now, random)?;
    remove_unfinished_database(layout)?;
    // Made here and not by SQLite, whose files would have the umask's permissions; the log inherits them.
    layout::create_file(&layout.database())?;
    let mut connection = connection::open(&layout.database(), &database.cipher(), Access::Create)?;
    migrate::migrate(&mut connection)?;
    write_settings(&mut connection, &store_file, device_id)?;
    drop(connection);
    connection::refuse_plain(&layout.database())?;
    layout::sync_folder(&layout.database_folder())?;
    store_file.write(&layout.store_file())
}

fn write_settings(connection: &mut Connection, file: &StoreFile, device_id: DeviceId) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    setting::write(&transaction, setting::STORE_ID, Some(&file.store_id))?;
    setting::write(&transaction, setting::GENERATION_ID, Some(&file.generation_id))?;
    setting::write(&transaction, setting::DEVICE_ID, Some(&device_id))?;
    transaction.commit()?;
    Ok(())
}

/// What a killed creation left; it was never opened as a store.
fn remove_unfinished_database(layout: &Layout) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = layout.database().into_os_string();
        path.push(suffix);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("begin the store's folder again", error)),
        }
    }
    Ok(())
}
