//! Which assets could go, and what is known of each.

use super::KeptCapture;
use crate::{StoreError, list, rows};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{AssetId, AssetState, CaptureId, KeptCode, Rendition, UnixMs, keep::KeepFacts};

/// Assets that are looked at in one read: a page of some kilobytes.
const PAGE_MAX: u32 = 256;

/// An asset that could go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) asset_id: AssetId,
    pub(super) capture_id: CaptureId,
    pub(super) rendition: Rendition,
    /// Pieces that would go, and their sealed bytes.
    pub(super) pieces: u64,
    pub(super) bytes: u64,
    state: AssetState,
    note: bool,
    pinned: bool,
    viewed: Option<UnixMs>,
}

impl Candidate {
    /// What the rule asks.
    pub(super) fn facts(&self, open: bool) -> KeepFacts {
        KeepFacts {
            verified: self.state == AssetState::Verified,
            note: self.note,
            pinned: self.pinned,
            open,
            viewed: self.viewed,
        }
    }
}

/// What [`read`] reads. The subqueries go along the pieces of one asset.
const COLUMNS: &str = "asset.id, asset.capture_id, asset.rendition, asset.state, asset.envelope IS NOT NULL,
    coalesce(keep.pinned, 0), keep.viewed_ms,
    (SELECT count(*) FROM piece WHERE piece.asset_id = asset.id AND piece.state = 'verified'),
    (SELECT coalesce(sum(piece.sealed_bytes), 0) FROM piece
      WHERE piece.asset_id = asset.id AND piece.state = 'verified')";

fn read(row: &Row<'_>) -> Result<Candidate, StoreError> {
    Ok(Candidate {
        asset_id: rows::asset_id(row, 0)?,
        capture_id: rows::capture_id(row, 1)?,
        rendition: rows::word(row, 2, "rendition")?,
        state: rows::word(row, 3, "asset state")?,
        note: row.get(4)?,
        pinned: row.get(5)?,
        viewed: rows::unix_ms_or_none(row, 6)?,
        pieces: rows::count(row, 7)?,
        bytes: rows::count(row, 8)?,
    })
}

/// The next verified assets of a rendition that have files, oldest first, along the index that holds no notes.
pub(super) fn verified(
    connection: &Connection,
    rendition: Rendition,
    after: Option<CaptureId>,
) -> Result<Vec<Candidate>, StoreError> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let sql = format!(
        "SELECT {COLUMNS} FROM asset INDEXED BY asset_to_drop LEFT JOIN keep ON keep.capture_id = asset.capture_id
          WHERE asset.state = 'verified' AND asset.envelope IS NULL AND asset.rendition = ?1 AND asset.capture_id > ?2
          ORDER BY asset.capture_id LIMIT ?3"
    );
    rows::all(connection, &sql, params![rendition.as_str(), after, PAGE_MAX], read)
}

/// The assets of one capture; what is purged already is none of them.
pub(super) fn of_capture(connection: &Connection, capture_id: CaptureId) -> Result<Vec<Candidate>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM asset LEFT JOIN keep ON keep.capture_id = asset.capture_id
          WHERE asset.capture_id = ?1 AND asset.rendition <> 'thumbnail' ORDER BY asset.rendition"
    );
    let mut found = rows::all(connection, &sql, [capture_id.as_bytes()], read)?;
    if found.is_empty() {
        return Err(StoreError::Missing { what: "capture" });
    }
    found.retain(|candidate| candidate.state != AssetState::Purged);
    Ok(found)
}

/// An asset as it is now.
pub(super) fn one(connection: &Connection, asset_id: AssetId) -> Result<Candidate, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM asset LEFT JOIN keep ON keep.capture_id = asset.capture_id WHERE asset.id = ?1");
    rows::first(connection, &sql, [asset_id.as_bytes()], read)?.ok_or(StoreError::Missing { what: "asset" })
}

/// Captures that no purge looks at, since they are not verified or are notes: some of them, and how many. What is verified and
/// was looked at and kept (`kept_verified`) is none of them.
pub(super) fn never(
    connection: &Connection,
    listed_max: usize,
    kept_verified: u64,
) -> Result<(Vec<KeptCapture>, u64), StoreError> {
    let mut kept = Vec::new();
    let mut count = 0;
    let originals = Rendition::Original.as_str();
    for state in AssetState::ALL {
        let code = match state {
            AssetState::Purged => continue,
            AssetState::Verified => KeptCode::Note,
            AssetState::Recording
            | AssetState::Saved
            | AssetState::Prepared
            | AssetState::Queued
            | AssetState::Sending
            | AssetState::Received
            | AssetState::Withheld
            | AssetState::Parked
            | AssetState::Cancelled => KeptCode::NotVerified,
        };
        let in_state = "SELECT coalesce(sum(assets), 0) FROM tally WHERE rendition = ?1 AND state = ?2";
        let captures = rows::only(connection, in_state, params![originals, state.as_str()], |row| rows::count(row, 0))?;
        count += if code == KeptCode::Note { captures.saturating_sub(kept_verified) } else { captures };
        let places = list::places(Some(state));
        let room = rows::signed(listed_max.saturating_sub(kept.len()) as u64)?;
        kept.extend(rows::all(
            connection,
            "SELECT capture_id FROM list_line WHERE place > ?1 AND place < ?2
                AND (?3 = 0 OR (SELECT envelope IS NOT NULL FROM asset WHERE id = list_line.asset_id))
              ORDER BY place LIMIT ?4",
            params![places.start, places.end, code == KeptCode::Note, room],
            |row| Ok(KeptCapture { id: rows::capture_id(row, 0)?, code }),
        )?);
    }
    Ok((kept, count))
}
