//! A database of every released version: after opening, its schema equals a fresh one and everything is still there.
//!
//! The fixtures are whole stores under the key `[7; 32]` of the fixed key store; `make_fixture` writes a new one when a
//! version is released, and no fixture is ever written again.

use super::world::{World, capture, copy_folder, read_all};
use crate::{CaptureRequest, Store, rows};
use std::path::{Path, PathBuf};

const PHOTO: &[u8] = b"\xff\xd8\xff\xe0 the photo of version 1";
const NOTE: &str = "the note of version 1";

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}"))
}

fn schema(store: &Store) -> Vec<(String, String)> {
    store
        .read(|connection| {
            let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name";
            rows::all(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .unwrap()
}

#[test]
fn version_1_opens_with_everything_in_it() {
    let world = World::new();
    copy_folder(&fixture(1), &world.path);
    // Folders that a version control system does not keep while they are empty.
    for folder in ["incoming", "assets", "journal"] {
        std::fs::create_dir_all(world.path.join(folder)).unwrap();
    }
    let store = world.open();
    let fresh = World::new();
    assert_eq!(schema(&store), schema(&fresh.create()), "migrated equals fresh");
    let receipts = store.receipts(0, 10).unwrap();
    assert_eq!(receipts.len(), 2);
    assert_eq!(read_all(&store, receipts[0].asset_id), PHOTO);
    assert_eq!(read_all(&store, receipts[1].asset_id), NOTE.as_bytes());
    let waiting = store.read(|connection| {
        let sql = "SELECT count(DISTINCT capture_id) FROM step WHERE kind = 'send_piece' AND state = 'waiting'";
        rows::only(connection, sql, [], |row| rows::count(row, 0))
    });
    assert_eq!(waiting.unwrap(), 2, "every capture that was not sent is still to be sent");
    store.close().unwrap();
}

/// `cargo test -p snaptrak-store make_fixture -- --ignored` for the version that is about to be released.
#[test]
#[ignore = "writes a fixture; run once a version"]
fn make_fixture() {
    let target = fixture(u32::try_from(crate::migrate::NEWEST).unwrap());
    assert!(!target.exists(), "a shipped fixture never changes");
    let world = World::new();
    let store = world.create();
    capture(&store, PHOTO);
    store.note(CaptureRequest { tags: vec!["tag".into()], ..CaptureRequest::default() }, NOTE).unwrap();
    store.close().unwrap();
    copy_folder(&world.path, &target);
    std::fs::remove_file(target.join("lock")).unwrap();
}
