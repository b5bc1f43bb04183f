//! The way up: what becomes ready when, and what alone verifies.

use super::*;

/// No piece is offered before somebody enrolled the device and it was enqueued.
pub fn nothing_leaves_before_enrolment(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100]);
    assert_eq!(under.state(added.capture_id), AssetState::Prepared);
    under.queue().enqueue(now(under)).unwrap();
    do_all(under, StepKind::SendRecord);
    assert_eq!(under.state(added.capture_id), AssetState::Prepared);
    assert_eq!(ready(under, StepKind::SendPiece), vec![]);
    enrol(under);
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
    assert_eq!(ready(under, StepKind::SendPiece).len(), 1);
}

/// Record first, then envelope and pieces, then the receipt once all of them are done.
pub fn steps_become_ready_as_their_waits_end(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 100, 60]);
    enrol(under);
    let count = |under: &dyn QueueUnderTest, kind| ready(under, kind).len();
    assert_eq!(count(under, StepKind::SendRecord), 1);
    for kind in [StepKind::SendEnvelope, StepKind::SendPiece, StepKind::FetchReceipt] {
        assert_eq!(count(under, kind), 0, "{kind:?}");
    }
    do_all(under, StepKind::SendRecord);
    assert_eq!(count(under, StepKind::SendPiece), 3);
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
    do_all(under, StepKind::SendPiece);
    assert_eq!(under.state(added.capture_id), AssetState::Received);
    assert_eq!(count(under, StepKind::FetchReceipt), 0, "the envelope has not been sent");
    do_all(under, StepKind::SendEnvelope);
    assert_eq!(count(under, StepKind::FetchReceipt), 1);
}

/// Neither an attempt's outcome nor a piece event verifies anything.
pub fn a_capture_is_verified_by_its_countersignature_alone(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 100]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let piece = ready(under, StepKind::SendPiece)[0].clone();
    for event in [PieceEvent::Countersigned, PieceEvent::Purge, PieceEvent::FetchedBack] {
        let end = AttemptEnd {
            step_id: piece.step_id,
            outcome: Outcome::Done,
            piece_event: Some(event),
            now: now(under),
            jitter: 0,
        };
        assert!(under.queue().end(end).is_err(), "{event:?}");
    }
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
    send_all(under);
    let receipt = ready(under, StepKind::FetchReceipt)[0].clone();
    let done =
        AttemptEnd { step_id: receipt.step_id, outcome: Outcome::Done, piece_event: None, now: now(under), jitter: 0 };
    assert!(under.queue().end(done).is_err());
    assert_eq!(under.state(added.capture_id), AssetState::Received);
    assert!(under.queue().save_countersigned(piece.step_id, b"signed", now(under)).is_err());
    assert_eq!(under.state(added.capture_id), AssetState::Received);
    assert_eq!(countersign_all(under), 1);
    assert_eq!(under.state(added.capture_id), AssetState::Verified);
    under.queue().save_countersigned(receipt.step_id, b"signed", now(under)).unwrap();
    under.die_and_reopen();
    assert_eq!(under.state(added.capture_id), AssetState::Verified);
    assert!(under.steps(added.capture_id).iter().all(|step| step.2 == StepState::Done));
}

/// A large piece holds up nothing small; among equals the oldest capture goes first; a limit is kept.
pub fn small_pieces_go_first_and_old_ones_before_new(under: &mut dyn QueueUnderTest) {
    let large = under.add(&[30_000_000]);
    let first = under.add(&[2_000_000]);
    let second = under.add(&[200]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let order = |limit| {
        let steps = under.queue().ready(StepKind::SendPiece, now(under), limit).unwrap();
        steps.iter().map(|step| (step.capture_id, step.bytes)).collect::<Vec<_>>()
    };
    let expected = [(first.capture_id, 2_000_000), (second.capture_id, 200), (large.capture_id, 30_000_000)];
    assert_eq!(order(10), expected);
    assert_eq!(order(2), expected[..2]);
    assert_eq!(order(0), []);
}

/// However much waits, a call lets out a bounded part of it; calls until nothing is left let out everything, in the order in
/// which it is sent.
pub fn a_call_lets_out_a_bounded_part_in_order(under: &mut dyn QueueUnderTest) {
    let large = under.add(&[5_000_000]);
    let small: Vec<Added> = (0..LET_OUT_MAX + 20).map(|_| under.add(&[100])).collect();
    do_all(under, StepKind::SendRecord);
    under.queue().save_enrolment(&enrolment(1), b"bundle").unwrap();
    let order = |under: &dyn QueueUnderTest| {
        ready(under, StepKind::SendPiece).into_iter().map(|step| step.capture_id).collect::<Vec<_>>()
    };
    assert_eq!(order(under), []);
    let mut expected: Vec<CaptureId> = small.iter().map(|added| added.capture_id).collect();
    assert!(under.queue().enqueue(now(under)).unwrap(), "more is left");
    assert_eq!(order(under), expected[..LET_OUT_MAX]);
    assert!(!under.queue().enqueue(now(under)).unwrap());
    expected.push(large.capture_id);
    assert_eq!(order(under), expected);
    assert!(!under.queue().enqueue(now(under)).unwrap());
}

/// A piece whose record was sent is not held up by a thousand whose record was not.
pub fn what_could_be_sent_is_let_out_first(under: &mut dyn QueueUnderTest) {
    let waiting: Vec<Added> = (0..LET_OUT_MAX + 20).map(|_| under.add(&[100])).collect();
    let last = under.add(&[100]);
    let records = ready(under, StepKind::SendRecord);
    let record = records.iter().find(|step| step.capture_id == last.capture_id).unwrap();
    attempt(under, record.step_id, Outcome::Done);
    enrol(under);
    let pieces = ready(under, StepKind::SendPiece);
    assert_eq!(pieces.iter().map(|step| step.capture_id).collect::<Vec<_>>(), [last.capture_id]);
    assert_eq!(under.state(waiting[0].capture_id), AssetState::Queued);
    assert_eq!(under.state(waiting[LET_OUT_MAX].capture_id), AssetState::Prepared);
}

/// Captures and bytes that are left, at each rung of the ladder.
pub fn the_backlog_counts_what_is_left(under: &mut dyn QueueUnderTest) {
    under.add(&[100, 60]);
    under.add(&[1_000]);
    let left = |under: &dyn QueueUnderTest| {
        let backlog = under.queue().backlog(now(under)).unwrap();
        (backlog.captures, backlog.bytes, backlog.parked)
    };
    assert_eq!(left(under), (2, 1_160, 0));
    enrol(under);
    do_all(under, StepKind::SendRecord);
    assert_eq!(left(under), (2, 1_160, 0));
    let piece = ready(under, StepKind::SendPiece).into_iter().find(|step| step.bytes == 60).unwrap();
    under.queue().begin(piece.step_id, now(under), LEASE_MS).unwrap();
    assert_eq!(left(under), (2, 1_160, 0));
    end(under, piece.step_id, Outcome::Done);
    assert_eq!(left(under), (2, 1_100, 0));
    let large = ready(under, StepKind::SendPiece).into_iter().find(|step| step.bytes == 1_000).unwrap();
    attempt(under, large.step_id, Outcome::Refused(reason()));
    assert_eq!(left(under), (1, 100, 1));
    send_all(under);
    countersign_all(under);
    assert_eq!(left(under), (0, 0, 1));
}

/// What is sent is what the receipt speaks of.
pub fn pieces_come_with_their_digests(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 60]);
    let expected = under.queue().expected_receipt(added.asset_id).unwrap();
    assert_eq!(expected.pieces.len(), 2);
    for (index, sealed_bytes, sealed_sha256) in expected.pieces {
        let piece = under.queue().piece(added.asset_id, index).unwrap();
        assert_eq!((piece.sealed_bytes, piece.sealed_sha256), (sealed_bytes, sealed_sha256));
        let length = match piece.source {
            PieceBytes::Inline(bytes) => bytes.len() as u64,
            PieceBytes::File(path) => std::fs::metadata(path).unwrap().len(),
        };
        assert_eq!(length, sealed_bytes);
    }
    let record = under.queue().record(added.capture_id).unwrap();
    assert_eq!(record.id, added.capture_id);
    assert_eq!(record.assets.iter().map(|asset| asset.id).collect::<Vec<_>>(), [added.asset_id]);
    assert_eq!(under.queue().findings(added.capture_id).unwrap(), vec![]);
}

/// What is not there is said to be missing.
pub fn unknown_things_are_missing(under: &mut dyn QueueUnderTest) {
    let nobody = AssetId::from_bytes([1; 16]);
    let nothing = CaptureId::from_bytes([1; 16]);
    let (queue, at) = (under.queue(), now(under));
    let missing = |error: QueueError| assert!(matches!(error, QueueError::Missing { .. }), "{error:?}");
    missing(queue.record(nothing).unwrap_err());
    missing(queue.envelope(nobody, &[]).unwrap_err());
    missing(queue.piece(nobody, 0).unwrap_err());
    missing(queue.upload(nobody, 0).unwrap_err());
    missing(queue.save_upload(nobody, 0, None).unwrap_err());
    missing(queue.expected_receipt(nobody).unwrap_err());
    missing(queue.send_again(nobody, None, at).unwrap_err());
    missing(queue.begin(99, at, LEASE_MS).unwrap_err());
    missing(queue.save_countersigned(99, b"", at).unwrap_err());
    missing(queue.save_trust_bundle(b"", Sha256Digest([0; 32])).unwrap_err());
    let end = AttemptEnd { step_id: 99, outcome: Outcome::Done, piece_event: None, now: at, jitter: 0 };
    missing(queue.end(end).unwrap_err());
}
