//! Each thing that can be wrong with a store has its own answer, and none of them deletes or changes anything.

use super::world::{World, capture, contents, copy_folder, read_all};
use crate::{CaptureRequest, Store, StoreError, keyset, layout::Layout, migrate};
use snaptrak_domain::{KeyClass, KeyStoreError};
use snaptrak_testkit::FixedKeyStore;
use std::{fs, path::Path, sync::Arc};

/// A closed store with a photo and a note.
fn closed() -> World {
    filled(World::new())
}

fn filled(world: World) -> World {
    let store = world.create();
    capture(&store, b"\xff\xd8\xff\xe0 photo");
    store.note(CaptureRequest::default(), "note").unwrap();
    store.close().unwrap();
    world
}

/// The error of opening, after checking that every file is as it was (the lock's is empty anyway).
fn error(world: &World) -> StoreError {
    let before = contents(&world.path);
    let error = world.try_open().err().unwrap();
    let after = contents(&world.path);
    let lasting = |(path, _): &&(std::path::PathBuf, Vec<u8>)| !path.to_string_lossy().ends_with("-shm");
    assert_eq!(
        before.iter().filter(lasting).collect::<Vec<_>>(),
        after.iter().filter(lasting).collect::<Vec<_>>(),
        "{error}"
    );
    error
}

fn overwrite(path: &Path, offset: usize, bytes: &[u8]) {
    let mut content = fs::read(path).unwrap();
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
    fs::write(path, content).unwrap();
}

#[test]
fn a_wrong_passphrase_and_another_stores_keys_are_a_wrong_key() {
    let world = closed();
    let mut surroundings = world.surroundings();
    surroundings.key_store = Arc::new(FixedKeyStore::new([8; 32]));
    let wrong = Store::open(&world.path, surroundings);
    assert!(matches!(wrong, Err(StoreError::WrongKey)));

    let other = filled(World::with_seed(100));
    copy_folder(&other.path.join("keyset"), &world.path.join("keyset"));
    assert!(matches!(error(&world), StoreError::WrongKey));
}

#[test]
fn a_damaged_database_is_damaged() {
    for offset in [0, 20, 2_000] {
        let world = closed();
        overwrite(&world.path.join("database/store.sqlite3"), offset, &[0x55; 64]);
        assert!(matches!(error(&world), StoreError::Damaged { what: "database" }), "{offset}");
    }
    let world = closed();
    fs::remove_file(world.path.join("database/store.sqlite3")).unwrap();
    assert!(matches!(error(&world), StoreError::Damaged { what: "database missing" }));
    let world = closed();
    fs::write(world.path.join("database/store.sqlite3"), b"SQLite format 3\0 and more").unwrap();
    assert!(matches!(error(&world), StoreError::Damaged { what: "database is not encrypted" }));
    let world = closed();
    fs::write(world.path.join("store.json"), b"{").unwrap();
    assert!(matches!(error(&world), StoreError::Damaged { what: "store.json" }));
}

#[test]
fn a_newer_schema_is_its_own_answer() {
    let world = closed();
    let store = world.open();
    store.write(|transaction| Ok(transaction.pragma_update(None, "user_version", 9)?)).unwrap();
    store.close().unwrap();
    assert!(matches!(error(&world), StoreError::NewerSchema { found: 9, known: migrate::NEWEST }));
    let world = closed();
    fs::write(world.path.join("store.json"), br#"{"format":"snaptrak.store/3","other":1}"#).unwrap();
    assert!(matches!(error(&world), StoreError::NewerSchema { found: 3, known: 2 }));
    let world = closed();
    fs::write(world.path.join("keyset/background.json"), br#"{"format":"snaptrak.keyset/3"}"#).unwrap();
    assert!(matches!(error(&world), StoreError::NewerSchema { found: 3, known: 1 }));
}

#[test]
fn a_missing_keyset_and_a_damaged_one_are_two_answers() {
    let world = closed();
    fs::remove_file(world.path.join("keyset/background.json")).unwrap();
    assert!(matches!(error(&world), StoreError::KeysetMissing));
    let world = closed();
    let path = world.path.join("keyset/background.json");
    let length = fs::read(&path).unwrap().len();
    overwrite(&path, length / 2, b"AAAAAAAA");
    assert!(matches!(error(&world), StoreError::KeysetDamaged), "and not a wrong passphrase");
}

#[test]
fn the_previous_generation_stands_in_for_a_damaged_keyset() {
    let world = closed();
    let path = world.path.join("keyset/background.json");
    fs::copy(&path, world.path.join("keyset/background.json.previous")).unwrap();
    fs::write(&path, b"{\"format\":\"snaptrak.keyset/1\"").unwrap();
    world.open().close().unwrap();
}

#[test]
fn the_key_stores_answers_are_passed_on() {
    let world = closed();
    let answer = |error: KeyStoreError| {
        world.key_store.answer(KeyClass::Background, Some(error));
        self::error(&world)
    };
    assert!(matches!(answer(KeyStoreError::NotYet), StoreError::NotYet));
    assert!(matches!(answer(KeyStoreError::NeedsUser { wrong_answer: false }), StoreError::NeedsUser));
    assert!(matches!(answer(KeyStoreError::NeedsUser { wrong_answer: true }), StoreError::WrongKey));
    assert!(matches!(answer(KeyStoreError::Lost), StoreError::KeysLost));
    world.key_store.answer(KeyClass::Background, None);
    world.open().close().unwrap();
}

#[test]
fn capture_needs_no_viewing_key_and_viewing_does() {
    let world = closed();
    world.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    let store = world.open();
    let new = capture(&store, b"new");
    assert_eq!(read_all(&store, new.asset_id), b"new");
    let old = store.receipts(0, 1).unwrap()[0].asset_id;
    assert!(matches!(store.reader(old).err(), Some(StoreError::NeedsUser)));
    store.forget_viewing_key();
    assert!(matches!(store.reader(new.asset_id).err(), Some(StoreError::NeedsUser)));
    world.key_store.answer(KeyClass::Viewing, None);
    assert_eq!(read_all(&store, old), b"\xff\xd8\xff\xe0 photo");
}

#[test]
fn one_owner_at_a_time() {
    let world = closed();
    let store = world.open();
    assert!(matches!(world.try_open(), Err(StoreError::InUse)));
    let clone = store.clone();
    store.close().unwrap();
    assert!(matches!(clone.note(CaptureRequest::default(), "late"), Err(StoreError::Closed)));
    world.open().close().unwrap();
    // A handle that is only dropped frees the store as well.
    drop(world.open());
    world.open().close().unwrap();
}

#[test]
fn only_an_empty_folder_becomes_a_store() {
    let world = closed();
    let again = Store::create(&world.path, world.surroundings());
    assert!(matches!(again, Err(StoreError::NotEmpty)));
    let other = World::new();
    fs::create_dir(&other.path).unwrap();
    assert!(matches!(other.try_open(), Err(StoreError::NotAStore)));
    fs::write(other.path.join("holiday.txt"), b"x").unwrap();
    assert!(matches!(Store::create(&other.path, other.surroundings()), Err(StoreError::NotEmpty)));
    assert!(matches!(other.try_open(), Err(StoreError::NotAStore)));
    assert_eq!(contents(&other.path).len(), 1);
}

#[test]
fn a_creation_that_was_killed_is_begun_again() {
    let world = World::new();
    world.create().close().unwrap();
    // As after a kill before `store.json`: the marker is there, all else may be.
    fs::remove_file(world.path.join("store.json")).unwrap();
    fs::write(world.path.join("creating"), b"").unwrap();
    assert!(matches!(world.try_open(), Err(StoreError::NotAStore)));
    assert!(Store::is_nothing_yet(&world.path));
    let store = world.create();
    assert!(!Store::is_nothing_yet(&world.path));
    capture(&store, b"x");
    store.close().unwrap();
    world.open().close().unwrap();
    assert!(!world.path.join("creating").exists());
}

#[test]
fn a_database_of_another_folder_is_noticed() {
    let world = closed();
    let mut text = fs::read_to_string(world.path.join("store.json")).unwrap();
    let place = text.find("generation_id").unwrap() + 20;
    text.replace_range(place..=place, if &text[place..=place] == "0" { "1" } else { "0" });
    fs::write(world.path.join("store.json"), text).unwrap();
    assert!(matches!(error(&world), StoreError::Damaged { .. }));
}

#[test]
fn a_lost_fingerprint_is_made_again() {
    let world = closed();
    let path = world.path.join("database/key.json");
    let before = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    world.open().close().unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// The files of `database/` as they are now, to be put back later.
fn backup(world: &World) -> tempfile::TempDir {
    let kept = tempfile::tempdir().unwrap();
    copy_folder(&world.path.join("database"), kept.path());
    kept
}

#[test]
fn a_database_from_an_old_backup_is_refused_and_nothing_of_the_folder_is_touched() {
    let world = closed();
    let old = backup(&world);
    let store = world.open();
    capture(&store, b"after the backup");
    store.close().unwrap();
    let new = backup(&world);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    copy_folder(old.path(), &world.path.join("database"));
    assert!(matches!(error(&world), StoreError::Damaged { what: "database is older than its folder" }));
    fs::remove_dir_all(world.path.join("database")).unwrap();
    copy_folder(new.path(), &world.path.join("database"));
    assert_eq!(world.open().receipts(0, 10).unwrap().len(), 3);
}

#[test]
fn a_session_file_that_is_damaged_or_behind_stops_nobody() {
    let world = closed();
    let file = world.path.join("session.json");
    let behind = fs::read(&file).unwrap();
    world.open().close().unwrap();
    let ahead = fs::read(&file).unwrap();
    assert_ne!(behind, ahead);
    // Killed between the commit and the file.
    fs::write(&file, &behind).unwrap();
    world.open().close().unwrap();
    for place in (0..ahead.len()).step_by(7) {
        let mut damaged = ahead.clone();
        damaged[place] ^= 1;
        fs::write(&file, &damaged).unwrap();
        world.open().close().unwrap();
    }
    fs::remove_file(&file).unwrap();
    world.open().close().unwrap();
    assert!(file.exists());
}

/// Both generations of a class, the current one newer.
fn two_generations(world: &World, class: KeyClass) -> (std::path::PathBuf, Vec<u8>) {
    let layout = Layout::new(&world.path);
    let mut keyset = keyset::read(&layout, class, world.key_store.as_ref()).unwrap();
    keyset.generation += 1;
    keyset::write(&layout, &keyset, world.key_store.as_ref()).unwrap();
    let path = layout.keyset(class);
    (path.clone(), fs::read(path).unwrap())
}

fn generation(world: &World, class: KeyClass) -> Result<u64, StoreError> {
    keyset::read(&Layout::new(&world.path), class, world.key_store.as_ref()).map(|keyset| keyset.generation)
}

#[test]
fn a_keyset_torn_at_any_byte_gives_the_previous_generation() {
    for class in [KeyClass::Background, KeyClass::Viewing] {
        let world = closed();
        let (path, whole) = two_generations(&world, class);
        assert_eq!(generation(&world, class).unwrap(), 2);
        for bytes in 0..whole.len() {
            fs::write(&path, &whole[..bytes]).unwrap();
            assert_eq!(generation(&world, class).unwrap(), 1, "{} cut at {bytes}", class.as_str());
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let store = world.open();
        store.unlock().unwrap();
        store.close().unwrap();
    }
}

#[test]
fn a_damaged_keyset_does_not_take_the_place_of_the_previous_generation() {
    let world = closed();
    let (path, whole) = two_generations(&world, KeyClass::Background);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let previous = fs::read(path.with_extension("json.previous")).unwrap();
    two_generations(&world, KeyClass::Background);
    assert_eq!(fs::read(path.with_extension("json.previous")).unwrap(), previous);
}

#[test]
fn a_keyset_with_a_flipped_byte_gives_a_generation_or_is_refused_and_never_other_keys() {
    for class in [KeyClass::Background, KeyClass::Viewing] {
        let world = closed();
        let (path, whole) = two_generations(&world, class);
        let keys = keyset::read(&Layout::new(&world.path), class, world.key_store.as_ref()).unwrap().keys;
        let mut previous = 0;
        for place in 0..whole.len() {
            for mask in [0x01, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= mask;
                fs::write(&path, &damaged).unwrap();
                match keyset::read(&Layout::new(&world.path), class, world.key_store.as_ref()) {
                    Ok(read) => {
                        assert_eq!(read.keys, keys);
                        previous += u32::from(read.generation == 1);
                    }
                    // A digit of the version: the update that it asks for would find the damage.
                    Err(StoreError::NewerSchema { .. }) => {}
                    Err(error) => panic!("{} byte {place}: {error}", class.as_str()),
                }
            }
        }
        assert!(previous as usize > whole.len(), "nearly every byte matters");
    }
}
