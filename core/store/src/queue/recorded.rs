//! What a recording means for the queue while it goes on, when it ends, and when it is taken back.
//!
//! A finished piece has its step at once, so that it may be at the server before the recording ends. The envelope follows, not
//! once a piece but at most every few seconds; its step is reopened even while it is being sent, and an answer to what was sent
//! before then settles nothing (see [`super::end`]).

use super::{
    derive, piece_row,
    step_row::{self, StepRow, StepWrite},
    steps::{self, NewSteps},
};
use crate::{StoreError, capture_rows, rows, writer::WriteTransaction};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetId, CaptureId, StepKind, StepState, UnixMs, piece::PieceEvent, step_event::StepEvent};

/// An envelope that lists more is sent this long after the piece that made it so: one request for the pieces of a burst. The
/// server verifies nothing before the end, so that nobody waits for it.
const ENVELOPE_AGAIN_AFTER_MS: i64 = 2_000;

/// A piece was finished and has its row.
pub(crate) fn piece_added(
    transaction: &WriteTransaction<'_>,
    new: &NewSteps<'_>,
    index: u32,
    sealed_bytes: u64,
) -> Result<(), StoreError> {
    let soon = UnixMs(new.now.0.saturating_add(ENVELOPE_AGAIN_AFTER_MS));
    envelope_again(transaction, new, Some(soon))?;
    steps::add_piece(transaction, new, index, sealed_bytes)?;
    derive::derive_asset_state(transaction, new.asset_id, new.now).map(|_| ())
}

/// No piece will follow; every piece has its row. The steps that only a whole asset has come with it.
pub(crate) fn closed(connection: &Connection, new: &NewSteps<'_>, record_changed: bool) -> Result<(), StoreError> {
    envelope_again(connection, new, None)?;
    if record_changed {
        for step in of_capture(connection, new.capture_id, StepKind::SendRecord)? {
            again(connection, &step, None, new.now)?;
        }
    }
    steps::add_missing(connection, new)
}

/// The recording was taken back. Rows stay where something may have left; twice is no error.
pub(crate) fn cancelled(transaction: &WriteTransaction<'_>, asset_id: AssetId, now: UnixMs) -> Result<(), StoreError> {
    let id = asset_id.as_bytes();
    let open = "SELECT capture_id FROM asset WHERE id = ?1 AND closed = 0";
    let Some(capture_id) = rows::first(transaction, open, [id], |row| rows::capture_id(row, 0))? else { return Ok(()) };
    if !may_have_left(transaction, capture_id)? {
        return remove(transaction, capture_id, asset_id);
    }
    piece_row::apply_where_possible(transaction, asset_id, PieceEvent::Cancel)?;
    for step in step_row::of_capture(transaction, capture_id)? {
        if step.state != StepState::Done {
            let cancelled = StepWrite {
                state: step.after(StepEvent::Cancel)?,
                lease_until: None,
                not_before: None,
                ..step.unchanged()
            };
            step_row::write(transaction, &step, &cancelled, now)?;
        }
    }
    rows::change(
        transaction,
        "INSERT INTO tombstone (asset_id, piece_index, reason, at_ms, removed)
         SELECT asset_id, piece_index, 'cancelled', ?2, 1 FROM piece WHERE asset_id = ?1 ON CONFLICT DO NOTHING",
        params![id, now.0],
    )?;
    rows::change(transaction, "UPDATE asset SET in_incoming = 0 WHERE id = ?1", [id])?;
    derive::derive_asset_state(transaction, asset_id, now).map(|_| ())
}

/// Whether anything of a capture may be at the server: an attempt was made, or is being made.
fn may_have_left(connection: &Connection, capture_id: CaptureId) -> Result<bool, StoreError> {
    rows::only(
        connection,
        "SELECT EXISTS (SELECT 1 FROM step WHERE capture_id = ?1 AND (state IN ('running', 'done')
                          OR EXISTS (SELECT 1 FROM attempt WHERE attempt.step_id = step.id)))",
        [capture_id.as_bytes()],
        |row| Ok(row.get(0)?),
    )
}

fn remove(transaction: &WriteTransaction<'_>, capture_id: CaptureId, asset_id: AssetId) -> Result<(), StoreError> {
    rows::change(transaction, "DELETE FROM step WHERE capture_id = ?1", [capture_id.as_bytes()])?;
    rows::change(transaction, "DELETE FROM piece WHERE asset_id = ?1", [asset_id.as_bytes()])?;
    rows::change(transaction, "DELETE FROM asset WHERE id = ?1", [asset_id.as_bytes()])?;
    rows::change(transaction, "DELETE FROM keep WHERE capture_id = ?1", [capture_id.as_bytes()])?;
    rows::change(transaction, "DELETE FROM annotation WHERE capture_id = ?1", [capture_id.as_bytes()])?;
    rows::change(transaction, "DELETE FROM capture WHERE id = ?1", [capture_id.as_bytes()])?;
    transaction.announce(capture_rows::removed(capture_id, asset_id));
    Ok(())
}

/// The envelope says more than what was sent of it.
fn envelope_again(connection: &Connection, new: &NewSteps<'_>, not_before: Option<UnixMs>) -> Result<(), StoreError> {
    for step in step_row::of_asset(connection, new.capture_id, new.asset_id, StepKind::SendEnvelope)? {
        again(connection, &step, not_before, new.now)?;
    }
    Ok(())
}

/// Puts a step back to waiting. One that waits already goes no later than it would, and one that fails keeps its delay.
fn again(connection: &Connection, step: &StepRow, not_before: Option<UnixMs>, now: UnixMs) -> Result<(), StoreError> {
    let not_before = match step.state {
        StepState::Running | StepState::Done => not_before,
        StepState::Waiting if step.failures == 0 && not_before.is_none() => None,
        // What was set aside is sent as it is then, once it comes back.
        StepState::Waiting | StepState::Parked | StepState::Cancelled => return Ok(()),
    };
    let waiting = StepWrite {
        state: step.after(StepEvent::Reopen)?,
        lease_until: None,
        not_before,
        reason: None,
        ..step.unchanged()
    };
    step_row::write(connection, step, &waiting, now)
}

fn of_capture(connection: &Connection, capture_id: CaptureId, kind: StepKind) -> Result<Vec<StepRow>, StoreError> {
    let mut found = step_row::of_capture(connection, capture_id)?;
    found.retain(|step| step.kind == kind);
    Ok(found)
}
