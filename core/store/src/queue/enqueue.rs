//! Letting things leave: sealed pieces become queued, and what was set aside comes back when its time has come.
//!
//! Enqueuing goes in bounded transactions along the index of states, because a device may come from a month without network
//! with a million captures. Each chunk is complete in itself: a kill between two of them loses nothing.

use super::{
    derive, piece_row,
    step_row::{self, StepRow, StepWrite},
};
use crate::{StoreError, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, Reason, ReasonCode, Rendition, StepKind, StepState, UnixMs, piece::PieceEvent,
    step_event::StepEvent,
};

/// Assets in one transaction: some milliseconds, so that a capture that waits for the writer hardly notices.
pub(crate) const ASSETS_PER_TRANSACTION: i64 = 200;

/// Assets whose pieces are sealed and complete, and which therefore may leave. Analysis is not waited for: evidence is safe
/// at the server sooner, and findings follow as amendments.
pub(crate) const LEAVING_STATES: [AssetState; 2] = [AssetState::Saved, AssetState::Prepared];

/// Queues the pieces of the next assets of one state and rendition after `after`; the last capture that was looked at, or
/// `None` when that was all.
pub(crate) fn enqueue_chunk(
    connection: &Connection,
    state: AssetState,
    rendition: Rendition,
    after: Option<CaptureId>,
    now: UnixMs,
) -> Result<Option<CaptureId>, StoreError> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let assets: Vec<(AssetId, CaptureId)> = rows::all(
        connection,
        "SELECT id, capture_id FROM asset WHERE state = ?1 AND rendition = ?2 AND capture_id > ?3
          ORDER BY capture_id LIMIT ?4",
        params![state.as_str(), rendition.as_str(), after, ASSETS_PER_TRANSACTION],
        |row| Ok((rows::asset_id(row, 0)?, rows::capture_id(row, 1)?)),
    )?;
    for (asset_id, _) in &assets {
        piece_row::apply_where_possible(connection, *asset_id, PieceEvent::Enqueue)?;
        derive::derive_asset_state(connection, *asset_id, now)?;
    }
    Ok(assets.last().map(|(_, capture_id)| *capture_id))
}

/// The parked steps whose revival is due.
pub(crate) fn due_revivals(connection: &Connection, now: UnixMs) -> Result<Vec<i64>, StoreError> {
    parked(connection, |step| step.not_before.is_some_and(|at| at <= now) && revives_by_itself(step.reason.as_ref()))
}

/// The parked steps of a kind with one of the codes.
pub(crate) fn parked_with(
    connection: &Connection,
    kind: StepKind,
    codes: &[ReasonCode],
) -> Result<Vec<i64>, StoreError> {
    parked(connection, |step| {
        step.kind == kind && step.reason.as_ref().is_some_and(|reason| codes.contains(&reason.code))
    })
}

fn parked(connection: &Connection, wanted: impl Fn(&StepRow) -> bool) -> Result<Vec<i64>, StoreError> {
    let sql = format!("SELECT {} FROM step WHERE state = 'parked'", step_row::COLUMNS);
    let steps = rows::all(connection, &sql, [], step_row::read)?;
    Ok(steps.iter().filter(|step| wanted(step)).map(|step| step.id).collect())
}

/// What nothing can unblock is not tried again every day.
pub(crate) fn revives_by_itself(reason: Option<&Reason>) -> bool {
    reason.is_none_or(|reason| reason.code.unblocked_by() != "nothing")
}

/// Brings a parked step and its piece back. A step that is not parked any more, or whose piece cannot be sent any more, is
/// left alone: one strange item must not hold up the others.
pub(crate) fn revive(connection: &Connection, step_id: i64, forgive: bool, now: UnixMs) -> Result<bool, StoreError> {
    let step = step_row::load(connection, step_id)?;
    if step.state != StepState::Parked {
        return Ok(false);
    }
    if let (StepKind::SendPiece, Some(asset_id), Some(index)) = (step.kind, step.asset_id, step.piece_index) {
        match piece_row::apply(connection, asset_id, index, PieceEvent::Revive) {
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
    step_row::write(connection, &step, &revived, now)?;
    derive::derive_after(connection, &step, now)?;
    Ok(true)
}
