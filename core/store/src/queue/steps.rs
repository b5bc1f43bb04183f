//! The steps of a new capture.
//!
//! Owns which steps a capture gets when its original is complete, and the first values of their `waits_for`. For a capture that
//! comes at once everything is counted in memory from [`waits_for`], because at this moment no other step of it exists; a
//! recording gets its steps one by one and counts those that are there.

use crate::{StoreError, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetId, CaptureId, Kind, StepKind, StepState, UnixMs, step::waits_for};

/// A capture whose original has just been closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSteps<'a> {
    pub(crate) capture_id: CaptureId,
    pub(crate) asset_id: AssetId,
    pub(crate) kind: Kind,
    /// Media type by content.
    pub(crate) content_type: &'a str,
    /// Sealed bytes of each piece, in order.
    pub(crate) pieces: &'a [u64],
    pub(crate) now: UnixMs,
}

#[derive(Clone, Copy)]
struct Planned {
    kind: StepKind,
    asset_id: Option<AssetId>,
    piece_index: Option<u32>,
    bytes: u64,
}

/// Whether a capture has pixels that a model could look at. A photo always has, even where this build cannot decode it: its
/// step then parks with a code that says so. A scan only where it is a picture.
pub(crate) fn wants_analysis(kind: Kind, content_type: &str) -> bool {
    match kind {
        Kind::Photo => true,
        Kind::Scan => content_type.starts_with("image/"),
        Kind::Video | Kind::Audio | Kind::Note | Kind::File => false,
    }
}

/// Whether a capture has something that can be seen small. Of what has not, the app may still give a picture.
pub(crate) fn wants_thumbnail(kind: Kind, content_type: &str) -> bool {
    match kind {
        Kind::Photo | Kind::Video => true,
        Kind::Scan => content_type.starts_with("image/"),
        Kind::Audio | Kind::Note | Kind::File => false,
    }
}

/// Inserts the steps of a new capture, in the transaction that inserts the capture or closes its recording.
pub(crate) fn insert(connection: &Connection, new: NewSteps<'_>) -> Result<(), StoreError> {
    let planned = plan(new)?;
    for step in &planned {
        insert_one(connection, &new, step, waiting_for(step, &planned))?;
    }
    Ok(())
}

/// Inserts the step of a finished piece of a recording that goes on, with those that the first one brings.
pub(crate) fn add_piece(
    connection: &Connection,
    new: &NewSteps<'_>,
    index: u32,
    sealed_bytes: u64,
) -> Result<(), StoreError> {
    let of_capture = Planned { kind: StepKind::SendRecord, asset_id: None, piece_index: None, bytes: 0 };
    let of_asset = Planned { kind: StepKind::SendEnvelope, asset_id: Some(new.asset_id), ..of_capture };
    let piece = Planned { kind: StepKind::SendPiece, piece_index: Some(index), bytes: sealed_bytes, ..of_asset };
    [of_capture, of_asset, piece].iter().try_for_each(|step| insert_if_missing(connection, new, step))
}

/// Inserts the steps that a closed recording does not have yet, each after those that it waits for.
pub(crate) fn add_missing(connection: &Connection, new: &NewSteps<'_>) -> Result<(), StoreError> {
    plan(*new)?.iter().try_for_each(|step| insert_if_missing(connection, new, step))
}

fn insert_if_missing(connection: &Connection, new: &NewSteps<'_>, step: &Planned) -> Result<(), StoreError> {
    let asset_id = step.asset_id.as_ref().map(AssetId::as_bytes);
    let known: bool = rows::only(
        connection,
        "SELECT EXISTS (SELECT 1 FROM step WHERE capture_id = ?1 AND kind = ?2 AND asset_id IS ?3 AND piece_index IS ?4)",
        params![new.capture_id.as_bytes(), step.kind.as_str(), asset_id, step.piece_index],
        |row| Ok(row.get(0)?),
    )?;
    if known {
        return Ok(());
    }
    let mut unmet = 0;
    for (kind, wait) in waits_for(step.kind) {
        let states = rows::all(
            connection,
            "SELECT state, count(*) FROM step INDEXED BY step_of_capture
              WHERE capture_id = ?1 AND kind = ?2 AND (?3 IS NULL OR asset_id IS NULL OR asset_id = ?3) GROUP BY state",
            params![new.capture_id.as_bytes(), kind.as_str(), asset_id],
            |row| Ok((rows::word::<StepState>(row, 0, "step state")?, rows::count(row, 1)?)),
        )?;
        unmet += states.iter().filter(|(state, _)| !wait.is_met(*state)).map(|(_, steps)| steps).sum::<u64>();
    }
    insert_one(connection, new, step, unmet)
}

fn insert_one(connection: &Connection, new: &NewSteps<'_>, step: &Planned, waiting_for: u64) -> Result<(), StoreError> {
    rows::change(
        connection,
        "INSERT INTO step (capture_id, asset_id, piece_index, kind, state, waits_for, bytes, since_ms, held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
                 CASE WHEN ?4 IN ('send_envelope', 'send_piece', 'fetch_receipt')
                           AND EXISTS (SELECT 1 FROM asset WHERE id = ?2 AND withheld = 1) THEN 2
                      ELSE EXISTS (SELECT 1 FROM piece WHERE asset_id = ?2 AND piece_index = ?3
                                      AND state = 'sealed') END)",
        params![
            new.capture_id.as_bytes(),
            step.asset_id.as_ref().map(AssetId::as_bytes),
            step.piece_index,
            step.kind.as_str(),
            StepState::Waiting.as_str(),
            rows::signed(waiting_for)?,
            rows::signed(step.bytes)?,
            new.now.0,
        ],
    )?;
    Ok(())
}

fn plan(new: NewSteps<'_>) -> Result<Vec<Planned>, StoreError> {
    let of_capture = |kind| Planned { kind, asset_id: None, piece_index: None, bytes: 0 };
    let of_asset = |kind| Planned { asset_id: Some(new.asset_id), ..of_capture(kind) };
    let analysed = wants_analysis(new.kind, new.content_type);
    let mut planned = Vec::with_capacity(new.pieces.len() + 6);
    if analysed {
        planned.push(of_capture(StepKind::Analyse));
    }
    if wants_thumbnail(new.kind, new.content_type) {
        planned.push(of_capture(StepKind::Thumbnail));
    }
    planned.push(of_capture(StepKind::SendRecord));
    planned.push(of_asset(StepKind::SendEnvelope));
    for (index, bytes) in new.pieces.iter().enumerate() {
        let index = u32::try_from(index).map_err(|_| StoreError::Refused { code: "too_large" })?;
        planned.push(Planned { piece_index: Some(index), bytes: *bytes, ..of_asset(StepKind::SendPiece) });
    }
    if analysed {
        planned.push(of_capture(StepKind::SendFindings));
    }
    planned.push(of_asset(StepKind::FetchReceipt));
    Ok(planned)
}

/// How many of the planned steps, all of them waiting, `step` waits for. There is one asset, so all of them are its own.
fn waiting_for(step: &Planned, planned: &[Planned]) -> u64 {
    let waits = waits_for(step.kind);
    let unmet =
        |other: &&Planned| waits.iter().any(|(kind, wait)| *kind == other.kind && !wait.is_met(StepState::Waiting));
    planned.iter().filter(unmet).count() as u64
}
