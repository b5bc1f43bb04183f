//! Leases: held, ended, and stranded by nothing.

use super::*;

/// Whoever begins holds the step; nobody else is offered it until the lease is over.
pub fn a_lease_is_held_and_ends(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let step = ready(under, StepKind::SendPiece)[0].clone();
    under.queue().begin(step.step_id, now(under), LEASE_MS).unwrap();
    assert_eq!(under.state(added.capture_id), AssetState::Sending);
    assert_eq!(ready(under, StepKind::SendPiece), vec![]);
    assert!(matches!(under.queue().begin(step.step_id, now(under), LEASE_MS), Err(QueueError::Missing { .. })));
    under.clock().advance_ms(LEASE_MS - 1);
    assert_eq!(ready(under, StepKind::SendPiece), vec![]);
    under.clock().advance_ms(1);
    assert_eq!(ready(under, StepKind::SendPiece), vec![step]);
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
}

/// A lease is counted in monotonic time of one boot.
pub fn a_changed_clock_and_a_reboot_strand_nothing(under: &mut dyn QueueUnderTest) {
    under.add(&[100]);
    enrol(under);
    let step = ready(under, StepKind::SendRecord)[0].clone();
    under.queue().begin(step.step_id, now(under), LEASE_MS).unwrap();
    under.clock().set_wall_ms(now(under).0 + 10 * LEASE_MS);
    assert_eq!(ready(under, StepKind::SendRecord), vec![], "the wall clock says nothing about a lease");
    under.clock().set_wall_ms(now(under).0 - 20 * LEASE_MS);
    under.clock().reboot();
    assert_eq!(ready(under, StepKind::SendRecord), vec![step], "whoever held it is gone");
}

/// A lease's owner died with the process.
pub fn death_ends_every_lease(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 100]);
    enrol(under);
    do_all(under, StepKind::SendRecord);
    let steps = ready(under, StepKind::SendPiece);
    for step in &steps {
        under.queue().begin(step.step_id, now(under), LEASE_MS).unwrap();
    }
    under.die_and_reopen();
    assert_eq!(under.state(added.capture_id), AssetState::Queued);
    assert_eq!(ready(under, StepKind::SendPiece), steps);
}
