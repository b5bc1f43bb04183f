//! The end of an attempt: what it means for the step, its piece, the steps that wait and the asset, in one transaction.
//!
//! Decides nothing: [`step::after_attempt`] says what the step becomes, [`piece::next`](snaptrak_domain::piece::next) what the
//! piece becomes. Two things are refused here, because no attempt may do them: to verify, purge or fetch back a piece, and to
//! end `fetch_receipt` well without a countersignature.

use super::{
    derive, piece_row,
    step_row::{self, StepRow, StepWrite},
};
use crate::{StoreError, rows, writer::WriteTransaction};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, Reason, StepKind, StepState, UnixMs,
    outcome::Outcome,
    piece::PieceEvent,
    queue_store::AttemptEnd,
    step::{self, StepFacts, StepNext},
};

/// Attempts that are kept of each step: enough to see a pattern, and an outage of a month fills no disk.
const ATTEMPTS_KEPT: u32 = 16;

/// Writes how an attempt ended. An answer for a step that has settled meanwhile changes nothing: every answer may arrive
/// twice or late.
pub(crate) fn end(transaction: &WriteTransaction<'_>, end: &AttemptEnd) -> Result<StepNext, StoreError> {
    let step = step_row::load(transaction, end.step_id)?;
    if step.state.is_settled() {
        tracing::debug!(step_id = step.id, state = step.state.as_str(), "an attempt ended after its step had settled");
        return Ok(step.as_next());
    }
    match step.kind {
        StepKind::SendEnvelope | StepKind::SendRecord
            if end.outcome == Outcome::Done && step.state == StepState::Waiting =>
        {
            // Reopened while it was under way: what was sent is not what there is now, and goes again.
            tracing::debug!(step_id = step.id, "an attempt sent what has changed meanwhile");
            return Ok(step.as_next());
        }
        StepKind::FetchReceipt if end.outcome == Outcome::Done => {
            return Err(StoreError::Refused { code: "countersignature_missing" });
        }
        StepKind::FetchReceipt
        | StepKind::Analyse
        | StepKind::Redact
        | StepKind::Thumbnail
        | StepKind::SendRecord
        | StepKind::SendEnvelope
        | StepKind::SendPiece
        | StepKind::SendFindings => {}
    }
    finish(transaction, &step, end)
}

/// The same, for the one caller that has checked a countersignature.
pub(super) fn finish(
    transaction: &WriteTransaction<'_>,
    step: &StepRow,
    end: &AttemptEnd,
) -> Result<StepNext, StoreError> {
    let failed_since = failed_since(step, &end.outcome, end.now);
    let facts = StepFacts {
        attempts: step.attempts,
        failures: step.failures,
        peers_succeed: peers_succeed(transaction, step.kind, failed_since, end.now)?,
    };
    let next = step::after_attempt(facts, &end.outcome, end.now, end.jitter);
    let write = StepWrite {
        state: next.state,
        attempts: next.attempts,
        failures: next.failures,
        failed_since,
        not_before: next.not_before,
        lease_until: None,
        reason: next.reason.clone(),
    };
    step_row::write(transaction, step, &write, end.now)?;
    keep_attempt(transaction, step.id, &end.outcome, end.now)?;
    if next.state == StepState::Done {
        keep_success(transaction, step.kind, end.now)?;
    }
    if let (StepKind::SendPiece, Some(asset_id), Some(index)) = (step.kind, step.asset_id, step.piece_index) {
        move_piece(transaction, asset_id, index, end.piece_event, &next)?;
    }
    derive::derive_after(transaction, step, end.now)?;
    // A retry later, or one less to do.
    transaction.announce_queue();
    Ok(next)
}

/// The piece follows its step: what the attempt says, or what the step's new state implies.
fn move_piece(
    connection: &Connection,
    asset_id: AssetId,
    index: u32,
    event: Option<PieceEvent>,
    next: &StepNext,
) -> Result<(), StoreError> {
    let event = match event {
        None => None,
        Some(
            event @ (PieceEvent::Interrupted
            | PieceEvent::Arrived
            | PieceEvent::SealedMismatch
            | PieceEvent::PlaintextMismatch
            | PieceEvent::ServerLost
            | PieceEvent::Park),
        ) => Some(event),
        Some(
            PieceEvent::Enqueue
            | PieceEvent::Start
            | PieceEvent::Countersigned
            | PieceEvent::Purge
            | PieceEvent::FetchedBack
            | PieceEvent::Revive
            | PieceEvent::Cancel,
        ) => return Err(StoreError::Refused { code: "piece_event" }),
    };
    let implied = match next.state {
        StepState::Done => PieceEvent::Arrived,
        StepState::Waiting | StepState::Running => PieceEvent::Interrupted,
        StepState::Parked => PieceEvent::Park,
        StepState::Cancelled => PieceEvent::Cancel,
    };
    for event in event.into_iter().chain([implied]) {
        piece_row::apply(connection, asset_id, index, event)?;
    }
    Ok(())
}

/// First failure of the present row of failures.
fn failed_since(step: &StepRow, outcome: &Outcome, now: UnixMs) -> Option<UnixMs> {
    match outcome {
        Outcome::Done => None,
        Outcome::NotAttempted(_) | Outcome::NotYet { .. } => step.failed_since,
        Outcome::Failed { .. } | Outcome::Refused(_) => Some(step.failed_since.unwrap_or(now)),
    }
}

/// Whether something of the kind has succeeded since this step began to fail. A success that lies ahead was written while the
/// wall clock ran ahead, and proves nothing.
fn peers_succeed(
    connection: &Connection,
    kind: StepKind,
    failed_since: Option<UnixMs>,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let Some(failed_since) = failed_since else { return Ok(false) };
    let last = rows::first(connection, "SELECT at_ms FROM last_success WHERE kind = ?1", [kind.as_str()], |row| {
        rows::unix_ms(row, 0)
    })?;
    Ok(last.is_some_and(|at| (failed_since..=now).contains(&at)))
}

pub(super) fn keep_success(connection: &Connection, kind: StepKind, now: UnixMs) -> Result<(), StoreError> {
    rows::change(
        connection,
        "INSERT INTO last_success (kind, at_ms) VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET at_ms = excluded.at_ms",
        params![kind.as_str(), now.0],
    )
    .map(|_| ())
}

fn outcome_word(outcome: &Outcome) -> (&'static str, Option<&Reason>) {
    match outcome {
        Outcome::Done => ("done", None),
        Outcome::NotAttempted(reason) => ("not_attempted", Some(reason)),
        Outcome::NotYet { reason, .. } => ("not_yet", Some(reason)),
        Outcome::Failed { reason, .. } => ("failed", Some(reason)),
        Outcome::Refused(reason) => ("refused", Some(reason)),
    }
}

fn keep_attempt(connection: &Connection, step_id: i64, outcome: &Outcome, now: UnixMs) -> Result<(), StoreError> {
    let (word, reason) = outcome_word(outcome);
    rows::change(
        connection,
        "INSERT INTO attempt (step_id, ended_ms, outcome, reason) VALUES (?1, ?2, ?3, ?4)",
        params![step_id, now.0, word, reason.map(rows::reason_text)],
    )?;
    rows::change(
        connection,
        "DELETE FROM attempt WHERE step_id = ?1
            AND id <= (SELECT id FROM attempt WHERE step_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![step_id, ATTEMPTS_KEPT],
    )?;
    Ok(())
}
