//! A database of every released version: after opening, its schema equals a fresh one and everything is still there.
//!
//! The fixtures are whole stores under the key `[7; 32]` of the fixed key store; `make_fixture` writes a new one when a
//! version is released, and no fixture is ever written again.

use super::world::{World, capture, copy_folder, read_all};
use crate::{
    CaptureRequest, Store,
    connection::{self, Access},
    database_key, keyset,
    layout::Layout,
    migrate, rows,
};
use snaptrak_domain::KeyClass;
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

/// A world with the fixture of a version in it.
fn world_of(version: u32) -> World {
    let world = World::new();
    copy_folder(&fixture(version), &world.path);
    // Folders that a version control system does not keep while they are empty.
    for folder in ["incoming", "assets", "journal"] {
        std::fs::create_dir_all(world.path.join(folder)).unwrap();
    }
    world
}

fn check(store: &Store, version: u32) {
    assert_eq!(schema(store), schema(&World::new().create()), "migrated equals fresh");
    let receipts = store.receipts(0, 10).unwrap();
    assert_eq!(receipts.len(), 2);
    assert_eq!(read_all(store, receipts[0].asset_id), PHOTO, "version {version}");
    assert_eq!(read_all(store, receipts[1].asset_id), NOTE.as_bytes(), "version {version}");
    let waiting = store.read(|connection| {
        let sql = "SELECT count(DISTINCT capture_id) FROM step WHERE kind = 'send_piece' AND state = 'waiting'";
        rows::only(connection, sql, [], |row| rows::count(row, 0))
    });
    assert_eq!(waiting.unwrap(), 2, "every capture that was not sent is still to be sent");
    assert_eq!(store.status().unwrap().waiting, 2);
}

/// The newest version that has a fixture; raised when one is made.
const RELEASED: u32 = 3;

fn released() -> std::ops::RangeInclusive<u32> {
    assert!(u64::from(RELEASED) + 1 >= migrate::NEWEST, "every version but the one in the making has its fixture");
    1..=RELEASED
}

#[test]
fn every_version_opens_with_everything_in_it() {
    for version in released() {
        let world = world_of(version);
        let store = world.open();
        check(&store, version);
        store.close().unwrap();
    }
}

#[test]
fn killed_at_every_statement_of_the_upgrade_the_old_schema_or_the_new_one_is_there() {
    for version in released() {
        let world = world_of(version);
        let keyset = keyset::read(&Layout::new(&world.path), KeyClass::Background, world.key_store.as_ref()).unwrap();
        let layout = Layout::new(&world.path);
        let cipher = database_key::find(&layout.database_key(), &keyset).unwrap().remove(0).cipher();
        let mut connection = connection::open(&layout.database(), &cipher, Access::Write).unwrap();
        // So small that pages which are not committed reach the log, as in an upgrade of a large store.
        connection.pragma_update(None, "cache_size", 2).unwrap();
        let mut copies = Vec::new();
        migrate::migrate_in_statements(&mut connection, &mut || {
            let copy = World::new();
            copy_folder(&world.path, &copy.path);
            copies.push(copy);
        })
        .unwrap();
        let pending = migrate::NEWEST - u64::from(version);
        assert!(copies.len() as u64 >= pending * 10, "version {version}: {} statements", copies.len());
        for copy in &copies {
            let store = copy.open();
            check(&store, version);
            store.close().unwrap();
        }
    }
}

/// Pages of a database keep the MAC under which they were made: without the file that names it, and under another key.
#[test]
fn an_older_database_keeps_what_authenticates_its_pages() {
    for version in released() {
        let world = world_of(version);
        let key_file = world.path.join("database/key.json");
        let named = std::fs::read(&key_file).unwrap();
        std::fs::remove_file(&key_file).unwrap();
        let store = world.open();
        assert_eq!(std::fs::read(&key_file).unwrap(), named, "version {version}");
        store.rotate_database_key().unwrap();
        store.close().unwrap();
        assert_ne!(std::fs::read(&key_file).unwrap(), named, "version {version}");
        let store = world.open();
        check(&store, version);
        store.close().unwrap();
    }
}

/// `cargo test -p snaptrak-store make_fixture -- --ignored` for the version that is about to be released.
#[test]
#[ignore = "writes a fixture; run once a version"]
fn make_fixture() {
    let target = fixture(u32::try_from(migrate::NEWEST).unwrap());
    assert!(!target.exists(), "a shipped fixture never changes");
    let world = World::new();
    let store = world.create();
    capture(&store, PHOTO);
    store.note(CaptureRequest { tags: vec!["tag".into()], ..CaptureRequest::default() }, NOTE).unwrap();
    store.close().unwrap();
    copy_folder(&world.path, &target);
    std::fs::remove_file(target.join("lock")).unwrap();
}

/// A database of version 1 was made before freed pages were given back: it keeps them, and closing is not held up by trying.
#[test]
fn version_1_keeps_its_free_pages() {
    let world = world_of(1);
    let store = world.open();
    store
        .write(|transaction| {
            let sql = "INSERT INTO setting VALUES ('large', hex(zeroblob(6000000)))";
            rows::change(transaction, sql, [])?;
            rows::change(transaction, "DELETE FROM setting WHERE name = 'large'", []).map(|_| ())
        })
        .unwrap();
    store.close().unwrap();
    let store = world.open();
    let number = |sql| store.read(|connection| rows::only(connection, sql, [], |row| rows::count(row, 0))).unwrap();
    assert_eq!(number("PRAGMA auto_vacuum"), 0);
    assert!(number("PRAGMA freelist_count") > 2_500);
    store.close().unwrap();
}
