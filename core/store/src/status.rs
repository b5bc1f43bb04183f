//! The store in numbers.

use crate::{
    Store, StoreError, connection, list,
    queue::{backlog::is_waiting, tally},
    rows,
};
use rusqlite::Connection;
use snaptrak_domain::{AssetState, CaptureId, ReasonCode, StepKind, UnixMs};
use std::collections::BTreeMap;

/// Parked steps that are listed; more are counted by their states.
const PARKED_LISTED_MAX: i64 = 1_000;

/// A step that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStep {
    /// Of which capture.
    pub id: CaptureId,
    /// Which step.
    pub step: StepKind,
    /// Why.
    pub code: ReasonCode,
}

/// How the store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Captures by the state of their original; every state is there.
    pub by_state: BTreeMap<&'static str, u64>,
    /// Captures that are still on their way.
    pub waiting: u64,
    /// Sealed bytes of theirs that the server does not hold yet.
    pub waiting_bytes: u64,
    /// When the oldest of them was captured.
    pub oldest: Option<UnixMs>,
    /// What was set aside, oldest first, at most a thousand.
    pub parked: Vec<ParkedStep>,
    /// Version of the schema.
    pub schema_version: u64,
    /// Version of SQLCipher.
    pub cipher_version: String,
    /// Bytes on disk: database and sealed pieces.
    pub bytes: u64,
}

impl Store {
    /// The store in numbers; all of them of one moment, but for the size of the database's files.
    pub fn status(&self) -> Result<StoreStatus, StoreError> {
        let mut status = self.read(status)?;
        status.bytes += self.database_bytes();
        Ok(status)
    }

    fn database_bytes(&self) -> u64 {
        // SQLCipher answers the size of a page as text; the files themselves say how much room they take.
        let files = [self.layout().database(), self.layout().database_log()];
        files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
    }
}

/// Everything but the size of the database.
pub(crate) fn status(connection: &Connection) -> Result<StoreStatus, StoreError> {
    let mut by_state: BTreeMap<&'static str, u64> = AssetState::ALL.map(|state| (state.as_str(), 0)).into();
    let (mut waiting, mut waiting_bytes, mut oldest) = (0, 0, None);
    for tally in tally::originals(connection)? {
        by_state.insert(tally.state.as_str(), tally.assets);
        if is_waiting(tally.state) {
            waiting += tally.assets;
            waiting_bytes += tally.unsent_bytes;
            oldest = [oldest, oldest_in(connection, tally.state)?].into_iter().flatten().min();
        }
    }
    Ok(StoreStatus {
        by_state,
        waiting,
        waiting_bytes,
        oldest,
        parked: parked(connection)?,
        schema_version: crate::migrate::version(connection)?,
        cipher_version: connection::cipher_version(connection)?.ok_or(StoreError::NoCipher)?,
        bytes: tally::local_bytes(connection)?,
    })
}

/// The first of its list is the one that came first.
fn oldest_in(connection: &Connection, state: AssetState) -> Result<Option<UnixMs>, StoreError> {
    let places = list::places(Some(state));
    rows::first(
        connection,
        "SELECT created_ms FROM list_line WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT 1",
        [places.start, places.end],
        |row| rows::unix_ms(row, 0),
    )
}

fn parked(connection: &Connection) -> Result<Vec<ParkedStep>, StoreError> {
    rows::all(
        connection,
        "SELECT capture_id, kind, reason FROM step INDEXED BY step_parked_oldest
          WHERE state = 'parked' ORDER BY id LIMIT ?1",
        [PARKED_LISTED_MAX],
        |row| {
            let reason = rows::reason(row, 2)?.ok_or(StoreError::Damaged { what: "reason" })?;
            Ok(ParkedStep { id: rows::capture_id(row, 0)?, step: rows::word(row, 1, "step kind")?, code: reason.code })
        },
    )
}
