//! Purged pieces on their way back, with a stop at every step.

use super::world::{World, plain, read_all};
use crate::{
    CaptureRequest, Captured, Store, layout,
    queue::{countersigned, derive, piece_row, step_row},
    rows,
};
use snaptrak_domain::{
    AssetState, ReasonCode, StepKind, UnixMs, fetch_store::FetchStore, piece::PieceEvent, queue_store::QueueError,
};
use std::fs;

const NOW: UnixMs = UnixMs(5);

/// A capture whose bytes are at the server alone, and its sealed bytes as the server has them.
fn purged_capture(store: &Store) -> (Captured, Vec<u8>) {
    let captured = store.capture(CaptureRequest::default(), &mut &plain(200_000)[..]).unwrap();
    store.sign_pending().unwrap();
    let (asset_id, capture_id) = (captured.asset_id, captured.capture_id);
    let piece = store.layout().find_in_asset(asset_id, &layout::piece_name(0));
    let sealed = fs::read(&piece).unwrap();
    store
        .write_with_lines(move |transaction, lines| {
            piece_row::apply_where_possible(transaction, asset_id, PieceEvent::Enqueue)?;
            let steps = step_row::of_asset(transaction, capture_id, asset_id, StepKind::FetchReceipt)?;
            countersigned::save(transaction, lines, steps[0].id, b"countersigned", NOW)?;
            piece_row::apply_where_possible(transaction, asset_id, PieceEvent::Purge)?;
            rows::change(
                transaction,
                "INSERT INTO tombstone (asset_id, piece_index, reason, at_ms, removed) VALUES (?1, 0, 'purged', 1, 1)",
                [asset_id.as_bytes()],
            )?;
            derive::derive_asset_state(transaction, asset_id, NOW)
        })
        .unwrap();
    fs::remove_file(store.layout().find_in_asset(asset_id, &layout::piece_name(0))).unwrap();
    (captured, sealed)
}

fn tombstones(store: &Store) -> u64 {
    store
        .read(|connection| rows::only(connection, "SELECT count(*) FROM tombstone", [], |row| rows::count(row, 0)))
        .unwrap()
}

fn state(store: &Store, captured: &Captured) -> AssetState {
    store.show(captured.capture_id).unwrap().assets[0].state
}

#[test]
fn the_same_bytes_come_back_into_their_place() {
    let world = World::new();
    let store = world.create();
    let (captured, sealed) = purged_capture(&store);
    assert_eq!(state(&store, &captured), AssetState::Purged);
    let [piece] = store.purged_pieces(captured.asset_id).unwrap()[..] else { panic!("one piece") };
    let target = store.fetch_target(captured.asset_id, &piece).unwrap().unwrap();
    assert_eq!(target.held_bytes, 0);
    fs::write(&target.path, &sealed).unwrap();
    assert!(store.accept_fetched(captured.asset_id, &piece).unwrap());
    assert_eq!(state(&store, &captured), AssetState::Purged, "until all of it is there");
    assert_eq!(store.finish_fetch(captured.asset_id, NOW), Ok(AssetState::Verified));
    assert!(!target.path.exists());
    assert_eq!(tombstones(&store), 0);
    assert_eq!(store.purged_pieces(captured.asset_id).unwrap(), []);
    store.close().unwrap();
    let store = world.open();
    assert_eq!(state(&store, &captured), AssetState::Verified);
    assert!(read_all(&store, captured.asset_id) == plain(200_000));
}

#[test]
fn a_fetch_that_was_killed_goes_on_from_each_of_its_steps() {
    let world = World::new();
    let store = world.create();
    let (captured, sealed) = purged_capture(&store);
    let asset_id = captured.asset_id;
    let [piece] = store.purged_pieces(asset_id).unwrap()[..] else { panic!("one piece") };
    let reopened = |store: Store| {
        store.close().unwrap();
        world.open()
    };
    // In the middle of the download.
    let target = store.fetch_target(asset_id, &piece).unwrap().unwrap();
    fs::write(&target.path, &sealed[..90_000]).unwrap();
    let store = reopened(store);
    assert_eq!(store.fetch_target(asset_id, &piece).unwrap().unwrap().held_bytes, 90_000);
    // After the last byte, before it was looked at.
    fs::write(&target.path, &sealed).unwrap();
    let store = reopened(store);
    assert_eq!(store.fetch_target(asset_id, &piece).unwrap().unwrap().held_bytes, 0);
    assert!(matches!(store.finish_fetch(asset_id, NOW), Err(QueueError::Missing { .. })));
    // In its place, before the rows.
    fs::write(&target.path, &sealed).unwrap();
    assert!(store.accept_fetched(asset_id, &piece).unwrap());
    let store = reopened(store);
    assert_eq!(state(&store, &captured), AssetState::Purged);
    assert_eq!(store.fetch_target(asset_id, &piece).unwrap(), None, "nothing is to be downloaded");
    assert_eq!(store.finish_fetch(asset_id, NOW), Ok(AssetState::Verified));
    assert_eq!(store.finish_fetch(asset_id, NOW), Ok(AssetState::Verified), "twice is once");
}

#[test]
fn other_bytes_replace_nothing() {
    let world = World::new();
    let store = world.create();
    let (captured, sealed) = purged_capture(&store);
    let [piece] = store.purged_pieces(captured.asset_id).unwrap()[..] else { panic!("one piece") };
    let mut flipped = sealed.clone();
    flipped[100_000] ^= 1;
    for other in [&flipped[..], &sealed[1..], &[]] {
        let target = store.fetch_target(captured.asset_id, &piece).unwrap().unwrap();
        fs::write(&target.path, other).unwrap();
        assert!(!store.accept_fetched(captured.asset_id, &piece).unwrap());
        assert!(!target.path.exists());
        assert!(store.finish_fetch(captured.asset_id, NOW).is_err());
    }
    assert_eq!((state(&store, &captured), tombstones(&store)), (AssetState::Purged, 1));
}

#[test]
fn what_the_server_lost_is_set_aside_and_said() {
    let world = World::new();
    let store = world.create();
    let (captured, _) = purged_capture(&store);
    for _ in 0..2 {
        store.lost_at_server(captured.asset_id, 0, NOW).unwrap();
        assert_eq!(state(&store, &captured), AssetState::Parked);
        assert_eq!(store.why(captured.capture_id, NOW).unwrap().reason.code, ReasonCode::ServerLost);
    }
    assert_eq!(store.status().unwrap().parked.len(), 1);
    assert_eq!(store.purged_pieces(captured.asset_id).unwrap(), []);
}
