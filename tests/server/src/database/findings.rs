//! Rows of findings: one a model and capture, so that a model's new answer replaces its old one whole.

use crate::error::Error;
use rusqlite::{Transaction, params};
use snaptrak_domain::{CaptureId, UnixMs};

/// What one model said of a capture, sealed.
pub(crate) struct FindingRow {
    pub(crate) model_id: String,
    pub(crate) findings_sealed: Vec<u8>,
}

/// Models whose findings one capture keeps.
const MODELS_MAX: u32 = 256;

/// Replaces what this model said; `false` where the capture has findings of too many models.
pub(crate) fn replace(
    transaction: &Transaction<'_>,
    capture_id: CaptureId,
    row: &FindingRow,
    now: UnixMs,
) -> Result<bool, Error> {
    let id = capture_id.to_string();
    transaction.execute(
        "INSERT INTO finding (capture_id, model_id, findings_sealed, received_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (capture_id, model_id) DO UPDATE SET findings_sealed = excluded.findings_sealed,
           received_ms = excluded.received_ms",
        params![id, row.model_id, row.findings_sealed, now.0],
    )?;
    let models: u32 =
        transaction.query_row("SELECT count(*) FROM finding WHERE capture_id = ?1", [id], |row| row.get(0))?;
    Ok(models <= MODELS_MAX)
}

/// Everything that was said of a capture, in the order of the models' ids.
pub(crate) fn of_capture(transaction: &Transaction<'_>, capture_id: CaptureId) -> Result<Vec<FindingRow>, Error> {
    let mut statement = transaction
        .prepare_cached("SELECT model_id, findings_sealed FROM finding WHERE capture_id = ?1 ORDER BY model_id")?;
    let rows = statement.query_map([capture_id.to_string()], |row| {
        Ok(FindingRow { model_id: row.get("model_id")?, findings_sealed: row.get("findings_sealed")? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
