//! The server does not hold what it should: pieces and envelope go out again, and the receipt waits for them.

use super::{
    derive, piece_row,
    step_row::{self, StepRow, StepWrite},
    upload,
};
use crate::{StoreError, rows, writer::WriteTransaction};
use rusqlite::Connection;
use snaptrak_domain::{
    AssetId, PieceState, Reason, ReasonCode, StepKind, StepState, UnixMs, piece::PieceEvent, step_event::StepEvent,
};

/// Reopens the named pieces of an asset (all of them without names), its envelope and its receipt.
pub(crate) fn send_again(
    transaction: &WriteTransaction<'_>,
    asset_id: AssetId,
    pieces: Option<&[u32]>,
    now: UnixMs,
) -> Result<(), StoreError> {
    let capture_id =
        rows::first(transaction, "SELECT capture_id FROM asset WHERE id = ?1", [asset_id.as_bytes()], |row| {
            rows::capture_id(row, 0)
        })?
        .ok_or(StoreError::Missing { what: "asset" })?;
    let sending = step_row::of_asset(transaction, capture_id, asset_id, StepKind::SendPiece)?;
    if let Some(unknown) = pieces.unwrap_or_default().iter().find(|index| !is_known(&sending, **index)) {
        tracing::warn!(%asset_id, piece = unknown, "asked to send a piece again that the asset does not have");
        return Err(StoreError::Missing { what: "piece" });
    }
    for step in &sending {
        if let Some(index) = step.piece_index.filter(|index| pieces.is_none_or(|named| named.contains(index))) {
            again(transaction, step, asset_id, index, now)?;
        }
    }
    for kind in [StepKind::SendEnvelope, StepKind::FetchReceipt] {
        for step in step_row::of_asset(transaction, capture_id, asset_id, kind)? {
            reopen(transaction, &step, now)?;
        }
    }
    derive::derive_asset_state(transaction, asset_id, now)?;
    Ok(())
}

/// The device's receipt of an asset has just been signed: an envelope that left without it goes again.
pub(crate) fn signed(transaction: &WriteTransaction<'_>, asset_id: AssetId, now: UnixMs) -> Result<(), StoreError> {
    let left: bool = rows::only(
        transaction,
        "SELECT EXISTS (SELECT 1 FROM asset JOIN step INDEXED BY step_of_capture ON step.capture_id = asset.capture_id
                         WHERE asset.id = ?1 AND step.asset_id = ?1 AND step.kind = 'send_envelope' AND step.state = 'done')",
        [asset_id.as_bytes()],
        |row| Ok(row.get(0)?),
    )?;
    if left { send_again(transaction, asset_id, Some(&[]), now) } else { Ok(()) }
}

/// A purged piece that the server does not hold any more is set aside, once; a piece that is here or on its way is none.
pub(crate) fn server_lost(
    transaction: &WriteTransaction<'_>,
    asset_id: AssetId,
    index: u32,
    now: UnixMs,
) -> Result<(), StoreError> {
    if piece_row::state(transaction, asset_id, index)? != PieceState::Purged {
        return Ok(());
    }
    let capture_id =
        rows::first(transaction, "SELECT capture_id FROM asset WHERE id = ?1", [asset_id.as_bytes()], |row| {
            rows::capture_id(row, 0)
        })?
        .ok_or(StoreError::Missing { what: "asset" })?;
    for step in step_row::of_asset(transaction, capture_id, asset_id, StepKind::SendPiece)? {
        if step.piece_index == Some(index) {
            again(transaction, &step, asset_id, index, now)?;
        }
    }
    derive::derive_asset_state(transaction, asset_id, now).map(|_| ())
}

fn is_known(steps: &[StepRow], index: u32) -> bool {
    steps.iter().any(|step| step.piece_index == Some(index))
}

/// What it means for a piece that the server does not hold it, by where it stood; `None`: nothing to do.
fn lost_event(state: PieceState) -> Option<PieceEvent> {
    match state {
        PieceState::Queued | PieceState::Sending => Some(PieceEvent::Interrupted),
        PieceState::Received => Some(PieceEvent::SealedMismatch),
        PieceState::Verified | PieceState::Purged => Some(PieceEvent::ServerLost),
        PieceState::Parked => Some(PieceEvent::Revive),
        PieceState::Sealed | PieceState::Cancelled => None,
    }
}

fn again(
    connection: &Connection,
    step: &StepRow,
    asset_id: AssetId,
    index: u32,
    now: UnixMs,
) -> Result<(), StoreError> {
    let Some(event) = lost_event(piece_row::state(connection, asset_id, index)?) else { return Ok(()) };
    upload::save(connection, asset_id, index, None)?;
    match piece_row::apply(connection, asset_id, index, event)? {
        // Purged here and lost there: without a date, since no wait brings the bytes back.
        PieceState::Parked => {
            let parked = StepWrite {
                state: step.after(StepEvent::Park)?,
                lease_until: None,
                not_before: None,
                reason: Some(Reason::new(ReasonCode::ServerLost)),
                ..step.unchanged()
            };
            step_row::write(connection, step, &parked, now)
        }
        PieceState::Sealed
        | PieceState::Queued
        | PieceState::Sending
        | PieceState::Received
        | PieceState::Verified
        | PieceState::Purged
        | PieceState::Cancelled => reopen(connection, step, now),
    }
}

/// Puts a step back to waiting, without delay and without a lease. The count of failures stays: a server that loses the same
/// thing for ever must not be fed for ever.
pub(crate) fn reopen(connection: &Connection, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    if step.state == StepState::Cancelled {
        return Ok(());
    }
    let waiting = StepWrite {
        state: step.after(StepEvent::Reopen)?,
        lease_until: None,
        not_before: None,
        reason: None,
        ..step.unchanged()
    };
    step_row::write(connection, step, &waiting, now)
}
