//! The wall clock jumps, between captures and between openings: every capture keeps its id, its page and its place.

use super::world::{World, capture, plain, read_all};
use crate::Store;
use snaptrak_domain::CaptureId;
use snaptrak_testkit::FAKE_START_MS;

const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// Page by page, as a person scrolls.
fn listed(store: &Store) -> Vec<CaptureId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(None, after, 2).unwrap();
        ids.extend(page.captures.iter().map(|capture| capture.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return ids,
        }
    }
}

#[test]
fn captures_are_kept_listed_and_chained_whatever_the_clock_says() {
    let world = World::new();
    let mut store = world.create();
    let mut taken = Vec::new();
    // Home, back a year, before 1970, forward a decade, and home again; two at the same moment each, some after a reboot.
    for (turn, wall_ms) in [0, -YEAR_MS, -100 * YEAR_MS, 10 * YEAR_MS, 0].into_iter().enumerate() {
        world.clock.set_wall_ms(FAKE_START_MS + wall_ms);
        if turn % 2 == 1 {
            store.close().unwrap();
            world.clock.reboot();
            store = world.open();
        }
        for number in 0..2 {
            let bytes = plain(1_000 + 10 * turn + number);
            taken.push((capture(&store, &bytes), bytes));
        }
    }
    let arrived: Vec<CaptureId> = taken.iter().map(|(captured, _)| captured.capture_id).collect();
    assert_eq!(listed(&store), arrived, "a page ends where the next begins");
    store.close().unwrap();
    let store = world.open();
    let receipts = store.receipts(0, 100).unwrap();
    let order: Vec<_> = receipts.iter().map(|receipt| (receipt.sequence, receipt.asset_id)).collect();
    let acknowledged: Vec<_> = (1..).zip(taken.iter().map(|(captured, _)| captured.asset_id)).collect();
    assert_eq!(order, acknowledged, "the chain keeps the order of acknowledgement, not of the clock");
    for (captured, bytes) in &taken {
        assert_eq!(read_all(&store, captured.asset_id), *bytes);
    }
}
