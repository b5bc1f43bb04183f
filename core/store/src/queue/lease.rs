//! Leases: who works on a step, until when. Written as boot id and monotonic time, so that neither a reboot nor a changed
//! clock strands a step.
//!
//! A lease's owner is a thread of the process that holds the store's lock. So a lease found while opening belongs to nobody,
//! whatever it says, and is ended.

use super::{
    derive, piece_row,
    step_row::{self, StepRow, StepWrite},
};
use crate::{StoreError, rows, writer::WriteTransaction};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    BootId, Instant, MonotonicMs, PieceState, StepKind, StepState, UnixMs, piece::PieceEvent, step_event::StepEvent,
};

/// What a lease is counted in, and when it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct LeaseTimes {
    pub(crate) wall: UnixMs,
    pub(crate) at: Instant,
    pub(crate) lease_ms: i64,
}

/// Takes a lease on a step that is ready, or whose lease has ended; marks its piece as sending. A step that someone else
/// holds, or that settled meanwhile, is missing: whoever asked has nothing to do.
pub(crate) fn begin(transaction: &WriteTransaction<'_>, step_id: i64, times: &LeaseTimes) -> Result<(), StoreError> {
    const NOT_READY: StoreError = StoreError::Missing { what: "ready step" };
    let step = step_row::load(transaction, step_id)?;
    let held = step.lease_until.as_ref().is_some_and(|until| !until.reached(&times.at));
    if held || step.waits_for > 0 || step.state.is_settled() {
        return Err(NOT_READY);
    }
    let until = times.at.monotonic_ms.0.saturating_add(times.lease_ms.max(0));
    let begun = StepWrite {
        state: step.after(StepEvent::Begin)?,
        lease_until: Some(Instant { boot_id: times.at.boot_id.clone(), monotonic_ms: MonotonicMs(until) }),
        ..step.unchanged()
    };
    step_row::write(transaction, &step, &begun, times.wall)?;
    if let (StepKind::SendPiece, Some(asset_id), Some(index)) = (step.kind, step.asset_id, step.piece_index) {
        piece_row::apply(transaction, asset_id, index, PieceEvent::Start)?;
    }
    derive::derive_after(transaction, &step, times.wall)
}

/// The running steps of a kind whose lease has ended at `at`. Few steps run at once, so this reads few rows.
pub(crate) fn ended(connection: &Connection, kind: StepKind, at: &Instant) -> Result<Vec<i64>, StoreError> {
    let running = rows::all(
        connection,
        "SELECT id, lease_boot, lease_until_ms FROM step WHERE kind = ?1 AND state = 'running'",
        [kind.as_str()],
        |row| {
            let boot: Option<String> = row.get(1)?;
            let until: Option<i64> = row.get(2)?;
            Ok((row.get::<_, i64>(0)?, boot.zip(until)))
        },
    )?;
    let has_ended = |lease: &Option<(String, i64)>| {
        lease.as_ref().is_none_or(|(boot, until)| {
            Instant { boot_id: BootId(boot.clone()), monotonic_ms: MonotonicMs(*until) }.reached(at)
        })
    };
    Ok(running.into_iter().filter(|(_, lease)| has_ended(lease)).map(|(id, _)| id).collect())
}

/// Ends a lease that is over at `at`. Looked at again under the writer: its owner may have written an outcome, or begun anew.
pub(crate) fn end_if_over(
    transaction: &WriteTransaction<'_>,
    step_id: i64,
    at: &Instant,
    now: UnixMs,
) -> Result<(), StoreError> {
    let step = step_row::load(transaction, step_id)?;
    if step.lease_until.as_ref().is_none_or(|until| until.reached(at)) { end(transaction, &step, now) } else { Ok(()) }
}

/// Brings a running step back to waiting, and its piece to queued. A step that is not running any more is left alone.
fn end(transaction: &WriteTransaction<'_>, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    match step.state {
        StepState::Running => release(transaction, step, now),
        StepState::Waiting | StepState::Done | StepState::Parked | StepState::Cancelled => Ok(()),
    }
}

fn release(transaction: &WriteTransaction<'_>, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    let waiting = StepWrite { state: step.after(StepEvent::LeaseEnded)?, lease_until: None, ..step.unchanged() };
    step_row::write(transaction, step, &waiting, now)?;
    if let (StepKind::SendPiece, Some(asset_id), Some(index)) = (step.kind, step.asset_id, step.piece_index) {
        // Only a piece that was being sent comes back; one that the server has meanwhile signed for stays as it is.
        if piece_row::state(transaction, asset_id, index)? == PieceState::Sending {
            piece_row::apply(transaction, asset_id, index, PieceEvent::Interrupted)?;
        }
    }
    derive::derive_after(transaction, step, now)
}

/// Ends every lease: for opening, under the store's lock.
pub(crate) fn void_all(transaction: &WriteTransaction<'_>, now: UnixMs) -> Result<(), StoreError> {
    for kind in StepKind::ALL {
        let running = rows::all(
            transaction,
            "SELECT id FROM step WHERE kind = ?1 AND state = ?2",
            params![kind.as_str(), StepState::Running.as_str()],
            |row| Ok(row.get::<_, i64>(0)?),
        )?;
        for step_id in running {
            end(transaction, &step_row::load(transaction, step_id)?, now)?;
        }
    }
    Ok(())
}
