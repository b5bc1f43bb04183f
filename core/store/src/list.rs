//! Captures in pages, along the index: by id, which is by age.

use crate::{Store, StoreError, rows};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{AssetState, CaptureId, Rendition, capture::CaptureSummary};

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

/// The columns of [`read`]. Both statements read indexes alone: a page of the list touches some ten pages of the database, each
/// of which is decrypted whole, where the tables' rows, with metadata and envelopes, would be thirty. The indexes are named,
/// since the planner has no statistics.
pub(crate) const ALL: &str =
    "SELECT asset.capture_id, asset.id, capture.kind, asset.state, capture.created_ms, asset.bytes, asset.sha256
   FROM asset INDEXED BY asset_listed CROSS JOIN capture INDEXED BY capture_listed ON capture.id = asset.capture_id
  WHERE asset.rendition = ?1 AND asset.capture_id > ?2 ORDER BY asset.capture_id LIMIT ?3";
pub(crate) const IN_STATE: &str =
    "SELECT listed.capture_id, listed.id, capture.kind, listed.state, capture.created_ms, listed.bytes, listed.sha256
   FROM asset AS found INDEXED BY asset_by_state
  CROSS JOIN asset AS listed INDEXED BY asset_listed
     ON listed.rendition = found.rendition AND listed.capture_id = found.capture_id
  CROSS JOIN capture INDEXED BY capture_listed ON capture.id = found.capture_id
  WHERE found.state = ?4 AND found.rendition = ?1 AND found.capture_id > ?2 ORDER BY found.capture_id LIMIT ?3";

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
    let original = Rendition::Original.as_str();
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    // One more than asked for says whether there is a next page.
    let rows_max = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut captures = match state {
        None => rows::all(connection, ALL, params![original, after, rows_max], read)?,
        Some(state) => rows::all(connection, IN_STATE, params![original, after, rows_max, state.as_str()], read)?,
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
