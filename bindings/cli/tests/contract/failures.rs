//! The answers that scripts tell apart: each its exit code and its code, and nothing deleted in any of them.

use crate::program::{PASSPHRASE, Place, assert_fails, run};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Every file under the folder with its bytes, but for the lock and what SQLite rebuilds by itself.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !(name == "lock" || name.ends_with("-shm") || name.ends_with("-wal")) {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn with_a_capture() -> Place {
    let place = Place::with_store();
    place.capture(&place.file("file", b"evidence"));
    place
}

/// The commands that open a store fail with this, and leave every file as it was.
fn assert_refused_and_unchanged(place: &Place, exit: i32, code: &str) {
    let before = contents(&place.store());
    let file = place.path("file");
    for words in [&["list"][..], &["status"], &["capture", file.to_str().unwrap()], &["verify"]] {
        assert_fails(|| place.program(words), exit, code);
    }
    assert_eq!(contents(&place.store()), before);
}

#[test]
fn a_wrong_passphrase() {
    let place = with_a_capture();
    fs::write(place.path("passphrase"), "wrong horse").unwrap();
    assert_refused_and_unchanged(&place, 3, "wrong_key");
    fs::write(place.path("passphrase"), PASSPHRASE).unwrap();
    assert_eq!(place.json(["list"]).0, 0, "the right one still opens it");
}

#[test]
fn no_passphrase_and_nobody_to_ask() {
    let place = with_a_capture();
    let store = place.store();
    assert_fails(|| place.bare(["list", "--store", store.to_str().unwrap()]), 3, "needs_user");
    fs::remove_file(place.path("passphrase")).unwrap();
    assert_fails(|| place.program(["list"]), 3, "secret_unreadable");
    let new = place.path("new");
    assert_fails(|| place.bare(["init", "--store", new.to_str().unwrap()]), 3, "needs_user");
}

#[test]
fn a_passphrase_that_others_can_read_is_said() {
    let place = with_a_capture();
    assert_eq!(place.words(["list"]).stderr, "");
    fs::set_permissions(place.path("passphrase"), fs::Permissions::from_mode(0o644)).unwrap();
    let warned = place.words(["list", "--quiet"]);
    assert!(warned.exit == 0 && warned.stderr.contains("chmod 600"), "{}", warned.stderr);
}

#[test]
fn a_damaged_database() {
    let place = with_a_capture();
    let database = place.store().join("database/store.sqlite3");
    let mut bytes = fs::read(&database).unwrap();
    bytes[..4096].fill(0x5a);
    fs::write(&database, bytes).unwrap();
    assert_refused_and_unchanged(&place, 7, "damaged");
}

#[test]
fn a_damaged_keyset() {
    let place = with_a_capture();
    for class in ["background.json", "background.json.previous"] {
        let path = place.store().join("keyset").join(class);
        if path.exists() {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("argon2id", "argon2ie")).unwrap();
        }
    }
    assert_refused_and_unchanged(&place, 7, "damaged");
}

#[test]
fn a_missing_keyset() {
    let place = with_a_capture();
    fs::rename(place.store().join("keyset"), place.path("keyset")).unwrap();
    assert_refused_and_unchanged(&place, 10, "keyset_missing");
    fs::rename(place.path("keyset"), place.store().join("keyset")).unwrap();
    assert_eq!(place.json(["list"]).0, 0);
}

#[test]
fn a_store_of_a_newer_version() {
    let place = with_a_capture();
    let path = place.store().join("store.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("snaptrak.store/2", "snaptrak.store/3")).unwrap();
    assert_refused_and_unchanged(&place, 9, "newer_version");
}

#[test]
fn no_store_at_all() {
    let place = Place::empty();
    assert_fails(|| place.program(["list"]), 1, "no_store");
    assert!(!place.store().exists(), "asking makes nothing");
    fs::create_dir(place.store()).unwrap();
    fs::write(place.store().join("holiday.txt"), "mine").unwrap();
    let answer = place.json(["list"]);
    assert!(answer.0 == 1 && ["no_store", "not_a_store"].contains(&answer.1["code"].as_str().unwrap()), "{}", answer.1);
}

/// Whoever reads the output may go: no panic, no second complaint.
#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let place = with_a_capture();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = run(place.program(["list"]).stdout(writer));
    // `run` sets its own standard output only where none was given.
    assert_eq!((gone.exit, gone.stderr.as_str()), (141, ""));
}
