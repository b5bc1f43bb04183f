//! The end of a window: transfers are cancelled, their steps go back without an attempt, and the sums are drawn.

use snaptrak_domain::transport::TransferEvent;
use snaptrak_domain::{MonotonicMs, Reason, ReasonCode};

use crate::error::SyncError;
use crate::line::{CANCEL_GRACE_MS, remaining_ms};
use crate::report::{StoppedBecause, SyncReport};

use super::lanes::is_end;
use super::{Halt, Window};

impl Window<'_> {
    /// Closes the window. Answers that arrive within a short grace still count; what the queue cannot take any more is left
    /// to the leases.
    pub(super) fn close(mut self, halt: Halt) -> Result<SyncReport, SyncError> {
        self.closing = true;
        let reason = self.reason_of(&halt);
        for id in self.flying_ids() {
            self.line.cancel_transfer(id);
        }
        let grace_end = self.line.clock.monotonic().0.saturating_add_unsigned(CANCEL_GRACE_MS);
        while !self.flights.is_empty() {
            let left_ms = remaining_ms(self.line.clock, Some(MonotonicMs(grace_end)));
            if left_ms == 0 {
                break;
            }
            if let Some(event) = self.line.wait(left_ms).filter(is_end) {
                self.take_late(event, &reason);
            }
        }
        for (_, flight) in std::mem::take(&mut self.flights) {
            if let Err(error) = self.put_back(&flight.job, &reason) {
                tracing::warn!(?error, "a step is left to its lease");
            }
        }
        self.tell();
        if let Err(error) = self.store.set_sync_block(self.block.as_ref()) {
            tracing::warn!(%error, "the reason for stopping could not be kept");
        }
        match halt {
            Halt::Stop(stopped_because) => self.report(stopped_because),
            Halt::Fail(error) => Err(error),
        }
    }

    /// What the steps that go back are told to wait for.
    fn reason_of(&self, halt: &Halt) -> Reason {
        match (&self.block, halt) {
            (Some(block), _) => block.clone(),
            (None, Halt::Stop(_) | Halt::Fail(_)) => Reason::new(ReasonCode::WindowEnded),
        }
    }

    fn take_late(&mut self, event: TransferEvent, reason: &Reason) {
        if let TransferEvent::Finished { id, result: Err(_) } = &event {
            let Some(flight) = self.flights.remove(id) else { return };
            if let Err(error) = self.put_back(&flight.job, reason) {
                tracing::warn!(?error, "a step is left to its lease");
            }
            return;
        }
        if let Err(error) = self.take(event) {
            tracing::warn!(?error, "a late answer could not be kept");
        }
    }

    fn report(&self, stopped_because: StoppedBecause) -> Result<SyncReport, SyncError> {
        let now = self.now();
        let backlog = match self.store.backlog(now) {
            Ok(backlog) => backlog,
            // The disk that is full must not hide why the window ended.
            Err(error) if stopped_because == StoppedBecause::StorageFull => {
                tracing::warn!(%error, "the backlog is not known");
                snaptrak_domain::queue_store::Backlog::default()
            }
            Err(error) => return Err(error.into()),
        };
        let next_try_ms = backlog.next_try.into_iter().chain(self.due.first().copied()).min();
        Ok(SyncReport {
            requests: self.line.requests,
            bytes_sent: self.line.bytes_sent,
            bytes_resent: self.bytes_resent,
            received: self.received,
            verified: self.verified,
            parked: self.parked_captures.len() as u64,
            left: backlog.captures,
            stopped_because,
            next_try_ms,
        })
    }
}
