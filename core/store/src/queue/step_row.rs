//! A step's row: reading it, and the one place that changes its state.
//!
//! Owns `step.waits_for`: whenever a state changes here, the counts of the steps that wait for it change in the same
//! transaction, by what [`waits_for`] says. Refuses to decide a state: it writes what the domain's functions answered.

use crate::{StoreError, rows};
use rusqlite::{Connection, Row, params};
use snaptrak_domain::{
    AssetId, BootId, CaptureId, Instant, MonotonicMs, Reason, StepKind, StepState, UnixMs,
    step::{StepNext, waits_for},
    step_event::{self, StepEvent},
};

/// A step as it lies in the database.
#[derive(Debug, Clone)]
pub(crate) struct StepRow {
    pub(crate) id: i64,
    pub(crate) capture_id: CaptureId,
    pub(crate) asset_id: Option<AssetId>,
    pub(crate) piece_index: Option<u32>,
    pub(crate) kind: StepKind,
    pub(crate) state: StepState,
    pub(crate) waits_for: u32,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) failed_since: Option<UnixMs>,
    pub(crate) not_before: Option<UnixMs>,
    pub(crate) lease_until: Option<Instant>,
    pub(crate) reason: Option<Reason>,
    pub(crate) since: UnixMs,
}

/// What is written over a step's changing part.
#[derive(Debug, Clone)]
pub(crate) struct StepWrite {
    pub(crate) state: StepState,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) failed_since: Option<UnixMs>,
    pub(crate) not_before: Option<UnixMs>,
    pub(crate) lease_until: Option<Instant>,
    pub(crate) reason: Option<Reason>,
}

/// The columns of [`read`], in its order.
pub(crate) const COLUMNS: &str = "id, capture_id, asset_id, piece_index, kind, state, waits_for, attempts, failures, \
     failed_since_ms, not_before_ms, lease_boot, lease_until_ms, reason, since_ms";

/// Reads a row of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<StepRow, StoreError> {
    let asset_id: Option<[u8; 16]> = row.get(2)?;
    let piece_index: Option<u32> = row.get(3)?;
    let boot: Option<String> = row.get(11)?;
    let until: Option<i64> = row.get(12)?;
    Ok(StepRow {
        id: row.get(0)?,
        capture_id: rows::capture_id(row, 1)?,
        asset_id: asset_id.map(AssetId::from_bytes),
        piece_index,
        kind: rows::word(row, 4, "step kind")?,
        state: rows::word(row, 5, "step state")?,
        waits_for: rows::small(row, 6)?,
        attempts: rows::small(row, 7)?,
        failures: rows::small(row, 8)?,
        failed_since: rows::unix_ms_or_none(row, 9)?,
        not_before: rows::unix_ms_or_none(row, 10)?,
        lease_until: boot
            .zip(until)
            .map(|(boot, until)| Instant { boot_id: BootId(boot), monotonic_ms: MonotonicMs(until) }),
        reason: rows::reason(row, 13)?,
        since: rows::unix_ms(row, 14)?,
    })
}

/// The step with this id.
pub(crate) fn load(connection: &Connection, step_id: i64) -> Result<StepRow, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM step WHERE id = ?1");
    rows::first(connection, &sql, [step_id], read)?.ok_or(StoreError::Missing { what: "step" })
}

/// Every step of a capture, in the order in which they were made.
pub(crate) fn of_capture(connection: &Connection, capture_id: CaptureId) -> Result<Vec<StepRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM step WHERE capture_id = ?1 ORDER BY id");
    rows::all(connection, &sql, [capture_id.as_bytes()], read)
}

/// The steps of one kind of an asset.
pub(crate) fn of_asset(
    connection: &Connection,
    capture_id: CaptureId,
    asset_id: AssetId,
    kind: StepKind,
) -> Result<Vec<StepRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM step WHERE capture_id = ?1 AND kind = ?2 AND asset_id = ?3 ORDER BY piece_index, id"
    );
    rows::all(connection, &sql, params![capture_id.as_bytes(), kind.as_str(), asset_id.as_bytes()], read)
}

impl StepRow {
    /// The row as it stands, to be changed in part.
    pub(crate) fn unchanged(&self) -> StepWrite {
        StepWrite {
            state: self.state,
            attempts: self.attempts,
            failures: self.failures,
            failed_since: self.failed_since,
            not_before: self.not_before,
            lease_until: self.lease_until.clone(),
            reason: self.reason.clone(),
        }
    }

    /// The row in the words of an attempt's answer.
    pub(crate) fn as_next(&self) -> StepNext {
        StepNext {
            state: self.state,
            attempts: self.attempts,
            failures: self.failures,
            not_before: self.not_before,
            reason: self.reason.clone(),
        }
    }

    /// The state after an event outside attempts. A refused event is a bug of the caller and changes nothing.
    pub(crate) fn after(&self, event: StepEvent) -> Result<StepState, StoreError> {
        step_event::next(self.state, event).map_err(|refused| {
            tracing::warn!(step_id = self.id, kind = self.kind.as_str(), %refused, "an event that a step cannot take");
            StoreError::Refused { code: "step_event" }
        })
    }
}

/// Writes the changing part of a step and the counts of the steps that wait for it.
pub(crate) fn write(connection: &Connection, step: &StepRow, new: &StepWrite, now: UnixMs) -> Result<(), StoreError> {
    let since = if new.state == step.state { step.since } else { now };
    let changed = rows::change(
        connection,
        "UPDATE step SET state = ?2, attempts = ?3, failures = ?4, failed_since_ms = ?5, not_before_ms = ?6, lease_boot = ?7,
                lease_until_ms = ?8, reason = ?9, since_ms = ?10 WHERE id = ?1",
        params![
            step.id,
            new.state.as_str(),
            new.attempts,
            new.failures,
            new.failed_since.map(|at| at.0),
            new.not_before.map(|at| at.0),
            new.lease_until.as_ref().map(|until| until.boot_id.0.as_str()),
            new.lease_until.as_ref().map(|until| until.monotonic_ms.0),
            new.reason.as_ref().map(rows::reason_text),
            since.0,
        ],
    )?;
    if changed != 1 {
        return Err(StoreError::Missing { what: "step" });
    }
    tell_dependents(connection, step, new.state)
}

/// Adds to the counts of the steps of the same capture (and asset, where both have one) what the change of `step` takes away
/// or brings back.
fn tell_dependents(connection: &Connection, step: &StepRow, state: StepState) -> Result<(), StoreError> {
    for dependent in StepKind::ALL {
        for (kind, wait) in waits_for(dependent).iter().filter(|(kind, _)| *kind == step.kind) {
            debug_assert_eq!(*kind, step.kind);
            let more = i64::from(wait.is_met(step.state)) - i64::from(wait.is_met(state));
            if more == 0 {
                continue;
            }
            rows::change(
                connection,
                "UPDATE step SET waits_for = waits_for + ?1
                  WHERE capture_id = ?2 AND kind = ?3 AND (?4 IS NULL OR asset_id IS NULL OR asset_id = ?4)",
                params![
                    more,
                    step.capture_id.as_bytes(),
                    dependent.as_str(),
                    step.asset_id.as_ref().map(AssetId::as_bytes)
                ],
            )?;
        }
    }
    Ok(())
}
