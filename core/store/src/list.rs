//! Captures in pages, in the order of their ids, which is by age.

use crate::{Store, StoreError, rows};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{AssetState, CaptureId, capture::CaptureSummary};

/// Captures in one page: an answer of some hundred kilobytes, however much the caller asks for.
const PAGE_MAX: usize = 10_000;

/// Some captures, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The captures.
    pub captures: Vec<CaptureSummary>,
    /// Where the next page begins: give it as `after`. `None`: this was the last.
    pub next: Option<CaptureId>,
}

/// The columns of [`read`]. A page of the list touches some five pages of the database, each of which is decrypted whole. The
/// index is named, since the planner has no statistics.
pub(crate) const ALL: &str = "SELECT capture_id, asset_id, kind, state, created_ms, bytes, sha256 FROM listed
  WHERE capture_id > ?1 ORDER BY capture_id LIMIT ?2";
pub(crate) const IN_STATE: &str =
    "SELECT capture_id, asset_id, kind, state, created_ms, bytes, sha256 FROM listed INDEXED BY listed_by_state
  WHERE state = ?3 AND capture_id > ?1 ORDER BY capture_id LIMIT ?2";

impl Store {
    /// Captures whose original is in `state` (or any), after a capture, at most `limit`.
    pub fn list(&self, state: Option<AssetState>, after: Option<CaptureId>, limit: usize) -> Result<Page, StoreError> {
        self.read(|connection| page(connection, state, after, limit.min(PAGE_MAX)))
    }
}

pub(crate) fn page(
    connection: &Connection,
    state: Option<AssetState>,
    after: Option<CaptureId>,
    limit: usize,
) -> Result<Page, StoreError> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    // One more than asked for says whether there is a next page.
    let rows_max = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut captures = match state {
        None => rows::all(connection, ALL, params![after, rows_max], read)?,
        Some(state) => rows::all(connection, IN_STATE, params![after, rows_max, state.as_str()], read)?,
    };
    let more = captures.len() > limit;
    captures.truncate(limit);
    let next = captures.last().filter(|_| more).map(|last| last.id);
    Ok(Page { captures, next })
}

fn read(row: &Row<'_>) -> Result<CaptureSummary, StoreError> {
    let sha256: Option<[u8; 32]> = row.get(6)?;
    Ok(CaptureSummary {
        id: rows::capture_id(row, 0)?,
        asset_id: rows::asset_id(row, 1)?,
        kind: rows::word(row, 2, "kind")?,
        state: rows::word(row, 3, "asset state")?,
        created: rows::unix_ms(row, 4)?,
        bytes: rows::count(row, 5)?,
        sha256: sha256.map(snaptrak_domain::Sha256Digest),
    })
}
