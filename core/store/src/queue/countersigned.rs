//! The countersigned receipt: what it must say, and the transaction that turns it into `verified`.
//!
//! Refuses to check a signature: the caller did, against the trust bundle. This is the only way by which a piece becomes
//! verified.

use super::{
    derive, end, piece_row,
    step_row::{self, StepRow},
};
use crate::{StoreError, journal::Lines, receipts, rows, writer::WriteTransaction};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, PieceState, Sha256Digest, StepKind, UnixMs,
    outcome::Outcome,
    piece::PieceEvent,
    queue_store::{AttemptEnd, ExpectedReceipt},
};

/// What the countersignature of an asset must say. `wrap_key_ids` come from its envelope.
pub(crate) fn expected(
    connection: &Connection,
    asset_id: AssetId,
    wrap_key_ids: Vec<Sha256Digest>,
) -> Result<ExpectedReceipt, StoreError> {
    let id = asset_id.as_bytes();
    let (sha256, bytes, receipt_payload_sha256) = rows::first(
        connection,
        "SELECT asset.sha256, asset.bytes, receipt.payload_sha256 FROM asset JOIN receipt ON receipt.asset_id = asset.id
          WHERE asset.id = ?1 AND asset.sha256 IS NOT NULL",
        [id],
        |row| Ok((rows::digest(row, 0)?, rows::count(row, 1)?, rows::digest(row, 2)?)),
    )?
    .ok_or(StoreError::Missing { what: "receipt" })?;
    let pieces = rows::all(
        connection,
        "SELECT piece_index, sealed_bytes, sealed_sha256 FROM piece WHERE asset_id = ?1 ORDER BY piece_index",
        [id],
        |row| Ok((rows::small(row, 0)?, rows::count(row, 1)?, rows::digest(row, 2)?)),
    )?;
    Ok(ExpectedReceipt { receipt_payload_sha256, sha256, bytes, pieces, wrap_key_ids })
}

/// Keeps a checked countersignature: receipt, pieces, steps and asset, all or nothing. Twice is no error. The answer is the
/// asset.
pub(crate) fn save(
    transaction: &WriteTransaction<'_>,
    lines: &mut Lines,
    step_id: i64,
    countersigned: &[u8],
    now: UnixMs,
) -> Result<AssetId, StoreError> {
    let step = step_row::load(transaction, step_id)?;
    let (StepKind::FetchReceipt, Some(asset_id)) = (step.kind, step.asset_id) else {
        return Err(StoreError::Refused { code: "not_a_receipt_step" });
    };
    let kept = rows::change(
        transaction,
        "UPDATE receipt SET countersigned = ?2, countersigned_ms = ?3 WHERE asset_id = ?1",
        params![asset_id.as_bytes(), countersigned, now.0],
    )?;
    if kept != 1 {
        return Err(StoreError::Missing { what: "receipt" });
    }
    lines.entry(&receipts::entry(transaction, asset_id)?.ok_or(StoreError::Missing { what: "receipt" })?);
    piece_row::apply_where_possible(transaction, asset_id, PieceEvent::Countersigned)?;
    check_all_held(transaction, asset_id)?;
    // The server holds everything, whatever an attempt that is still under way may say later.
    for kind in [StepKind::SendEnvelope, StepKind::SendPiece] {
        for sent in step_row::of_asset(transaction, step.capture_id, asset_id, kind)? {
            finish_quietly(transaction, &sent, now)?;
        }
    }
    if !step.state.is_settled() {
        finish_step(transaction, &step, now)?;
    }
    derive::derive_asset_state(transaction, asset_id, now)?;
    Ok(asset_id)
}

/// A piece that was set aside or taken back meanwhile is none that a countersignature can verify; with the step done it would
/// never be asked for again. The error keeps everything as it was.
fn check_all_held(connection: &Connection, asset_id: AssetId) -> Result<(), StoreError> {
    let states: Vec<PieceState> =
        rows::all(connection, "SELECT DISTINCT state FROM piece WHERE asset_id = ?1", [asset_id.as_bytes()], |row| {
            rows::word(row, 0, "piece state")
        })?;
    let held = |state: &PieceState| match state {
        PieceState::Verified | PieceState::Purged => true,
        PieceState::Sealed
        | PieceState::Queued
        | PieceState::Sending
        | PieceState::Received
        | PieceState::Parked
        | PieceState::Cancelled => false,
    };
    if states.iter().all(held) { Ok(()) } else { Err(StoreError::Refused { code: "piece_aside" }) }
}

fn finish_step(transaction: &WriteTransaction<'_>, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    let done = AttemptEnd { step_id: step.id, outcome: Outcome::Done, piece_event: None, now, jitter: 0 };
    end::finish(transaction, step, &done).map(|_| ())
}

fn finish_quietly(transaction: &WriteTransaction<'_>, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    if step.state.is_settled() {
        return Ok(());
    }
    finish_step(transaction, step, now)
}
