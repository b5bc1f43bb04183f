//! The queue lets out a bounded part at a time; the window asks for the next one when its lanes run dry.

use super::World;
use crate::report::StoppedBecause;
use crate::window::lanes::LET_OUT_EVERY_MS;
use snaptrak_domain::{AssetState, Clock, limits::LET_OUT_MAX};

#[test]
fn more_than_one_call_lets_out_goes_through_without_waiting_for_the_next_look() {
    let world = World::new();
    let captures = world.add_many(3 * LET_OUT_MAX + 7);
    let before = world.clock.monotonic();
    let report = world.run();
    assert_eq!(report.stopped_because, StoppedBecause::Done, "{report:?}");
    assert_eq!(world.count(AssetState::Verified, &captures), captures.len());
    assert!(world.server.state().records.values().all(|times| *times == 1));
    let took_ms = world.clock.monotonic().0 - before.0;
    assert!(took_ms < LET_OUT_EVERY_MS, "the lanes ran dry and waited: {took_ms} ms");
}
