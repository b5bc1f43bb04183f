//! What inference found, and the steps that looked for it.

use crate::{
    Store, StoreError,
    journal::Entry,
    queue::{derive, end, enqueue, send_again, step_row},
    rows,
    writer::WriteTransaction,
};
use rusqlite::params;
use snaptrak_domain::{
    AssetId, CaptureId, EventKind, Finding, ReasonCode, StepKind, StoreEvent, UnixMs, outcome::Outcome,
    queue_store::AttemptEnd,
};

/// Steps brought back in one transaction.
const REVIVALS_PER_TRANSACTION: usize = 200;

impl Store {
    /// Ends an analysing step well: findings kept (a model's earlier ones of the same asset are replaced), step done, and
    /// `send_findings` to be done (again), in one transaction.
    pub fn save_findings(
        &self,
        step_id: i64,
        capture_id: CaptureId,
        asset_id: AssetId,
        findings: &[Finding],
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let bodies = findings
            .iter()
            .map(|finding| {
                // Infinite scores have no JSON; an engine that gives them has failed.
                let body = serde_json::to_string(finding).map_err(|_| StoreError::Refused { code: "finding" })?;
                Ok((finding.task, finding.model_id.clone(), body))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let entry = Entry::Findings { capture_id, asset_id, findings: findings.to_vec(), found_ms: now };
        self.write_journaled(vec![entry], move |tx| {
            for (task, model_id, body) in &bodies {
                rows::change(
                    tx,
                    "INSERT INTO finding (capture_id, asset_id, task, model_id, body, found_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (asset_id, model_id) DO UPDATE SET
                         task = excluded.task, body = excluded.body, found_ms = excluded.found_ms",
                    params![capture_id.as_bytes(), asset_id.as_bytes(), task.as_str(), model_id, body, now.0],
                )?;
            }
            let done = AttemptEnd { step_id, outcome: Outcome::Done, piece_event: None, now, jitter: 0 };
            end::end(tx, &done)?;
            send_findings_again(tx, capture_id, now)?;
            announce_findings(tx, capture_id, asset_id)
        })
    }

    /// Brings parked steps of a kind back whose code is one of `codes` (an engine was installed, a model arrived), with their
    /// failures forgiven. The answer is how many.
    pub fn revive(&self, kind: StepKind, codes: &[ReasonCode], now: UnixMs) -> Result<u64, StoreError> {
        let mut revived = 0;
        for code in codes.iter().copied() {
            let mut after = 0;
            loop {
                let chunk = self
                    .read(|connection| enqueue::parked_with(connection, kind, code, after, REVIVALS_PER_TRANSACTION))?;
                let Some(last) = chunk.last().copied() else { break };
                after = last;
                revived += self.write(move |tx| {
                    chunk
                        .into_iter()
                        .try_fold(0, |count, id| Ok(count + u64::from(enqueue::revive(tx, id, true, now)?)))
                })?;
            }
        }
        Ok(revived)
    }
}

/// Says that there are findings, once the asset stands where they leave it.
fn announce_findings(
    transaction: &WriteTransaction<'_>,
    capture_id: CaptureId,
    asset_id: AssetId,
) -> Result<(), StoreError> {
    if !transaction.is_watched() {
        return Ok(());
    }
    let sql = "SELECT rendition, state FROM asset WHERE id = ?1";
    let asset = rows::first(transaction, sql, [asset_id.as_bytes()], |row| {
        Ok((rows::word(row, 0, "rendition")?, rows::word(row, 1, "asset state")?))
    })?;
    if let Some((rendition, state)) = asset {
        transaction.announce(StoreEvent { kind: EventKind::Found, capture_id, asset_id, rendition, state });
    }
    Ok(())
}

fn send_findings_again(
    transaction: &WriteTransaction<'_>,
    capture_id: CaptureId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let steps = step_row::of_capture(transaction, capture_id)?;
    for step in steps.iter().filter(|step| step.kind == StepKind::SendFindings) {
        send_again::reopen(transaction, step, now)?;
    }
    derive::derive_capture(transaction, capture_id, now)
}
