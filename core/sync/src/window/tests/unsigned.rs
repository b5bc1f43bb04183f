//! Envelopes that left before the device's signer signed.

use super::World;
use crate::report::StoppedBecause;
use snaptrak_domain::AssetState;

#[test]
fn an_envelope_that_left_without_a_signature_goes_again_once_a_window() {
    let world = World::new();
    let captures = world.add_many(3);
    world.server.state().envelopes_until_signed = 2;
    let report = world.run();
    assert_eq!((report.verified, report.left), (0, 3));
    assert_eq!(report.stopped_because, StoppedBecause::VerificationPending);
    assert_eq!((world.times("PUT"), report.bytes_resent), (6, 0), "each envelope twice, and no piece");
    world.clock.advance_ms(60_000);
    let report = world.run();
    assert_eq!((report.verified, report.stopped_because), (3, StoppedBecause::Done));
    assert_eq!(world.count(AssetState::Verified, &captures), 3);
}
