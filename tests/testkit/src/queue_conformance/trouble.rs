//! Failures, refusals, outages, and things that the server lost.

use super::*;

/// However often nothing was tried, no attempt is counted and nothing is delayed or parked.
pub fn offline_costs_nothing(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let step = ready(under, StepKind::SendPiece)[0].clone();
    for _ in 0..50 {
        let next = attempt(under, step.step_id, Outcome::NotAttempted(Reason::new(ReasonCode::Offline)));
        assert_eq!((next.state, next.attempts, next.failures, next.not_before), (StepState::Waiting, 0, 0, None));
    }
    assert_eq!(ready(under, StepKind::SendPiece), vec![step]);
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
}

/// Eight failures of one item, while others of its kind succeed, set it aside; the others arrive.
pub fn a_poisoned_item_parks_while_its_peers_go_on(under: &mut dyn QueueUnderTest) {
    let poisoned = under.add(&[100]);
    let peers: Vec<Added> = (0..9).map(|_| under.add(&[100])).collect();
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let mut last = None;
    for peer in peers.iter().take(usize::try_from(limits::FAILURES_UNTIL_PARKED).unwrap()) {
        for step in ready(under, StepKind::SendPiece) {
            if step.capture_id == poisoned.capture_id {
                last = Some(attempt(under, step.step_id, failed()));
            } else if step.capture_id == peer.capture_id {
                attempt(under, step.step_id, Outcome::Done);
            }
        }
        under.clock().advance_ms(limits::BACKOFF_CAP_MS + 1);
    }
    let last = last.unwrap();
    assert_eq!((last.state, last.failures), (StepState::Parked, limits::FAILURES_UNTIL_PARKED));
    assert_eq!(under.state(poisoned.capture_id), AssetState::Parked);
    send_all(under);
    assert_eq!(countersign_all(under), 9);
    assert!(peers.iter().all(|peer| under.state(peer.capture_id) == AssetState::Verified));
    let backlog = under.queue().backlog(now(under)).unwrap();
    assert_eq!((backlog.captures, backlog.parked), (0, 1));
}

/// While nothing of the kind succeeds, the fault is not the item's.
pub fn an_outage_parks_nobody(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    for failures in 1..=3 * limits::FAILURES_UNTIL_PARKED {
        let step = ready(under, StepKind::SendPiece)[0].clone();
        let next = attempt(under, step.step_id, failed());
        assert_eq!((next.state, next.failures), (StepState::Waiting, failures));
        under.clock().advance_ms(limits::BACKOFF_CAP_MS + 1);
    }
    do_all(under, StepKind::SendPiece);
    assert_eq!(under.state(added.capture_id), AssetState::Received);
}

/// A verdict parks at once, with its reason, and is tried once more a day later.
pub fn a_refusal_parks_and_comes_back_after_a_day(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100]);
    enrol(under);
    let refused = Reason::new(ReasonCode::ServerRefused).with_status(422).with("server_code", "too_odd");
    let record = ready(under, StepKind::SendRecord)[0].clone();
    let next = attempt(under, record.step_id, Outcome::Refused(refused.clone()));
    assert_eq!((next.state, next.reason), (StepState::Parked, Some(refused)));
    assert_eq!(under.state(added.capture_id), AssetState::Parked);
    under.clock().advance_ms(limits::REVIVAL_AFTER_MS - 1);
    under.queue().enqueue(now(under)).unwrap();
    assert_eq!(ready(under, StepKind::SendRecord), vec![]);
    under.clock().advance_ms(1);
    under.queue().enqueue(now(under)).unwrap();
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
    send_all(under);
    countersign_all(under);
    assert_eq!(under.state(added.capture_id), AssetState::Verified);
}

/// However many were set aside, a call brings a bounded part of them back, the longest overdue first.
pub fn a_bounded_part_of_what_is_due_comes_back(under: &mut dyn QueueUnderTest) {
    for _ in 0..LET_OUT_MAX + 20 {
        under.add(&[100]);
    }
    enrol(under);
    let records = ready(under, StepKind::SendRecord);
    for step in &records {
        attempt(under, step.step_id, Outcome::Refused(reason()));
        under.clock().advance_ms(1);
    }
    under.clock().advance_ms(limits::REVIVAL_AFTER_MS);
    assert!(under.queue().enqueue(now(under)).unwrap(), "more is left");
    assert_eq!(ready(under, StepKind::SendRecord), records[..LET_OUT_MAX]);
    assert!(!under.queue().enqueue(now(under)).unwrap());
    assert_eq!(ready(under, StepKind::SendRecord), records);
}

/// A failed step is not offered before its time, and the backlog says when that is.
pub fn a_delay_is_kept(under: &mut dyn QueueUnderTest) {
    under.add(&[100]);
    enrol(under);
    let step = ready(under, StepKind::SendRecord)[0].clone();
    let next = attempt(under, step.step_id, Outcome::Failed { reason: reason(), retry_after_ms: Some(30_000) });
    assert_eq!(next.not_before, Some(UnixMs(now(under).0 + 30_000)));
    assert_eq!(ready(under, StepKind::SendRecord), vec![]);
    assert_eq!(under.queue().backlog(now(under)).unwrap().next_try, next.not_before);
    under.clock().advance_ms(30_000);
    assert_eq!(ready(under, StepKind::SendRecord), vec![step]);
    assert_eq!(under.queue().backlog(now(under)).unwrap().next_try, None);
}

/// What failed, was refused or succeeded while the clock ran a decade ahead is judged by the clock that came home.
pub fn a_clock_that_ran_ahead_delays_nothing(under: &mut dyn QueueUnderTest) {
    const DECADE_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;
    let added: Vec<Added> = (0..3).map(|_| under.add(&[100])).collect();
    enrol(under);
    let home = now(under);
    under.clock().set_wall_ms(home.0 + DECADE_MS);
    let steps = ready(under, StepKind::SendRecord);
    attempt(under, steps[0].step_id, Outcome::Failed { reason: reason(), retry_after_ms: Some(30_000) });
    attempt(under, steps[1].step_id, Outcome::Refused(reason()));
    attempt(under, steps[2].step_id, Outcome::Done);
    assert_eq!(ready(under, StepKind::SendRecord), vec![], "delayed and parked");
    under.clock().set_wall_ms(home.0);
    assert_eq!(ready(under, StepKind::SendRecord), steps[..1]);
    assert_eq!(under.queue().backlog(now(under)).unwrap().next_try, None);
    under.queue().enqueue(now(under)).unwrap();
    assert_eq!(ready(under, StepKind::SendRecord), steps[..2]);
    // The success of then is no sign that the fault is the item's.
    for _ in 0..2 * limits::FAILURES_UNTIL_PARKED {
        let next = attempt(under, steps[0].step_id, failed());
        assert_eq!(next.state, StepState::Waiting);
        under.clock().advance_ms(limits::BACKOFF_CAP_MS + 1);
    }
    send_all(under);
    countersign_all(under);
    assert!(added.iter().all(|added| under.state(added.capture_id) == AssetState::Verified));
}

/// An answer that comes twice, or after its step settled, is taken without effect.
pub fn late_and_double_answers_change_nothing(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let step = ready(under, StepKind::SendPiece)[0].clone();
    let first = attempt(under, step.step_id, Outcome::Done);
    assert_eq!(end(under, step.step_id, Outcome::Done), first);
    assert_eq!(end(under, step.step_id, failed()), first);
    assert_eq!(end(under, step.step_id, Outcome::Refused(reason())), first);
    assert_eq!(under.state(added.capture_id), AssetState::Received);
    assert_eq!(do_all(under, StepKind::SendEnvelope), 1);
    assert_eq!(countersign_all(under), 1);
    assert_eq!(end(under, step.step_id, failed()), first);
    assert_eq!(under.state(added.capture_id), AssetState::Verified);
}

/// A restored server: everything goes again, and is verified again.
pub fn what_was_lost_is_sent_again(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 100]);
    enrol(under);
    send_all(under);
    countersign_all(under);
    under.queue().send_again(added.asset_id, None, now(under)).unwrap();
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
    assert_eq!(ready(under, StepKind::FetchReceipt), vec![]);
    assert_eq!(ready(under, StepKind::SendRecord), vec![], "the record is the capture's, not the asset's");
    assert_eq!(ready(under, StepKind::SendPiece).len(), 2);
    send_all(under);
    assert_eq!(countersign_all(under), 1);
    assert_eq!(under.state(added.capture_id), AssetState::Verified);
}

/// A sealed digest that differs concerns one piece.
pub fn one_piece_is_sent_again(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 100, 100]);
    enrol(under);
    send_all(under);
    let receipt = ready(under, StepKind::FetchReceipt)[0].clone();
    under.queue().begin(receipt.step_id, now(under), LEASE_MS).unwrap();
    under.queue().send_again(added.asset_id, Some(&[1]), now(under)).unwrap();
    end(under, receipt.step_id, Outcome::NotYet { reason: reason(), retry_after_ms: 0 });
    assert_eq!(ready(under, StepKind::FetchReceipt), vec![]);
    let again = ready(under, StepKind::SendPiece);
    assert_eq!(again.iter().map(|step| step.piece_index).collect::<Vec<_>>(), [Some(1)]);
    send_all(under);
    assert_eq!(countersign_all(under), 1);
    assert!(under.queue().send_again(added.asset_id, Some(&[3]), now(under)).is_err());
    assert_eq!(under.state(added.capture_id), AssetState::Verified, "an error changes nothing");
}
