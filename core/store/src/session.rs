//! The session number: how a database that is older than its folder is noticed.
//!
//! Owns the number of openings, kept twice: in the database and in `session.json` beside it, database first. A kill between
//! the two leaves the database ahead, which is as it should be. A database behind the file was put back from an old backup
//! (or has lost its log): what came since is in the folder and in no row, so nothing may be written, collected or sent from
//! such a store. Refuses to know what was lost: recovery finds that.
//!
//! The file is not synced: a power cut may bring back an older number or none, and both say less, never something wrong.

use crate::{
    StoreError,
    layout::{self, Layout},
    setting,
};
use rusqlite::{Connection, TransactionBehavior};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{Sha256Digest, StoreId};
use std::fs;

const FORMAT: &str = "snaptrak.session/1";

/// The file has 200 bytes; a longer one is something else.
const FILE_BYTES_MAX: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    generation_id: StoreId,
    session: u64,
    /// Of the three values above: a damaged digit must not make a sound database look old.
    sha256: Sha256Digest,
}

impl File {
    fn new(generation_id: StoreId, session: u64) -> Self {
        let text = format!("{FORMAT} {generation_id} {session}");
        Self { format: FORMAT.to_owned(), generation_id, session, sha256: snaptrak_seal::sha256(text.as_bytes()) }
    }

    fn is_whole(&self) -> bool {
        Self::new(self.generation_id, self.session).sha256 == self.sha256 && self.format == FORMAT
    }
}

/// Counts this opening, unless the database is older than its folder.
pub(crate) fn begin(connection: &mut Connection, layout: &Layout, generation_id: StoreId) -> Result<(), StoreError> {
    let in_database: u64 = setting::read(connection, setting::SESSION)?.unwrap_or(0);
    if in_database < in_file(layout, generation_id)? {
        return Err(StoreError::Damaged { what: "database is older than its folder" });
    }
    let session = in_database + 1;
    match count(connection, layout, generation_id, session) {
        // A full disk must not keep anyone from opening, seeing and purging; this opening is then not counted.
        Err(StoreError::Full) => tracing::warn!("no room to count this opening"),
        other => other?,
    }
    Ok(())
}

fn count(connection: &mut Connection, layout: &Layout, id: StoreId, session: u64) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    setting::write(&transaction, setting::SESSION, Some(&session))?;
    transaction.commit()?;
    let bytes = serde_json::to_vec(&File::new(id, session)).expect("ids, numbers and texts always have JSON");
    let temporary = layout::temporary_of(&layout.session());
    layout::write_unsynced(&temporary, &bytes)?;
    fs::rename(&temporary, layout.session()).map_err(|error| StoreError::io("replace a file", error))
}

/// The file's number; 0 where it says nothing that can be believed.
fn in_file(layout: &Layout, generation_id: StoreId) -> Result<u64, StoreError> {
    let bytes = match layout::read_small(&layout.session(), FILE_BYTES_MAX, "session") {
        Ok(Some(bytes)) => bytes,
        Ok(None) | Err(StoreError::Damaged { .. }) => return Ok(0),
        Err(error) => return Err(error),
    };
    let file: Option<File> = serde_json::from_slice(&bytes).ok();
    match file.filter(|file| file.is_whole() && file.generation_id == generation_id) {
        Some(file) => Ok(file.session),
        None => {
            tracing::warn!("the session file says nothing that can be believed");
            Ok(0)
        }
    }
}
