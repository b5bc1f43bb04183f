//! Captures are durable, readable and nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use common::{World, capture, plain, read_all};
use snaptrak_domain::{AssetState, Kind};
use snaptrak_store::{CaptureRequest, StoreError};

#[test]
fn what_went_in_comes_out_after_closing_and_opening() {
    let world = World::new();
    let store = world.create();
    let bytes = [b"\xff\xd8\xff\xe0".as_slice(), &plain(200_000)].concat();
    let photo = capture(&store, &bytes);
    let note = store.note(CaptureRequest::default(), "Riss im Pfeiler").unwrap();
    assert_eq!((photo.kind, photo.state), (Kind::Photo, AssetState::Saved));
    assert_eq!((note.kind, note.state, note.bytes), (Kind::Note, AssetState::Prepared, 15));
    assert_eq!(photo.sha256, snaptrak_seal::sha256(&bytes));
    assert_eq!(read_all(&store, photo.asset_id), bytes);
    assert_eq!(world.key_store.viewing_opened(), 0, "what was just captured needs no viewing key");
    store.close().unwrap();
    let store = world.open();
    assert_eq!(read_all(&store, photo.asset_id), bytes);
    assert_eq!(read_all(&store, note.asset_id), "Riss im Pfeiler".as_bytes());
    assert_eq!(world.key_store.viewing_opened(), 1);
    let receipts = store.receipts(0, 10).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.sequence).collect::<Vec<_>>(), [1, 2]);
    assert!(receipts.iter().all(|receipt| receipt.signed.is_some()), "closing signs what waits");
}

#[test]
fn an_empty_source_is_refused_and_leaves_nothing() {
    let world = World::new();
    let store = world.create();
    let refused = store.capture(CaptureRequest::default(), &mut std::io::empty());
    assert!(matches!(refused, Err(StoreError::Refused { code: "empty" })));
    assert_eq!(std::fs::read_dir(world.path.join("incoming")).unwrap().count(), 0);
    assert!(store.receipts(0, 10).unwrap().is_empty());
}
