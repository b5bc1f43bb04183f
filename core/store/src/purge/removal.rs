//! Files that tombstones name are removed, and the tombstones say so; only what a tombstone names is ever removed.
//!
//! The purge does so for its own; what a kill or a reader left is done by the chores of this opening or the next.

use crate::{StoreError, chores::Chore, layout, rows, store::Files, writer::WriteSide};
use rusqlite::{Connection, TransactionBehavior};
use snaptrak_domain::AssetId;
use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc};

/// Files in one batch of the chores: a new capture waits for it.
const CHORE_FILES_MAX: usize = 16;

/// What is still to be removed. The index is named for the same reason as that of what is to be moved.
pub(crate) const TO_REMOVE: &str = "SELECT tombstone.asset_id, tombstone.piece_index, piece.sealed_bytes
   FROM tombstone INDEXED BY tombstone_to_remove
   JOIN piece ON piece.asset_id = tombstone.asset_id AND piece.piece_index = tombstone.piece_index
  WHERE tombstone.removed = 0 LIMIT ?1";

/// A file that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) asset_id: AssetId,
    pub(crate) index: u32,
    pub(crate) sealed_bytes: u64,
}

/// Removes files, durably; the answer is those that are gone. What somebody reads stays for another time.
pub(crate) fn remove(files: &Files, doomed: &[Doomed]) -> Result<Vec<Doomed>, StoreError> {
    let mut gone = Vec::with_capacity(doomed.len());
    let mut folders = BTreeSet::new();
    for file in doomed {
        let removed = files.in_use.unless_open(file.asset_id, || {
            // Not in the middle of a move.
            let _unmoved = files.change();
            remove_one(files, *file)
        });
        if let Some(folder) = removed.transpose()? {
            folders.extend(folder);
            gone.push(*file);
        }
    }
    for folder in folders {
        // A folder may be moved meanwhile; its new name is synced by the move.
        match fs::File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("sync a folder", error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(gone)
}

/// Removes one file in whichever place it is; the folder that is to be synced, if there was one.
fn remove_one(files: &Files, file: Doomed) -> Result<Option<PathBuf>, StoreError> {
    let name = layout::piece_name(file.index);
    for folder in [files.layout.settled_asset(file.asset_id), files.layout.incoming_asset(file.asset_id)] {
        match fs::remove_file(folder.join(&name)) {
            Ok(()) => return Ok(Some(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("remove a purged piece", error)),
        }
    }
    Ok(None)
}

/// Writes down that files are gone.
pub(crate) fn note_removed(connection: &Connection, gone: &[Doomed]) -> Result<(), StoreError> {
    for file in gone {
        rows::change(
            connection,
            "UPDATE tombstone SET removed = 1 WHERE asset_id = ?1 AND piece_index = ?2",
            rusqlite::params![file.asset_id.as_bytes(), file.index],
        )?;
    }
    Ok(())
}

/// Removes what a kill or a reader left.
pub(crate) struct Remove(pub(crate) Arc<Files>);

impl Chore for Remove {
    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError> {
        remove_batch(&mut side.connection, &self.0)
    }
}

/// One batch; whether more may be left. A purge that is under way removes its own files.
fn remove_batch(connection: &mut Connection, files: &Files) -> Result<bool, StoreError> {
    let Some(_alone) = files.try_remove_alone() else { return Ok(false) };
    // Past those that somebody reads.
    let limit = CHORE_FILES_MAX + files.in_use.count();
    let mut doomed = rows::all(connection, TO_REMOVE, [rows::signed(limit as u64)?], |row| {
        Ok(Doomed {
            asset_id: rows::asset_id(row, 0)?,
            index: rows::small(row, 1)?,
            sealed_bytes: rows::count(row, 2)?,
        })
    })?;
    doomed.retain(|file| !files.in_use.is_open(file.asset_id));
    doomed.truncate(CHORE_FILES_MAX);
    let gone = remove(files, &doomed)?;
    if !gone.is_empty() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        note_removed(&transaction, &gone)?;
        transaction.commit()?;
    }
    Ok(gone.len() == CHORE_FILES_MAX)
}
