//! The new store's folder, from its marker to its `store.json`.

use super::{replay::Replayed, report::Outcome};
use crate::{
    StoreError,
    connection::{self, Access, PageMac},
    create::begin_folder,
    database_key::{self, Candidate},
    journal::Journal,
    keys::NewKeysets,
    keyset::{self, KeyRole},
    layout::{self, Layout},
    lock::Lock,
    migrate, setting,
    store_file::StoreFile,
};
use rusqlite::Connection;
use snaptrak_domain::{AssetId, DeviceId, KeyStore};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A hundred thousand paths of a hundred and fifty bytes.
const OUTCOME_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The folder that is being made.
pub(super) struct Target {
    layout: Layout,
}

/// Neither folder may lie in the other: the one that is read would change, or read itself.
pub(super) fn refuse_nested(from: &Path, into: &Path) -> Result<(), StoreError> {
    let real = |path: &Path| {
        // The new folder may not exist yet; its nearest ancestor does.
        let mut rest = PathBuf::new();
        for ancestor in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).ancestors() {
            if let Ok(found) = ancestor.canonicalize() {
                return found.join(&rest);
            }
            rest = Path::new(ancestor.file_name().unwrap_or_default()).join(&rest);
        }
        path.to_owned()
    };
    let (from, into) = (real(from), real(into));
    if into.starts_with(&from) || from.starts_with(&into) {
        return Err(StoreError::Refused { code: "same_folder" });
    }
    Ok(())
}

impl Target {
    /// Begins the folder, or goes on with one that an earlier run has begun.
    pub(super) fn begin(folder: &Path) -> Result<(Self, Lock), StoreError> {
        let layout = Layout::new(folder);
        let lock = begin_folder(&layout, &layout.recovering())?;
        // Rows and journal are quickly made; assets that were placed are kept and looked at again.
        for folder in [layout.database_folder(), layout.journal(), layout.keyset_folder()] {
            empty(&folder)?;
        }
        Ok((Self { layout }, lock))
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Keysets and an empty database under their key.
    pub(super) fn make_database(
        &self,
        keysets: &NewKeysets,
        key_store: &dyn KeyStore,
    ) -> Result<Connection, StoreError> {
        keyset::write(&self.layout, &keysets.background, key_store)?;
        keyset::write(&self.layout, &keysets.viewing, key_store)?;
        let database = Candidate { entry: keysets.background.active(KeyRole::Database)?, page_mac: PageMac::NEW };
        database_key::write(&self.layout.database_key(), database, None)?;
        layout::create_file(&self.layout.database())?;
        let mut connection = connection::open(&self.layout.database(), &database.cipher(), Access::Write)?;
        migrate::migrate(&mut connection)?;
        Ok(connection)
    }

    /// Where an asset is put: settled, or incoming where the next opening has to close it. Made if it is not there.
    pub(super) fn asset_folder(&self, asset_id: AssetId, closed: bool) -> Result<PathBuf, StoreError> {
        let folder = if closed { self.layout.settled_asset(asset_id) } else { self.layout.incoming_asset(asset_id) };
        if closed {
            layout::create_folder(&self.layout.assets_part(asset_id))?;
        }
        layout::create_folder(&folder)?;
        Ok(folder)
    }

    /// The last steps: what makes the folder a store.
    pub(super) fn finish(
        &self,
        mut connection: Connection,
        mut journal: Journal,
        device_id: DeviceId,
        file: &StoreFile,
        replayed: &Replayed,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let transaction = connection.transaction()?;
        setting::write(&transaction, setting::STORE_ID, Some(&file.store_id))?;
        setting::write(&transaction, setting::GENERATION_ID, Some(&file.generation_id))?;
        setting::write(&transaction, setting::DEVICE_ID, Some(&device_id))?;
        setting::write(&transaction, setting::DEVICE_KEYS, Some(&replayed.device_keys()))?;
        transaction.commit()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        drop(connection);
        journal.sync()?;
        self.sync_folders()?;
        let outcome = serde_json::to_vec(outcome).expect("words, numbers and texts always have JSON");
        layout::replace_file(&self.layout.recovered(), &outcome)?;
        // The marker becomes what makes the folder a store: there is no moment with both or none.
        file.write(&self.layout.recovering())?;
        fs::rename(self.layout.recovering(), self.layout.store_file())
            .map_err(|error| StoreError::io("finish the store's folder", error))?;
        layout::sync_folder(self.layout.root())?;
        if let Some(parent) = self.layout.root().parent().filter(|parent| !parent.as_os_str().is_empty()) {
            layout::sync_folder(parent)?;
        }
        Ok(())
    }

    /// Makes every name durable, innermost first.
    fn sync_folders(&self) -> Result<(), StoreError> {
        let list = |folder: &Path| -> Result<Vec<PathBuf>, StoreError> {
            let failed = |error| StoreError::io("list a folder", error);
            fs::read_dir(folder)
                .map_err(failed)?
                .map(|entry| Ok(entry.map_err(failed)?.path()))
                .filter(|path: &Result<PathBuf, StoreError>| path.as_ref().map_or(true, |path| path.is_dir()))
                .collect()
        };
        for part in list(&self.layout.assets())? {
            for asset in list(&part)? {
                layout::sync_folder(&asset)?;
            }
            layout::sync_folder(&part)?;
        }
        for asset in list(&self.layout.incoming())? {
            layout::sync_folder(&asset)?;
        }
        for folder in self.layout.folders() {
            layout::sync_folder(&folder)?;
        }
        layout::sync_folder(self.layout.root())
    }
}

/// What an earlier run left to be told, where it was killed after its last step and before it told.
pub(super) fn untold(folder: &Path) -> Result<Option<Outcome>, StoreError> {
    let layout = Layout::new(folder);
    if !layout.store_file().exists() {
        return Ok(None);
    }
    let bytes = layout::read_small(&layout.recovered(), OUTCOME_BYTES_MAX, "recovered.json")?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// It was told.
pub(super) fn told(layout: &Layout) -> Result<(), StoreError> {
    fs::remove_file(layout.recovered()).map_err(|error| StoreError::io("finish the store's folder", error))
}

/// Removes what an earlier run wrote there.
fn empty(folder: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("begin the store's folder again", error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
    }
    Ok(())
}
