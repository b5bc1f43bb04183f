//! `asset.state`: recomputed by [`asset::derive`] in the transaction that moved a piece or a step, and never set otherwise.

use super::step_row::StepRow;
use crate::{StoreError, rows, writer::WriteTransaction};
use rusqlite::params;
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, EventKind, PieceState, StepKind, StepState, StoreEvent, UnixMs,
    asset::{self, AssetFacts},
};

/// Recomputes one asset's state and announces another one; the answer is the state now.
pub(crate) fn derive_asset_state(
    transaction: &WriteTransaction<'_>,
    asset_id: AssetId,
    now: UnixMs,
) -> Result<AssetState, StoreError> {
    let id = asset_id.as_bytes();
    let sql = "SELECT capture_id, closed, withheld, state, rendition FROM asset WHERE id = ?1";
    let (capture_id, closed, withheld, before, rendition) = rows::first(transaction, sql, [id], |row| {
        let (state, rendition): (AssetState, _) =
            (rows::word(row, 3, "asset state")?, rows::word(row, 4, "rendition")?);
        Ok((rows::capture_id(row, 0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?, state, rendition))
    })?
    .ok_or(StoreError::Missing { what: "asset" })?;
    let pieces: Vec<PieceState> =
        rows::all(transaction, "SELECT DISTINCT state FROM piece WHERE asset_id = ?1", [id], |row| {
            rows::word(row, 0, "piece state")
        })?;
    let steps: Vec<(StepKind, StepState)> = rows::all(
        transaction,
        "SELECT DISTINCT kind, state FROM step WHERE capture_id = ?1 AND (asset_id IS NULL OR asset_id = ?2)",
        params![capture_id.as_bytes(), id],
        |row| Ok((rows::word(row, 0, "step kind")?, rows::word(row, 1, "step state")?)),
    )?;
    let after = asset::derive(AssetFacts {
        closed,
        withheld,
        prepared: steps.iter().all(|(kind, state)| !kind.prepares() || state.is_settled()),
        parked: steps.iter().any(|(kind, state)| kind.blocks_verification() && *state == StepState::Parked),
        pieces: &pieces,
    });
    if after != before {
        rows::change(
            transaction,
            "UPDATE asset SET state = ?2, state_since_ms = ?3 WHERE id = ?1",
            params![id, after.as_str(), now.0],
        )?;
        transaction.announce(StoreEvent {
            kind: EventKind::StateChanged,
            capture_id,
            asset_id,
            rendition,
            state: after,
        });
    }
    Ok(after)
}

/// Recomputes what a change of `step` can have moved: its asset, or every asset of its capture.
pub(crate) fn derive_after(transaction: &WriteTransaction<'_>, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    match step.asset_id {
        Some(asset_id) => derive_asset_state(transaction, asset_id, now).map(|_| ()),
        None => derive_capture(transaction, step.capture_id, now),
    }
}

/// Recomputes every asset of a capture.
pub(crate) fn derive_capture(
    transaction: &WriteTransaction<'_>,
    capture_id: CaptureId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let assets =
        rows::all(transaction, "SELECT id FROM asset WHERE capture_id = ?1", [capture_id.as_bytes()], |row| {
            rows::asset_id(row, 0)
        })?;
    assets.into_iter().try_for_each(|asset_id| derive_asset_state(transaction, asset_id, now).map(|_| ()))
}
