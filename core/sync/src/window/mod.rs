//! One window: the loop that brings what the queue holds to the API within a budget.
//!
//! ```text
//! enrolled? -> session -> trust bundle -> let leave what may -> loop { fill lanes; wait; take one event } -> close
//!
//! lanes:  records (one batch at a time, first) | envelopes, findings (4) | pieces (3, one of them for small ones)
//!         | receipts (one question about many assets)
//! ```
//!
//! The loop runs on the caller's thread and is the only one that touches the queue. A step is leased before its request
//! begins and ended in one transaction with what its answer means, so that a kill at any line leaves it waiting. Nothing that
//! concerns the network as a whole (offline, signed out, keys that do not chain, the end of the window) costs a step an
//! attempt; nothing that concerns one item stops the others.

mod close;
mod envelopes;
mod findings;
mod flight;
mod lanes;
mod open;
mod pace;
mod pieces;
mod receipts;
mod records;
mod trouble;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::piece::PieceEvent;
use snaptrak_domain::queue_store::{AttemptEnd, Enrolment, QueueError, QueueStore, ReadyStep, Recipient};
use snaptrak_domain::step::StepNext;
use snaptrak_domain::transport::TransferId;
use snaptrak_domain::{AssetId, CancelToken, CaptureId, MonotonicMs, Random, Reason, ReasonCode, StepState, UnixMs};
use snaptrak_seal::TrustBody;

use crate::client::SyncClient;
use crate::error::SyncError;
use crate::line::Line;
use crate::observer::SyncObserver;
use crate::origin::Origin;
use crate::report::{Budget, StoppedBecause, SyncReport};
use crate::session::{self, Session};

use flight::Flight;
use trouble::Trouble;

/// How long a step is leased. It only has to outlive the request if another process could take the step, and one process
/// owns the store; so it is short, for the sake of the next start after a kill.
const LEASE_MS: i64 = 10 * 60 * 1000;

/// The middle of the range: without randomness delays are only less spread.
const JITTER_WITHOUT_RANDOMNESS: u16 = u16::MAX / 2;

/// Why the loop ends.
#[derive(Debug)]
enum Halt {
    /// As it should.
    Stop(StoppedBecause),
    /// The store, or the configuration, does not allow it to go on.
    Fail(SyncError),
}

impl From<QueueError> for Halt {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Full => Self::Stop(StoppedBecause::StorageFull),
            QueueError::Damaged { .. }
            | QueueError::NeedsUser
            | QueueError::Missing { .. }
            | QueueError::Closed
            | QueueError::Unavailable { .. } => Self::Fail(error.into()),
        }
    }
}

struct Window<'a> {
    store: &'a dyn QueueStore,
    random: &'a dyn Random,
    line: Line<'a>,
    observer: &'a dyn SyncObserver,
    budget: Budget,
    deadline: Option<MonotonicMs>,
    enrolment: Enrolment,
    origin: Origin,
    session: Session<'a>,
    /// The accepted bundle; there is one from the opening on.
    trust: Option<TrustBody>,
    recipients: Vec<Recipient>,
    /// The bundle is fetched a second time at most, when an answer says that there is a newer one.
    trust_renewed: bool,

    flights: HashMap<TransferId, Flight>,
    /// Steps that are under way here, whatever their lease says.
    active: HashSet<i64>,
    trouble: Trouble,
    /// When delayed steps become ready, as far as this window has seen them delayed.
    due: BTreeSet<UnixMs>,
    /// Nothing more is begun; the window ends for this reason when what is under way has ended.
    draining: Option<StoppedBecause>,
    /// The window is being closed: answers are taken, nothing is begun.
    closing: bool,
    /// What keeps everything from being sent, for `why`.
    block: Option<Reason>,
    /// Rests in a row after which nothing could be begun.
    idle_rests: u32,

    /// Answers `pending` by `fetch_receipt` step.
    polls: HashMap<i64, u32>,
    /// Assets that were already sent a second time because the server asked for them.
    sent_again: HashSet<AssetId>,
    /// Assets whose envelope went out a second time for a new upload key.
    wrapped_again: HashSet<AssetId>,
    /// Assets whose envelope went out a second time because the server has no signature of this device.
    signed_again: HashSet<AssetId>,
    parked_captures: HashSet<CaptureId>,
    bytes_resent: u64,
    received: u64,
    verified: u64,
    verified_captures: HashSet<CaptureId>,
    bytes_received: u64,
    captures_at_start: u64,
    bytes_at_start: u64,
    observed: Option<MonotonicMs>,
    enqueued: Option<MonotonicMs>,
    /// The queue may have more to let out at once than it did: it said so, or records have arrived since.
    more_may_leave: bool,
    receipts_asked: Option<MonotonicMs>,
    /// A question about receipts waits for company.
    question_waits: bool,
}

/// Runs one window.
pub(crate) fn run(
    client: &SyncClient,
    budget: &Budget,
    cancel: &CancelToken,
    observer: &dyn SyncObserver,
) -> Result<SyncReport, SyncError> {
    let store = client.parts.store.as_ref();
    let Some(enrolment) = store.enrolment()? else {
        return blocked(client, ReasonCode::NotEnrolled, StoppedBecause::NotEnrolled);
    };
    let Some(session) = session::saved(client, &enrolment)? else {
        return blocked(client, ReasonCode::SignedOut, StoppedBecause::SignedOut);
    };
    let origin = Origin::parse(&enrolment.server)?;
    let line = client.line(cancel);
    let granted_ms = budget.time_ms.map(|time_ms| i64::try_from(time_ms).unwrap_or(i64::MAX));
    let deadline = granted_ms.map(|time_ms| MonotonicMs(line.clock.monotonic().0.saturating_add(time_ms)));
    let mut window = Window {
        store,
        random: client.parts.random.as_ref(),
        line,
        observer,
        budget: *budget,
        deadline,
        enrolment,
        origin,
        session,
        trust: None,
        recipients: Vec::new(),
        trust_renewed: false,
        flights: HashMap::new(),
        active: HashSet::new(),
        trouble: Trouble::default(),
        due: BTreeSet::new(),
        draining: None,
        closing: false,
        block: None,
        idle_rests: 0,
        polls: HashMap::new(),
        sent_again: HashSet::new(),
        wrapped_again: HashSet::new(),
        signed_again: HashSet::new(),
        parked_captures: HashSet::new(),
        bytes_resent: 0,
        received: 0,
        verified: 0,
        verified_captures: HashSet::new(),
        bytes_received: 0,
        captures_at_start: 0,
        bytes_at_start: 0,
        observed: None,
        enqueued: None,
        more_may_leave: false,
        receipts_asked: None,
        question_waits: false,
    };
    let Err(halt) = window.work();
    window.close(halt)
}

/// The report of a window that cannot even begin.
fn blocked(client: &SyncClient, code: ReasonCode, stopped_because: StoppedBecause) -> Result<SyncReport, SyncError> {
    client.parts.store.set_sync_block(Some(&Reason::new(code)))?;
    not_begun(client, stopped_because)
}

/// The report of a window that was cancelled before its turn came.
pub(crate) fn cancelled(client: &SyncClient) -> Result<SyncReport, SyncError> {
    not_begun(client, StoppedBecause::Cancelled)
}

fn not_begun(client: &SyncClient, stopped_because: StoppedBecause) -> Result<SyncReport, SyncError> {
    let backlog = client.parts.store.backlog(client.parts.clock.now())?;
    Ok(SyncReport {
        requests: 0,
        bytes_sent: 0,
        bytes_resent: 0,
        received: 0,
        verified: 0,
        parked: 0,
        left: backlog.captures,
        stopped_because,
        next_try_ms: None,
    })
}

impl Window<'_> {
    /// Opens the window and loops until something ends it.
    fn work(&mut self) -> Result<std::convert::Infallible, Halt> {
        self.open()?;
        loop {
            self.check_limits()?;
            if self.draining.is_none() {
                self.fill()?;
            }
            if self.flights.is_empty() {
                match self.draining {
                    Some(reason) => return Err(Halt::Stop(reason)),
                    None => self.rest()?,
                }
                continue;
            }
            let wait_ms = self.wait_ms();
            if let Some(event) = self.line.wait(wait_ms) {
                self.take(event)?;
            }
            self.observe();
        }
    }

    fn now(&self) -> UnixMs {
        self.line.clock.now()
    }

    /// Ends the loop when the caller cancels or the time is over.
    fn check_limits(&self) -> Result<(), Halt> {
        if self.line.is_cancelled() {
            return Err(Halt::Stop(StoppedBecause::Cancelled));
        }
        if self.deadline.is_some_and(|deadline| self.line.clock.monotonic() >= deadline) {
            return Err(Halt::Stop(StoppedBecause::BudgetTime));
        }
        Ok(())
    }

    /// Takes a lease on a step. `false` if the step is not there any more, or under way already.
    fn begin(&mut self, step: &ReadyStep) -> Result<bool, Halt> {
        if self.active.contains(&step.step_id) {
            return Ok(false);
        }
        match self.store.begin(step.step_id, self.now(), LEASE_MS) {
            Ok(()) => {
                self.active.insert(step.step_id);
                Ok(true)
            }
            Err(QueueError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes how an attempt ended.
    fn end(&mut self, step: &ReadyStep, outcome: Outcome, piece_event: Option<PieceEvent>) -> Result<StepNext, Halt> {
        self.active.remove(&step.step_id);
        if outcome == Outcome::Done {
            self.trouble.over();
        }
        let end = AttemptEnd { step_id: step.step_id, outcome, piece_event, now: self.now(), jitter: self.jitter() };
        let next = self.store.end(end)?;
        match next.state {
            StepState::Parked => {
                let code = next.reason.as_ref().map_or("unknown", |reason| reason.code.as_str());
                tracing::warn!(step = step.kind.as_str(), capture = %step.capture_id, code, "parked");
                self.parked_captures.insert(step.capture_id);
            }
            StepState::Waiting => {
                if let Some(not_before) = next.not_before {
                    self.due.insert(not_before);
                }
            }
            StepState::Running | StepState::Done | StepState::Cancelled => {}
        }
        Ok(next)
    }

    fn jitter(&self) -> u16 {
        let mut bytes = [0; 2];
        match self.random.fill(&mut bytes) {
            Ok(()) => u16::from_be_bytes(bytes),
            Err(_) => JITTER_WITHOUT_RANDOMNESS,
        }
    }

    /// Bytes that may still be handed to the network; what is under way counts in full.
    fn allowance(&self) -> u64 {
        let Some(granted) = self.budget.bytes else { return u64::MAX };
        let under_way: u64 = self.flights.iter().map(|(id, flight)| flight.body_bytes - self.sent(*id, flight)).sum();
        granted.saturating_sub(self.line.bytes_sent).saturating_sub(under_way)
    }

    fn sent(&self, id: TransferId, flight: &Flight) -> u64 {
        self.line.sent_bytes(id).min(flight.body_bytes)
    }
}
