//! Letting things leave: sealed pieces become queued, and what was set aside comes back when its time has come.
//!
//! A device may come from a month without network with a million captures, so each call does a bounded part of it in one
//! transaction, in the order in which things will be sent. What is left to let out is a place in the index of steps
//! (`held = 1`), so that neither this nor the planner ever walks past it. A kill between two calls loses nothing.

use super::{
    derive, piece_row, ready,
    step_row::{self, StepWrite},
};
use crate::{StoreError, rows, writer::WriteTransaction};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{
    PieceState, Reason, ReasonCode, StepKind, StepState, UnixMs, limits::LET_OUT_MAX, limits::REVIVAL_AFTER_MS,
    piece::PieceEvent, step_event::StepEvent,
};
use std::collections::BTreeSet;

/// Pieces that nobody has let out, in the order in which they will be sent. Analysis is not waited for: evidence is safe at
/// the server sooner, and findings follow as amendments.
pub(super) const HELD: &str = "SELECT id FROM step
  WHERE kind = 'send_piece' AND state = 'waiting' AND held = 1 AND waits_for = ?1
  ORDER BY not_before_ms, bytes / 4194304, id LIMIT ?2";

/// Parked steps whose date lies between two moments, the longest overdue first.
pub(super) const DUE_REVIVALS: &str = "SELECT id FROM step INDEXED BY step_revival
  WHERE state = 'parked' AND not_before_ms IS NOT NULL AND not_before_ms BETWEEN ?1 AND ?2
  ORDER BY not_before_ms LIMIT ?3";

/// Parked steps of one kind and code after a step.
pub(super) const PARKED_WITH: &str = "SELECT id FROM step INDEXED BY step_parked
  WHERE state = 'parked' AND kind = ?1 AND reason ->> '$.code' = ?2 AND id > ?3 ORDER BY id LIMIT ?4";

/// What one call does.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    pieces: Vec<i64>,
    revivals: Vec<i64>,
    /// More is left that could be sent at once.
    pub(crate) more: bool,
}

impl Leaving {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.revivals.is_empty()
    }
}

/// Chooses what one call does: first what can be sent at once, then what still waits for its record.
pub(crate) fn choose(connection: &Connection, now: UnixMs) -> Result<Leaving, StoreError> {
    let held =
        |waits_for: u32, limit: usize| rows::all(connection, HELD, params![waits_for, rows::signed(limit as u64)?], id);
    let mut pieces = held(0, LET_OUT_MAX)?;
    let more_pieces = pieces.len() == LET_OUT_MAX;
    // A piece waits for nothing but its record.
    pieces.extend(held(1, LET_OUT_MAX - pieces.len())?);
    let mut revivals = Vec::new();
    for (from, until) in ready::over(now, REVIVAL_AFTER_MS) {
        let left = rows::signed((LET_OUT_MAX - revivals.len()) as u64)?;
        revivals.extend(rows::all(connection, DUE_REVIVALS, params![from, until, left], id)?);
    }
    let more = more_pieces || revivals.len() == LET_OUT_MAX;
    Ok(Leaving { pieces, revivals, more })
}

/// Lets out what was chosen. Each step is looked at again: it may have moved meanwhile.
pub(crate) fn let_out(transaction: &WriteTransaction<'_>, leaving: &Leaving, now: UnixMs) -> Result<(), StoreError> {
    let mut assets = BTreeSet::new();
    for step_id in &leaving.pieces {
        let step = step_row::load(transaction, *step_id)?;
        let (Some(asset_id), Some(index)) = (step.asset_id, step.piece_index) else { continue };
        if piece_row::state(transaction, asset_id, index)? == PieceState::Sealed {
            piece_row::apply(transaction, asset_id, index, PieceEvent::Enqueue)?;
            assets.insert(asset_id);
        }
    }
    for asset_id in assets {
        derive::derive_asset_state(transaction, asset_id, now)?;
    }
    leaving.revivals.iter().try_for_each(|step_id| revive_due(transaction, *step_id, now))
}

/// Brings a step back whose date has come. One that nothing can unblock, or whose piece cannot be sent any more, loses its
/// date instead, so that it is not looked at again at every call.
fn revive_due(transaction: &WriteTransaction<'_>, step_id: i64, now: UnixMs) -> Result<(), StoreError> {
    let step = step_row::load(transaction, step_id)?;
    if revives_by_itself(step.reason.as_ref()) && revive(transaction, step_id, false, now)? {
        return Ok(());
    }
    let sql = "UPDATE step SET not_before_ms = NULL WHERE id = ?1 AND state = 'parked'";
    rows::change(transaction, sql, [step_id]).map(|_| ())
}

/// Some parked steps of a kind with a code, after a step.
pub(crate) fn parked_with(
    connection: &Connection,
    kind: StepKind,
    code: ReasonCode,
    after: i64,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let limit = rows::signed(limit as u64)?;
    rows::all(connection, PARKED_WITH, params![kind.as_str(), code.as_str(), after, limit], id)
}

fn id(row: &Row<'_>) -> Result<i64, StoreError> {
    Ok(row.get(0)?)
}

/// What nothing can unblock is not tried again every day.
pub(crate) fn revives_by_itself(reason: Option<&Reason>) -> bool {
    reason.is_none_or(|reason| reason.code.unblocked_by() != "nothing")
}

/// Brings a parked step and its piece back. A step that is not parked any more, or whose piece cannot be sent any more, is
/// left alone: one strange item must not hold up the others.
pub(crate) fn revive(
    transaction: &WriteTransaction<'_>,
    step_id: i64,
    forgive: bool,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let step = step_row::load(transaction, step_id)?;
    if step.state != StepState::Parked {
        return Ok(false);
    }
    if let (StepKind::SendPiece, Some(asset_id), Some(index)) = (step.kind, step.asset_id, step.piece_index) {
        match piece_row::apply(transaction, asset_id, index, PieceEvent::Revive) {
            Ok(_) => {}
            Err(StoreError::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    let revived = StepWrite {
        state: step.after(StepEvent::Revive)?,
        // Without forgiveness one more failure parks it again: a revival a day is one try a day.
        failures: if forgive { 0 } else { step.failures },
        failed_since: if forgive { None } else { step.failed_since },
        not_before: None,
        reason: None,
        ..step.unchanged()
    };
    step_row::write(transaction, &step, &revived, now)?;
    derive::derive_after(transaction, &step, now)?;
    transaction.announce_queue();
    Ok(true)
}
