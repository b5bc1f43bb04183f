//! `why` has an answer for every capture in every state.

use super::{
    Fixture,
    counts::{attempt, end, enrol, refused},
};
use crate::Why;
use snaptrak_domain::{
    AssetState, CaptureId, Clock, Reason, ReasonCode, StepKind, UnixMs, limits, outcome::Outcome,
    queue_store::QueueStore,
};
use snaptrak_testkit::queue_conformance::{Added, QueueUnderTest};

fn why(fixture: &Fixture, added: Added) -> Why {
    fixture.store.why(added.capture_id, fixture.now()).unwrap()
}

fn code(fixture: &Fixture, added: Added) -> ReasonCode {
    why(fixture, added).reason.code
}

#[test]
fn each_rung_of_the_ladder_has_its_reason() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    let captured_at = fixture.now();
    fixture.clock.advance_ms(5_000);
    let first = why(&fixture, added);
    assert_eq!((first.state, first.reason.code), (AssetState::Prepared, ReasonCode::NotEnrolled));
    assert_eq!((first.since, first.unblocked_by(), first.next_try), (captured_at, "sign_in", None));
    enrol(&fixture);
    assert_eq!(code(&fixture, added), ReasonCode::Waiting);
    let record = fixture.store.ready(StepKind::SendRecord, fixture.now(), 1).unwrap()[0].step_id;
    fixture.store.begin(record, fixture.now(), 60_000).unwrap();
    assert_eq!(code(&fixture, added), ReasonCode::InFlight);
    end(&fixture, record, Outcome::Done);
    assert_eq!(code(&fixture, added), ReasonCode::Waiting);
    attempt(&fixture, StepKind::SendEnvelope, Outcome::Done);
    attempt(&fixture, StepKind::SendPiece, Outcome::Done);
    let received = why(&fixture, added);
    assert_eq!((received.state, received.reason.code), (AssetState::Received, ReasonCode::VerificationPending));
    let pending = Reason::new(ReasonCode::VerificationPending);
    let receipt = attempt(&fixture, StepKind::FetchReceipt, Outcome::NotYet { reason: pending, retry_after_ms: 2_000 });
    assert_eq!(why(&fixture, added).next_try, Some(UnixMs(fixture.now().0 + 2_000)));
    fixture.store.save_countersigned(receipt, b"signed", fixture.now()).unwrap();
    let last = why(&fixture, added);
    assert_eq!((last.state, last.reason.code, last.since), (AssetState::Verified, ReasonCode::Verified, fixture.now()));
}

#[test]
fn a_failure_says_what_the_server_said_and_when_it_is_tried_again() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    let began = fixture.now();
    for _ in 0..3 {
        let reason = Reason::new(ReasonCode::ServerError).with_status(503);
        attempt(&fixture, StepKind::SendRecord, Outcome::Failed { reason, retry_after_ms: Some(10_000) });
        let answer = why(&fixture, added);
        assert_eq!((answer.reason.code, answer.server_status()), (ReasonCode::ServerError, Some(503)));
        assert_eq!((answer.since, answer.next_try), (began, Some(UnixMs(fixture.now().0 + 10_000))));
        fixture.clock.advance_ms(10_000);
    }
    // Due again and not yet tried: the last reason is still the best answer.
    assert_eq!(
        (code(&fixture, added), why(&fixture, added).next_try.is_some_and(|at| at > fixture.now())),
        (ReasonCode::ServerError, false)
    );
}

#[test]
fn a_refusal_says_so_until_its_revival() {
    let mut fixture = Fixture::new();
    let (added, other) = (fixture.add(&[100]), fixture.add(&[100]));
    enrol(&fixture);
    attempt(&fixture, StepKind::SendRecord, refused(ReasonCode::ServerRefused));
    let answer = why(&fixture, added);
    assert_eq!((answer.state, answer.reason.code), (AssetState::Parked, ReasonCode::ServerRefused));
    assert_eq!((answer.server_status(), answer.unblocked_by()), (Some(422), "person"));
    assert_eq!(answer.next_try, Some(UnixMs(fixture.now().0 + limits::REVIVAL_AFTER_MS)));
    assert_eq!(code(&fixture, other), ReasonCode::Waiting);
}

#[test]
fn what_stops_everything_is_said_of_each_capture_and_keeps_its_beginning() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    let began = fixture.now();
    fixture.store.set_sync_block(Some(&Reason::new(ReasonCode::TrustNotChained))).unwrap();
    fixture.clock.advance_ms(9_000);
    fixture.store.set_sync_block(Some(&Reason::new(ReasonCode::TrustNotChained).with("version", "3"))).unwrap();
    let answer = why(&fixture, added);
    assert_eq!((answer.reason.code, answer.since), (ReasonCode::TrustNotChained, began));
    assert_eq!(answer.reason.parameters["version"], "3");
    fixture.store.set_sync_block(Some(&Reason::new(ReasonCode::Offline))).unwrap();
    assert_eq!(why(&fixture, added).since, fixture.clock.now());
    fixture.store.set_sync_block(None).unwrap();
    assert_eq!(code(&fixture, added), ReasonCode::Waiting);
}

#[test]
fn an_attempt_that_was_not_made_is_explained() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    attempt(&fixture, StepKind::SendRecord, Outcome::NotAttempted(Reason::new(ReasonCode::WindowEnded)));
    assert_eq!(code(&fixture, added), ReasonCode::WindowEnded);
}

#[test]
fn states_that_are_decided_for_good_come_before_everything() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    for (state, expected) in [
        ("purged", ReasonCode::Verified),
        ("withheld", ReasonCode::WithheldByPolicy),
        ("cancelled", ReasonCode::Cancelled),
        ("recording", ReasonCode::NotEnrolled),
    ] {
        let sql = format!("UPDATE asset SET state = '{state}'");
        fixture.store.write(move |tx| Ok(tx.execute_batch(&sql)?)).unwrap();
        assert_eq!(code(&fixture, added), expected, "{state}");
    }
    assert!(fixture.store.why(CaptureId::from_bytes([9; 16]), fixture.now()).is_err());
}
