//! What every [`QueueStore`] must do: one suite for the real store and for any fake of it, so that a fake cannot drift.
//!
//! A test crate implements [`QueueUnderTest`] and calls the macro [`queue_conformance!`](crate::queue_conformance!), which
//! makes one test of each case.
#![allow(clippy::unwrap_used, reason = "a suite of tests: a panic is how it says that something does not hold")]

mod account;
mod ladder;
mod lease;
mod trouble;
mod walk;

pub use account::*;
pub use ladder::*;
pub use lease::*;
pub use trouble::*;
pub use walk::{a_random_walk_loses_nothing, random_walk};

use crate::FakeClock;
use snaptrak_domain::{
    AccountId, AssetId, AssetState, CaptureId, Clock, DeviceId, OrganisationId, Reason, ReasonCode, Secret,
    Sha256Digest, StepKind, StepState, UnixMs,
    limits::{self, LET_OUT_MAX},
    outcome::Outcome,
    piece::PieceEvent,
    queue_store::{AttemptEnd, Enrolment, PieceBytes, QueueError, QueueStore, ReadyStep, SavedSession, Tokens, Upload},
    step::StepNext,
};

/// Longer than any attempt of the suite takes.
const LEASE_MS: i64 = 60_000;

/// A capture that was added for a test; it is a note or a file, so nothing analyses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The capture.
    pub capture_id: CaptureId,
    /// Its original.
    pub asset_id: AssetId,
}

/// A queue together with what its trait does not do: captures, and dying.
pub trait QueueUnderTest {
    /// The queue.
    fn queue(&self) -> &dyn QueueStore;
    /// The clock that the queue reads for leases.
    fn clock(&self) -> &FakeClock;
    /// Adds a complete capture whose original has this many sealed bytes in each piece (at least 56: an empty piece).
    fn add(&mut self, pieces: &[u64]) -> Added;
    /// State of a capture's original.
    fn state(&self, capture_id: CaptureId) -> AssetState;
    /// Every step of a capture.
    fn steps(&self, capture_id: CaptureId) -> Vec<(StepKind, Option<u32>, StepState)>;
    /// The process dies, whatever is under way, and the store is opened again.
    fn die_and_reopen(&mut self);
}

/// Makes one test of each case. The argument is an expression that makes a new [`QueueUnderTest`] without captures and without
/// enrolment.
#[macro_export]
macro_rules! queue_conformance {
    ($new:expr) => {
        $crate::queue_conformance!($new;
            enrolment_session_and_bundle_are_kept, a_session_of_another_account_goes,
            a_session_of_the_app_takes_the_place_of_tokens, nothing_leaves_before_enrolment,
            steps_become_ready_as_their_waits_end, a_capture_is_verified_by_its_countersignature_alone,
            offline_costs_nothing, a_poisoned_item_parks_while_its_peers_go_on, an_outage_parks_nobody,
            a_refusal_parks_and_comes_back_after_a_day, a_delay_is_kept, a_clock_that_ran_ahead_delays_nothing, a_lease_is_held_and_ends,
            a_changed_clock_and_a_reboot_strand_nothing, death_ends_every_lease, late_and_double_answers_change_nothing,
            what_was_lost_is_sent_again, one_piece_is_sent_again, uploads_are_remembered_and_forgotten,
            small_pieces_go_first_and_old_ones_before_new, a_call_lets_out_a_bounded_part_in_order,
            what_could_be_sent_is_let_out_first, a_bounded_part_of_what_is_due_comes_back, the_backlog_counts_what_is_left,
            pieces_come_with_their_digests, unknown_things_are_missing, a_random_walk_loses_nothing);
    };
    ($new:expr; $($case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::queue_conformance::$case(&mut $new);
            }
        )*
    };
}

fn enrolment(account: u8) -> Enrolment {
    Enrolment {
        server: "https://api.example".to_owned(),
        account_id: AccountId::from_bytes([account; 16]),
        organisation_id: OrganisationId::from_bytes([7; 16]),
        device_id: DeviceId::from_bytes([8; 16]),
        trust_root: Sha256Digest([9; 32]),
        trust_root_given: true,
    }
}

fn session() -> SavedSession {
    SavedSession::Tokens(Tokens {
        access: Secret::new(b"access-token".to_vec()),
        access_expires: UnixMs(1_000),
        refresh: Secret::new(b"refresh-token".to_vec()),
    })
}

fn reason() -> Reason {
    Reason::new(ReasonCode::ServerError).with_status(500)
}

fn failed() -> Outcome {
    Outcome::Failed { reason: reason(), retry_after_ms: None }
}

fn now(queue: &dyn QueueUnderTest) -> UnixMs {
    queue.clock().now()
}

fn enrol(under: &dyn QueueUnderTest) {
    under.queue().save_enrolment(&enrolment(1), b"bundle").unwrap();
    under.queue().enqueue(now(under)).unwrap();
}

fn ready(under: &dyn QueueUnderTest, kind: StepKind) -> Vec<ReadyStep> {
    under.queue().ready(kind, now(under), 1_000).unwrap()
}

fn end(under: &dyn QueueUnderTest, step_id: i64, outcome: Outcome) -> StepNext {
    let end = AttemptEnd { step_id, outcome, piece_event: None, now: now(under), jitter: u16::MAX };
    under.queue().end(end).unwrap()
}

fn attempt(under: &dyn QueueUnderTest, step_id: i64, outcome: Outcome) -> StepNext {
    under.queue().begin(step_id, now(under), LEASE_MS).unwrap();
    end(under, step_id, outcome)
}

/// Does everything of a kind that is ready; how many steps that was.
fn do_all(under: &dyn QueueUnderTest, kind: StepKind) -> usize {
    let steps = ready(under, kind);
    for step in &steps {
        attempt(under, step.step_id, Outcome::Done);
    }
    steps.len()
}

fn send_all(under: &dyn QueueUnderTest) {
    for kind in [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece, StepKind::SendFindings] {
        do_all(under, kind);
    }
}

fn countersign_all(under: &dyn QueueUnderTest) -> usize {
    let steps = ready(under, StepKind::FetchReceipt);
    for step in &steps {
        under.queue().begin(step.step_id, now(under), LEASE_MS).unwrap();
        under.queue().save_countersigned(step.step_id, b"countersigned", now(under)).unwrap();
    }
    steps.len()
}

fn step_state(under: &dyn QueueUnderTest, capture_id: CaptureId, kind: StepKind) -> StepState {
    under.steps(capture_id).into_iter().find(|step| step.0 == kind).unwrap().2
}
