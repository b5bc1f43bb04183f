//! The counts of waits never drift from the steps, attempts are bounded, and what settles moves the asset.

use super::Fixture;
use crate::{queue::step_row, rows};
use snaptrak_domain::{
    AssetState, CaptureId, Finding, Kind, Random, Reason, ReasonCode, StepKind, StepState, UnixMs, limits,
    outcome::Outcome,
    queue_store::{AttemptEnd, Enrolment, QueueStore},
    step::waits_for,
};
use snaptrak_testkit::{
    SeededRandom,
    queue_conformance::{Added, QueueUnderTest},
};

const LEASE_MS: i64 = 60_000;

pub(super) fn enrol(fixture: &Fixture) {
    let id = [1; 16];
    let enrolment = Enrolment {
        server: "https://api.example".to_owned(),
        account_id: snaptrak_domain::AccountId::from_bytes(id),
        organisation_id: snaptrak_domain::OrganisationId::from_bytes(id),
        device_id: fixture.store.device_id(),
        trust_root: snaptrak_domain::Sha256Digest([1; 32]),
        trust_root_given: true,
    };
    fixture.store.save_enrolment(&enrolment, b"bundle").unwrap();
    fixture.store.enqueue(fixture.now()).unwrap();
}

pub(super) fn end(fixture: &Fixture, step_id: i64, outcome: Outcome) {
    let end = AttemptEnd { step_id, outcome, piece_event: None, now: fixture.now(), jitter: u16::MAX };
    fixture.store.end(end).unwrap();
}

pub(super) fn attempt(fixture: &Fixture, kind: StepKind, outcome: Outcome) -> i64 {
    let step = fixture.store.ready(kind, fixture.now(), 1).unwrap()[0].clone();
    fixture.store.begin(step.step_id, fixture.now(), LEASE_MS).unwrap();
    end(fixture, step.step_id, outcome);
    step.step_id
}

pub(super) fn refused(code: ReasonCode) -> Outcome {
    Outcome::Refused(Reason::new(code).with_status(422))
}

pub(super) fn finding(model_id: &str) -> Finding {
    Finding {
        task: snaptrak_domain::Task::Detect,
        model_id: model_id.to_owned(),
        model_sha256: snaptrak_domain::Sha256Digest([2; 32]),
        engine: "none 1".to_owned(),
        accelerator_asked: "cpu".to_owned(),
        accelerator_ran: "cpu".to_owned(),
        ms: snaptrak_domain::StageMs::default(),
        boxes: Vec::new(),
        text: None,
    }
}

/// What `waits_for` must be, counted anew from every step.
fn check_counts(fixture: &Fixture, capture_id: CaptureId) {
    let steps = fixture.store.read(|connection| step_row::of_capture(connection, capture_id)).unwrap();
    for step in &steps {
        let unmet = steps.iter().filter(|other| {
            let related = step.asset_id.is_none() || other.asset_id.is_none() || step.asset_id == other.asset_id;
            let waits = waits_for(step.kind).iter();
            related && waits.filter(|(kind, _)| *kind == other.kind).any(|(_, wait)| !wait.is_met(other.state))
        });
        assert_eq!(step.waits_for as usize, unmet.count(), "{:?}", step.kind);
    }
}

pub(super) fn below(random: &SeededRandom, bound: usize) -> usize {
    let mut bytes = [0; 8];
    random.fill(&mut bytes).unwrap();
    usize::try_from(u64::from_be_bytes(bytes) % bound as u64).unwrap()
}

#[test]
fn counts_of_waits_never_drift() {
    let mut fixture = Fixture::new();
    let captures: Vec<Added> =
        vec![fixture.add_kind(Kind::Photo, "image/jpeg", &[100, 200]), fixture.add(&[70]), fixture.add(&[60, 60, 60])];
    enrol(&fixture);
    let random = SeededRandom::new(3);
    for _ in 0..500 {
        let kind = StepKind::ALL[below(&random, StepKind::ALL.len())];
        let ready = fixture.store.ready(kind, fixture.now(), 10).unwrap();
        match below(&random, 8) {
            0 => fixture.clock.advance_ms(limits::REVIVAL_AFTER_MS),
            1 => {
                fixture.store.enqueue(fixture.now()).unwrap();
            }
            2 => {
                let asset_id = captures[below(&random, captures.len())].asset_id;
                fixture.store.send_again(asset_id, None, fixture.now()).unwrap();
            }
            3 => {
                fixture.store.revive(kind, ReasonCode::ALL, fixture.now()).unwrap();
            }
            _ => {
                let Some(step) = ready.first() else { continue };
                fixture.store.begin(step.step_id, fixture.now(), LEASE_MS).unwrap();
                match below(&random, 4) {
                    0 => end(&fixture, step.step_id, refused(ReasonCode::ServerRefused)),
                    1 => {}
                    _ if kind == StepKind::FetchReceipt => {
                        fixture.store.save_countersigned(step.step_id, b"signed", fixture.now()).unwrap();
                    }
                    _ => end(&fixture, step.step_id, Outcome::Done),
                }
            }
        }
        captures.iter().for_each(|added| check_counts(&fixture, added.capture_id));
    }
}

#[test]
fn the_last_sixteen_attempts_are_kept() {
    let mut fixture = Fixture::new();
    fixture.add(&[100]);
    enrol(&fixture);
    let mut step_id = 0;
    for _ in 0..40 {
        step_id = attempt(&fixture, StepKind::SendRecord, Outcome::NotAttempted(Reason::new(ReasonCode::Offline)));
        fixture.clock.advance_ms(1);
    }
    let ended: Vec<UnixMs> = fixture
        .store
        .read(|connection| {
            rows::all(connection, "SELECT ended_ms FROM attempt WHERE step_id = ?1 ORDER BY id", [step_id], |row| {
                rows::unix_ms(row, 0)
            })
        })
        .unwrap();
    assert_eq!(ended.len(), 16);
    assert_eq!(ended.last(), Some(&UnixMs(fixture.now().0 - 1)));
}

#[test]
fn analysis_settles_before_prepared_and_findings_follow() {
    let mut fixture = Fixture::new();
    let photo = fixture.add_kind(Kind::Photo, "image/jpeg", &[100]);
    assert_eq!(fixture.state(photo.capture_id), AssetState::Saved);
    let step = fixture.store.ready(StepKind::Analyse, fixture.now(), 10).unwrap()[0].clone();
    assert_eq!((step.capture_id, step.asset_id), (photo.capture_id, None));
    let save = |models: &[&str]| {
        let findings: Vec<Finding> = models.iter().map(|model| finding(model)).collect();
        fixture.store.save_findings(step.step_id, photo.capture_id, photo.asset_id, &findings, fixture.now()).unwrap();
    };
    fixture.store.begin(step.step_id, fixture.now(), LEASE_MS).unwrap();
    save(&["detector", "faces"]);
    assert_eq!(fixture.state(photo.capture_id), AssetState::Prepared);
    assert_eq!(fixture.store.findings(photo.capture_id).unwrap().len(), 2);
    enrol(&fixture);
    attempt(&fixture, StepKind::SendRecord, Outcome::Done);
    attempt(&fixture, StepKind::SendFindings, Outcome::Done);
    // The same model again: its finding is replaced, and all of them are sent again.
    save(&["detector"]);
    assert_eq!(fixture.store.findings(photo.capture_id).unwrap().len(), 2);
    assert_eq!(fixture.store.ready(StepKind::SendFindings, fixture.now(), 10).unwrap().len(), 1);
}

#[test]
fn a_parked_analysis_blocks_nothing_and_comes_back_when_asked() {
    let mut fixture = Fixture::new();
    let photo = fixture.add_kind(Kind::Photo, "image/heic", &[100]);
    attempt(&fixture, StepKind::Analyse, refused(ReasonCode::DecoderMissing));
    assert_eq!(fixture.state(photo.capture_id), AssetState::Prepared);
    enrol(&fixture);
    for kind in [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece, StepKind::SendFindings] {
        attempt(&fixture, kind, Outcome::Done);
    }
    assert_eq!(fixture.state(photo.capture_id), AssetState::Received);
    assert_eq!(fixture.store.revive(StepKind::Analyse, &[ReasonCode::EngineMissing], fixture.now()).unwrap(), 0);
    assert_eq!(fixture.store.revive(StepKind::Analyse, &[ReasonCode::DecoderMissing], fixture.now()).unwrap(), 1);
    let states: Vec<_> = fixture.steps(photo.capture_id).into_iter().map(|step| (step.0, step.2)).collect();
    assert!(states.contains(&(StepKind::Analyse, StepState::Waiting)));
    assert!(states.contains(&(StepKind::SendFindings, StepState::Done)), "what has run stays done");
    assert_eq!(fixture.state(photo.capture_id), AssetState::Received);
}

#[test]
fn what_nothing_can_unblock_is_not_tried_every_day() {
    let mut fixture = Fixture::new();
    fixture.add_kind(Kind::Photo, "image/jpeg", &[100]);
    attempt(&fixture, StepKind::Analyse, refused(ReasonCode::NotAPicture));
    enrol(&fixture);
    fixture.clock.advance_ms(limits::REVIVAL_AFTER_MS * 2);
    fixture.store.enqueue(fixture.now()).unwrap();
    assert_eq!(fixture.store.ready(StepKind::Analyse, fixture.now(), 10).unwrap(), vec![]);
}

#[test]
fn what_was_purged_and_lost_parks_and_stays_so() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    for kind in [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece] {
        attempt(&fixture, kind, Outcome::Done);
    }
    let receipt = fixture.store.ready(StepKind::FetchReceipt, fixture.now(), 1).unwrap()[0].step_id;
    fixture.store.save_countersigned(receipt, b"signed", fixture.now()).unwrap();
    fixture.run_sql("UPDATE piece SET state = 'purged'; UPDATE asset SET state = 'purged'");
    fixture.store.send_again(added.asset_id, None, fixture.now()).unwrap();
    assert_eq!(fixture.state(added.capture_id), AssetState::Parked);
    fixture.clock.advance_ms(limits::REVIVAL_AFTER_MS * 2);
    fixture.store.enqueue(fixture.now()).unwrap();
    assert_eq!(fixture.state(added.capture_id), AssetState::Parked);
    let why = fixture.store.why(added.capture_id, fixture.now()).unwrap();
    assert_eq!((why.reason.code, why.next_try), (ReasonCode::ServerLost, None));
}

#[test]
fn what_a_policy_withholds_is_not_offered() {
    let mut fixture = Fixture::new();
    fixture.add(&[100]);
    fixture.run_sql("UPDATE asset SET withheld = 1, state = 'withheld'");
    enrol(&fixture);
    attempt(&fixture, StepKind::SendRecord, Outcome::Done);
    for kind in [StepKind::SendEnvelope, StepKind::SendPiece] {
        assert_eq!(fixture.store.ready(kind, fixture.now(), 10).unwrap(), vec![], "{kind:?}");
    }
}

#[test]
fn a_countersignature_that_comes_after_a_piece_was_set_aside_changes_nothing() {
    let mut fixture = Fixture::new();
    let added = fixture.add(&[100]);
    enrol(&fixture);
    for kind in [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece] {
        attempt(&fixture, kind, Outcome::Done);
    }
    let receipt = fixture.store.ready(StepKind::FetchReceipt, fixture.now(), 1).unwrap()[0].step_id;
    fixture.store.send_again(added.asset_id, None, fixture.now()).unwrap();
    attempt(&fixture, StepKind::SendPiece, refused(ReasonCode::ServerRefused));
    assert!(fixture.store.save_countersigned(receipt, b"late", fixture.now()).is_err());
    fixture.clock.advance_ms(limits::REVIVAL_AFTER_MS);
    fixture.store.enqueue(fixture.now()).unwrap();
    attempt(&fixture, StepKind::SendPiece, Outcome::Done);
    attempt(&fixture, StepKind::SendEnvelope, Outcome::Done);
    let again = fixture.store.ready(StepKind::FetchReceipt, fixture.now(), 1).unwrap();
    assert_eq!(again.len(), 1);
    fixture.store.save_countersigned(again[0].step_id, b"signed", fixture.now()).unwrap();
    assert_eq!(fixture.state(added.capture_id), AssetState::Verified);
}
