//! Keys change while captures arrive; a kill at any stage leaves a store that opens with everything in it.

use super::world::{World, capture, contents, copy_folder, plain, read_all};
use crate::{CaptureRequest, Store, StoreError, keyset, rows};
use snaptrak_domain::{AssetId, KeyClass, KeyStoreError};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

const NOTE: &str = "written before the keys changed";

fn filled(world: &World) -> (Store, AssetId, AssetId) {
    let store = world.create();
    let photo = capture(&store, &plain(200_000)).asset_id;
    let note = store.note(CaptureRequest::default(), NOTE).unwrap().asset_id;
    (store, photo, note)
}

fn check(store: &Store, photo: AssetId, note: AssetId) {
    // Through the wraps, not from memory.
    store.forget_viewing_key();
    assert_eq!(read_all(store, photo), plain(200_000));
    assert_eq!(read_all(store, note), NOTE.as_bytes());
    assert_eq!(store.receipts(0, 10).unwrap().len(), 2);
}

fn sealed_files(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    contents(&world.path.join("assets"))
}

#[test]
fn both_keys_change_and_no_sealed_byte_does() {
    let world = World::new();
    let (store, photo, note) = filled(&world);
    store.close().unwrap();
    let store = world.open();
    let (before, media) = (sealed_files(&world), store.media_key_id());
    let key_file = std::fs::read(world.path.join("database/key.json")).unwrap();
    store.rotate_database_key().unwrap();
    store.rotate_media_key().unwrap();
    assert_ne!(std::fs::read(world.path.join("database/key.json")).unwrap(), key_file);
    assert_ne!(store.media_key_id(), media);
    check(&store, photo, note);
    let later = capture(&store, b"captured afterwards").asset_id;
    store.close().unwrap();
    let after = sealed_files(&world);
    assert!(before.iter().all(|file| after.contains(file)), "neither pieces nor envelopes were rewritten");
    let store = world.open();
    assert_eq!(read_all(&store, later), b"captured afterwards");
    assert_eq!(store.receipts(0, 10).unwrap().len(), 3);
    store.rotate_media_key().unwrap();
    store.rotate_database_key().unwrap();
    assert_eq!(read_all(&store, later), b"captured afterwards");
    assert_eq!(read_all(&store, photo), plain(200_000));
}

#[test]
fn the_old_database_key_is_gone_from_the_keyset() {
    let world = World::new();
    let (store, ..) = filled(&world);
    store.rotate_database_key().unwrap();
    let read = || keyset::read(store.layout(), KeyClass::Background, world.key_store.as_ref()).unwrap();
    let database = |keyset: keyset::Keyset| -> Vec<u32> {
        let entries = keyset.keys.into_iter().filter(|entry| entry.role == keyset::KeyRole::Database);
        entries.map(|entry| entry.version).collect()
    };
    assert_eq!(database(read()), [2]);
}

#[test]
fn killed_at_every_stage_the_store_opens_whole() {
    for media in [false, true] {
        let world = World::new();
        let (store, photo, note) = filled(&world);
        // Closing leaves no chores that would write while the folder is copied.
        store.close().unwrap();
        let store = world.open();
        let mut copies = Vec::new();
        let mut reached = || {
            let copy = World::new();
            copy_folder(&world.path, &copy.path);
            copies.push(copy);
        };
        match media {
            true => store.rotate_media_key_in_stages(&mut reached).unwrap(),
            false => store.rotate_database_key_in_stages(&mut reached).unwrap(),
        }
        assert_eq!(copies.len(), if media { 3 } else { 5 });
        for copy in &copies {
            let killed = copy.open();
            check(&killed, photo, note);
            // What was begun can be done again, and what comes after it works.
            killed.rotate_database_key().unwrap();
            killed.rotate_media_key().unwrap();
            capture(&killed, b"more");
            killed.close().unwrap();
            let again = copy.open();
            assert_eq!(again.receipts(0, 10).unwrap().len(), 3);
        }
    }
}

#[test]
fn killed_while_the_pages_are_written_either_key_opens_it() {
    // Keyset and key.json as they stand at that moment, and a database whose transaction was not committed.
    let world = World::new();
    let (store, photo, note) = filled(&world);
    store.close().unwrap();
    let killed = World::new();
    copy_folder(&world.path, &killed.path);
    let store = world.open();
    let mut stage = 0;
    store
        .rotate_database_key_in_stages(&mut || {
            stage += 1;
            if stage == 4 {
                copy_folder(&world.path.join("keyset"), &killed.path.join("keyset"));
                let key_file = "database/key.json";
                std::fs::copy(world.path.join(key_file), killed.path.join(key_file)).unwrap();
            }
        })
        .unwrap();
    assert_eq!(stage, 5);
    check(&killed.open(), photo, note);
}

#[test]
fn captures_and_reads_go_on_meanwhile() {
    let world = World::new();
    let (store, photo, _) = filled(&world);
    let done = AtomicBool::new(false);
    let taken: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = 0;
                    while !done.load(Ordering::SeqCst) {
                        capture(&store, b"in between");
                        assert_eq!(read_all(&store, photo), plain(200_000));
                        taken += 1;
                    }
                    taken
                })
            })
            .collect();
        for _ in 0..4 {
            store.rotate_database_key().unwrap();
            store.rotate_media_key().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(taken > 0, "something was captured meanwhile");
    store.close().unwrap();
    let store = world.open();
    let captures =
        store.read(|connection| rows::only(connection, "SELECT count(*) FROM capture", [], |row| rows::count(row, 0)));
    assert_eq!(captures.unwrap(), taken as u64 + 2);
    assert_eq!(read_all(&store, photo), plain(200_000));
}

#[test]
fn without_the_viewing_class_the_media_key_stays_and_the_database_key_changes() {
    let world = World::new();
    let (store, photo, note) = filled(&world);
    let media = store.media_key_id();
    world.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    assert!(matches!(store.rotate_media_key(), Err(StoreError::NeedsUser)));
    assert_eq!(store.media_key_id(), media);
    store.rotate_database_key().unwrap();
    world.key_store.answer(KeyClass::Viewing, None);
    check(&store, photo, note);
}

#[test]
fn a_lost_fingerprint_file_is_made_again_for_the_key_that_opens() {
    let world = World::new();
    let (store, photo, note) = filled(&world);
    store.rotate_database_key().unwrap();
    store.close().unwrap();
    let file = world.path.join("database/key.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    check(&world.open(), photo, note);
    assert_eq!(std::fs::read(&file).unwrap(), whole);
}
