//! The lanes: what is begun next. Records pass everything, small work has its own lane, and one lane of the pieces is kept
//! for small ones, so that a large video never holds up a note.

use snaptrak_domain::queue_store::ReadyStep;
use snaptrak_domain::transport::TransferEvent;
use snaptrak_domain::{StepKind, limits};

use crate::report::StoppedBecause;

use super::flight::Job;
use super::{Halt, Window};

/// Envelopes and findings under way at once: each is one round trip, and four hide most of the latency of a bad network.
const SMALL_LANE: usize = 4;
/// Pieces under way at once: more would share the same narrow uplink and each finish later.
const PIECE_LANES: usize = 3;
/// Large pieces under way at once: one lane less than there are.
const LARGE_PIECE_LANES: usize = PIECE_LANES - 1;
/// A piece below this size is small: a note, a thumbnail, most photos of a phone camera. The queue lists by the same lanes.
const LANE_BYTES: u64 = 4_194_304;
/// Candidates that are looked at for the lanes. Small pieces come first, so that a few suffice.
const CANDIDATES: usize = 16;

/// How often new captures are looked for while something is under way. One look is one short transaction.
pub(super) const LET_OUT_EVERY_MS: i64 = 1_000;

/// Whether an event ends a transfer.
pub(super) fn is_end(event: &TransferEvent) -> bool {
    match event {
        TransferEvent::Finished { .. } => true,
        TransferEvent::Progress { .. } => false,
    }
}

impl Window<'_> {
    /// Begins what fits.
    pub(super) fn fill(&mut self) -> Result<(), Halt> {
        let now = self.now();
        self.due.retain(|due| *due > now);
        self.let_out_in_time()?;
        if self.trouble.pause_ms(self.line.clock.monotonic()) > 0 {
            return Ok(());
        }
        if self.is_flying(|job| matches!(job, Job::Records(_))) == 0 {
            self.start_records()?;
        }
        self.fill_small_lane()?;
        self.fill_piece_lanes()?;
        if self.is_flying(|job| matches!(job, Job::Receipts(_))) == 0 {
            self.start_receipts()?;
        }
        Ok(())
    }

    /// What was captured since the window began leaves too.
    fn let_out_in_time(&mut self) -> Result<(), Halt> {
        let at = self.line.clock.monotonic();
        if self.enqueued.is_some_and(|last| at.0.saturating_sub(last.0) < LET_OUT_EVERY_MS) {
            return Ok(());
        }
        self.let_out()
    }

    /// Lets out the next bounded part of what may leave.
    pub(super) fn let_out(&mut self) -> Result<(), Halt> {
        self.enqueued = Some(self.line.clock.monotonic());
        self.more_may_leave = self.store.enqueue(self.now())?;
        Ok(())
    }

    /// Whether the byte budget still allows something; otherwise the window drains.
    pub(super) fn may_send(&mut self) -> bool {
        if self.draining.is_none() && self.allowance() == 0 {
            self.draining = Some(StoppedBecause::BudgetBytes);
        }
        self.draining.is_none()
    }

    /// Steps that are ready and not under way here already.
    pub(super) fn ready(&self, kind: StepKind, limit: usize) -> Result<Vec<ReadyStep>, Halt> {
        // What is under way may be listed too once its lease has run out, and must not hide the rest.
        let steps = self.store.ready(kind, self.now(), limit + self.active.len())?;
        Ok(steps.into_iter().filter(|step| !self.active.contains(&step.step_id)).take(limit).collect())
    }

    fn fill_small_lane(&mut self) -> Result<(), Halt> {
        for kind in [StepKind::SendEnvelope, StepKind::SendFindings] {
            let flying = self.is_flying(|job| matches!(job, Job::Envelope(..) | Job::Findings(..)));
            if flying >= SMALL_LANE {
                return Ok(());
            }
            for step in self.ready(kind, SMALL_LANE - flying)? {
                if !self.may_send() {
                    return Ok(());
                }
                match kind {
                    StepKind::SendEnvelope => self.start_envelope(step)?,
                    StepKind::SendFindings => self.start_findings(step)?,
                    StepKind::Analyse
                    | StepKind::Redact
                    | StepKind::Thumbnail
                    | StepKind::SendRecord
                    | StepKind::SendPiece
                    | StepKind::FetchReceipt => {}
                }
            }
        }
        Ok(())
    }

    fn fill_piece_lanes(&mut self) -> Result<(), Halt> {
        let (mut small, mut large) = self.pieces_flying();
        if small + large >= PIECE_LANES {
            return Ok(());
        }
        let mut candidates = self.ready(StepKind::SendPiece, CANDIDATES)?;
        if candidates.len() < CANDIDATES && self.more_may_leave {
            // The queue lets out a bounded part at a time, and the lanes have run dry of it.
            self.let_out()?;
            candidates = self.ready(StepKind::SendPiece, CANDIDATES)?;
        }
        for step in candidates {
            if small + large >= PIECE_LANES || !self.may_send() {
                return Ok(());
            }
            let is_small = is_small(step.bytes);
            if !is_small && large >= LARGE_PIECE_LANES {
                continue;
            }
            self.start_piece(step)?;
            (small, large) = self.pieces_flying();
        }
        Ok(())
    }

    fn pieces_flying(&self) -> (usize, usize) {
        let of_size = |wanted: bool| {
            self.is_flying(|job| match job {
                Job::Piece(piece) => is_small(piece.step.bytes) == wanted,
                Job::Records(_) | Job::Envelope(..) | Job::Findings(..) | Job::Receipts(_) => false,
            })
        };
        (of_size(true), of_size(false))
    }
}

fn is_small(bytes: u64) -> bool {
    bytes < LANE_BYTES
}

// A batch is as large as the API takes; both bounds are the domain's.
const _: () = assert!(limits::RECORDS_BATCH_MAX <= 100 && limits::RECEIPTS_BATCH_MAX <= 200);
