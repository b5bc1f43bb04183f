//! When to wait and when to stop: the end of a window that has nothing to begin.

use snaptrak_domain::UnixMs;

use crate::line::remaining_ms;
use crate::observer::{SyncPhase, SyncProgress};
use crate::report::StoppedBecause;

use super::flight::Job;
use super::lanes::LET_OUT_EVERY_MS;
use super::receipts::ASK_EVERY_MS;
use super::{Halt, Window};

/// A moment that has just come is looked at again after this long, so that rounding never spins the loop.
const REST_MS_MIN: i64 = 20;
/// Rests in a row without anything to begin: something is due by the queue's word and still not ready. Then the queue and
/// this loop disagree, and the window ends rather than spin.
const IDLE_RESTS_MAX: u32 = 100;
/// Progress is told this often at most.
const OBSERVE_EVERY_MS: i64 = 100;

impl Window<'_> {
    /// How long to wait for an event of what is under way: until the deadline, the end of a pause, the next delayed step, or
    /// the next look for new captures.
    pub(super) fn wait_ms(&self) -> u64 {
        let mut wait_ms = remaining_ms(self.line.clock, self.deadline).min(LET_OUT_EVERY_MS.unsigned_abs());
        if self.question_waits {
            wait_ms = wait_ms.min(ASK_EVERY_MS.unsigned_abs());
        }
        let pause_ms = self.trouble.pause_ms(self.line.clock.monotonic());
        if pause_ms > 0 {
            wait_ms = wait_ms.min(pause_ms.unsigned_abs());
        } else if let Some(due) = self.due.first() {
            let until_ms = due.0.saturating_sub(self.now().0).max(REST_MS_MIN);
            wait_ms = wait_ms.min(until_ms.unsigned_abs());
        }
        wait_ms.max(1)
    }

    /// Nothing is under way and nothing could be begun: waits for what is due soon, or ends the window.
    pub(super) fn rest(&mut self) -> Result<(), Halt> {
        let now = self.now();
        self.let_out()?;
        if self.more_may_leave {
            // As much was let out as one call does: that is work, not rest.
            self.idle_rests = 0;
            return Ok(());
        }
        let backlog = self.store.backlog(now)?;
        let pause_ms = self.trouble.pause_ms(self.line.clock.monotonic());
        let pause_end = (pause_ms > 0).then(|| UnixMs(now.0.saturating_add(pause_ms)));
        // A pause holds everything back, whenever it is due.
        let due = match (backlog.next_try.into_iter().chain(self.due.first().copied()).min(), pause_end) {
            (Some(due), Some(pause_end)) => Some(due.max(pause_end)),
            (due, pause_end) => due.or(pause_end),
        };
        let Some(due) = due else {
            // Something may have been let out just now; the loop looks once more before it says that nothing is left.
            if self.idle_rests == 0 {
                self.idle_rests = 1;
                return Ok(());
            }
            return Err(Halt::Stop(match (backlog.captures, backlog.parked) {
                (0, 0) => StoppedBecause::Done,
                (0, _) => StoppedBecause::Parked,
                (_, _) => StoppedBecause::WaitingForRetry,
            }));
        };
        self.idle_rests += 1;
        let rest_ms = due.0.saturating_sub(now.0).max(REST_MS_MIN).unsigned_abs();
        let until_deadline_ms = self.deadline.map_or(u64::MAX, |_| remaining_ms(self.line.clock, self.deadline));
        if self.idle_rests > IDLE_RESTS_MAX || rest_ms > self.budget.patience_ms || rest_ms > until_deadline_ms {
            self.due.insert(due);
            return Err(Halt::Stop(if self.polls.is_empty() {
                StoppedBecause::WaitingForRetry
            } else {
                StoppedBecause::VerificationPending
            }));
        }
        self.observe();
        // Nothing is under way, so that only the caller's cancellation can wake us.
        self.line.wait(rest_ms);
        Ok(())
    }

    /// Tells the observer, not too often.
    pub(super) fn observe(&mut self) {
        let now = self.line.clock.monotonic();
        if self.observed.is_some_and(|last| now.0.saturating_sub(last.0) < OBSERVE_EVERY_MS) {
            return;
        }
        self.observed = Some(now);
        self.tell();
    }

    /// Tells the observer.
    pub(super) fn tell(&self) {
        let mut bytes_done = self.bytes_received;
        let mut sending = false;
        for (id, flight) in &self.flights {
            match &flight.job {
                Job::Piece(piece) => {
                    sending = true;
                    bytes_done += piece.begins_at() + self.sent(*id, flight);
                }
                Job::Records(_) | Job::Envelope(..) | Job::Findings(..) => sending = true,
                Job::Receipts(_) => {}
            }
        }
        let done = self.verified_captures.len() as u64;
        self.observer.update(SyncProgress {
            phase: if sending { SyncPhase::Sending } else { SyncPhase::Verifying },
            captures_done: done,
            captures_total: self.captures_at_start.max(done),
            bytes_done,
            bytes_total: self.bytes_at_start.max(bytes_done),
        });
    }
}
