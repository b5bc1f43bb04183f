//! `recover` and `bundle`, without an organisation: a folder made into a store again, and each way in which it cannot be.

use crate::program::{Place, assert_fails, assert_id, sha256_hex};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// An X25519 key that nobody wrapped anything for: the private key counts from 1 to 32.
const FOREIGN_KEY: &str = r#"{"format": "snaptrak.private-key/1", "algorithm": "x25519",
    "public": "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=", "private": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="}"#;

/// A store with a file and a note; their ids.
fn filled() -> (Place, [String; 2]) {
    let place = Place::with_store();
    let file = assert_id(&place.capture(&place.file("file", b"evidence"))["id"]);
    let note = assert_id(&place.json(["note", "what a person saw"]).1["captures"][0]["id"]);
    (place, [file, note])
}

fn a_key(place: &Place, text: &str) -> PathBuf {
    let path = place.file("organisation-key", text.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn recover<'a>(from: &'a Path, into: &'a Path) -> [&'a str; 5] {
    ["recover", "--from", from.to_str().unwrap(), "--into", into.to_str().unwrap()]
}

fn list(place: &Place, store: &Path) -> Value {
    place.json(["list", "--store", store.to_str().unwrap()]).1["captures"].clone()
}

/// The envelope of the one asset that lies in a folder of its own.
fn envelope(store: &Path) -> PathBuf {
    let mut folder = store.join("assets");
    while !folder.join("envelope.json").exists() {
        folder = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    }
    folder.join("envelope.json")
}

#[test]
fn recover_says_what_came_back() {
    let (place, _) = filled();
    let (store, into) = (place.store(), place.path("into"));
    let (exit, answer) = place.json(recover(&store, &into));
    let expected = json!({
        "schema": "snaptrak.recover/1", "readable": 2, "recovered": 2, "unreadable": [], "unlisted": 0, "keys_kept": true
    });
    assert_eq!((exit, answer), (0, expected));
    assert_eq!(list(&place, &into), list(&place, &store));

    let ran = place.words(recover(&store, &place.path("for a person")));
    let said = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((ran.exit, ran.stderr.as_str(), lines), (0, "", vec!["readable   2", "recovered  2"]));
    // --store names the new one too.
    let third = place.path("third");
    let named = ["recover", "--from", store.to_str().unwrap(), "--store", third.to_str().unwrap()];
    assert_eq!(place.json(named).1["recovered"], json!(2));
}

#[test]
fn what_cannot_be_read_is_listed_with_its_path_and_the_rest_comes_back() {
    let (place, [_, note]) = filled();
    let (store, into) = (place.store(), place.path("into"));
    let envelope = envelope(&store);
    fs::write(&envelope, "no envelope").unwrap();
    let (exit, answer) = place.json(recover(&store, &into));
    assert_eq!((exit, &answer["readable"], &answer["recovered"]), (7, &json!(1), &json!(1)), "{answer}");
    let path = envelope.strip_prefix(&store).unwrap().to_str().unwrap();
    assert_eq!(answer["unreadable"], json!([{"path": path, "code": "damaged_envelope"}]));
    assert_eq!(list(&place, &into)[0]["id"], json!(note));

    let ran = place.words(recover(&store, &place.path("for a person")));
    let said = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.exit, 7);
    assert!(said.contains("damaged_envelope") && said.contains(path), "{said}");
    let out = place.path("bundle.tar");
    let (exit, exported) =
        place.json(["bundle", "export", "--from", store.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert_eq!((exit, &exported["captures"]), (0, &json!(1)), "a file that is no envelope is no capture: {exported}");
}

#[test]
fn recover_in_place_sets_the_folder_aside() {
    let (place, _) = filled();
    fs::write(place.store().join("database/store.sqlite3"), [0x5a; 8192]).unwrap();
    let (exit, answer) = place.json(["recover", "--in-place"]);
    assert_eq!((exit, &answer["readable"], &answer["recovered"]), (0, &json!(2), &json!(2)), "{answer}");
    assert!(place.path("store.quarantined-1").exists());
    assert_eq!(list(&place, &place.store()).as_array().unwrap().len(), 2);
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let (place, _) = filled();
    let store = place.store();
    let letters = place.path("letters");
    fs::create_dir(&letters).unwrap();
    fs::write(letters.join("letter.txt"), "dear").unwrap();
    assert_fails(|| place.program(recover(&store, &letters)), 1, "not_empty");
    assert_eq!(fs::read_dir(&letters).unwrap().count(), 1);
    let other = place.path("other");
    assert_eq!(place.json(["init", "--store", other.to_str().unwrap()]).0, 0);
    assert_fails(|| place.program(recover(&store, &other)), 1, "store_exists");
    assert_eq!(list(&place, &other), json!([]));
    for inside in [store.clone(), store.join("inside"), store.parent().unwrap().to_owned()] {
        assert_fails(|| place.program(recover(&store, &inside)), 2, "invalid_argument");
    }
    for nothing in [letters, place.path("nowhere")] {
        let into = place.path("into");
        assert_fails(|| place.program(recover(&nothing, &into)), 1, "not_a_store");
        assert!(!into.exists(), "nothing is made of nothing");
        let bundle = place.path("bundle.tar");
        let words = ["bundle", "export", "--from", nothing.to_str().unwrap(), "-o", bundle.to_str().unwrap()];
        assert_fails(|| place.program(words), 1, "not_a_store");
        assert!(!bundle.exists());
    }
    assert_eq!(place.json(["recover"]).0, 2);
    assert_eq!(place.json(["recover", "--in-place", "--from", store.to_str().unwrap()]).0, 2);
}

#[test]
fn keys_that_do_not_fit_are_an_answer_about_keys() {
    let (place, _) = filled();
    let (store, into) = (place.store(), place.path("into"));
    let with_key = |from: &Path, into: &Path, key: &Path| {
        let words = recover(from, into).map(str::to_owned);
        [&words[..], &["--recovery-key".to_owned(), key.to_str().unwrap().to_owned()]].concat()
    };
    assert_fails(|| place.program(with_key(&store, &into, &place.path("nowhere"))), 3, "secret_unreadable");
    let no_key = a_key(&place, "no key at all");
    assert_fails(|| place.program(with_key(&store, &into, &no_key)), 2, "invalid_argument");
    let wrong = place.file("wrong", b"another passphrase\n");
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    let wrong_passphrase = || {
        let mut program = place.program(recover(&store, &into));
        program.env("SNAPTRAK_PASSPHRASE_FILE", &wrong);
        program
    };
    assert_fails(wrong_passphrase, 3, "wrong_key");
    fs::rename(store.join("keyset"), place.path("keyset")).unwrap();
    assert_fails(|| place.program(recover(&store, &into)), 10, "keyset_missing");
    assert!(!into.exists(), "no answer of these makes a store");

    // Without the keyset, and a key that opens nothing: not damage, and nothing of the folder changed.
    let foreign = a_key(&place, FOREIGN_KEY);
    assert_fails(|| place.program(with_key(&store, &into, &foreign)), 3, "wrong_key");
    assert!(!into.exists(), "the right key finds nothing in its way");
    fs::rename(place.path("keyset"), store.join("keyset")).unwrap();
    assert_eq!(list(&place, &store).as_array().unwrap().len(), 2);
}

#[test]
fn a_bundle_is_one_file_of_sealed_bytes_for_its_owner() {
    let (place, _) = filled();
    let (store, out) = (place.store(), place.path("bundle.tar"));
    let words = ["bundle", "export", "--from", store.to_str().unwrap(), "-o", out.to_str().unwrap()];
    let (exit, answer) = place.json(words);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.bundle_export/1")));
    assert_eq!((&answer["bundle"], &answer["captures"]), (&json!(out.to_str().unwrap()), &json!(2)));
    let bytes = fs::read(&out).unwrap();
    assert!(answer["bytes"].as_u64().unwrap() <= bytes.len() as u64, "{answer}");
    assert_eq!(answer["unreadable"], json!([]));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    for clear in [&b"evidence"[..], b"what a person saw"] {
        assert!(!bytes.windows(clear.len()).any(|part| part == clear));
    }
    let ran = place.words(words);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.exit == 0 && said.contains("bundle.tar: 2 captures"), "{said}");
    assert_eq!(sha256_hex(&fs::read(&out).unwrap()), sha256_hex(&bytes), "the same store is the same bundle");

    let to = |out: &'static str| ["bundle", "export", "--from", store.to_str().unwrap(), "-o", out];
    assert_fails(|| place.program(to("-")), 2, "usage");
    assert_fails(|| place.program(to("/dev/full")), 4, "storage_full");
    assert_fails(|| place.program(to("/no/such/folder/bundle")), 1, "output_failed");
}

#[test]
fn an_import_refuses_what_is_no_bundle_and_a_key_that_is_none() {
    let (place, _) = filled();
    let (store, bundle, into) = (place.store(), place.path("bundle.tar"), place.path("into"));
    let exported = ["bundle", "export", "--from", store.to_str().unwrap(), "-o", bundle.to_str().unwrap()];
    assert_eq!(place.json(exported).0, 0);
    let import = |bundle: &Path, key: &Path| {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let words = ["bundle", "import", &path(bundle), "--recovery-key", &path(key), "--into", &path(&into)];
        words.map(str::to_owned)
    };
    let no_key = a_key(&place, "no key at all");
    assert_fails(|| place.program(import(&bundle, &no_key)), 2, "invalid_argument");
    assert_fails(|| place.program(import(&bundle, &place.path("nowhere"))), 3, "secret_unreadable");
    let foreign = a_key(&place, FOREIGN_KEY);
    assert_fails(|| place.program(import(&place.path("nowhere"), &foreign)), 1, "input_unreadable");
    let text = place.file("text", b"no bundle");
    assert_fails(|| place.program(import(&text, &foreign)), 2, "invalid_argument");
    assert!(!into.exists());
    assert_fails(|| place.program(import(&bundle, &foreign)), 3, "wrong_key");
    assert!(!into.exists());
    for missing in [&["bundle"][..], &["bundle", "import", "b.tar"], &["bundle", "export"]] {
        let (exit, answer) = place.json(missing);
        assert_eq!((exit, &answer["code"]), (2, &json!("usage")), "{missing:?}");
    }
}
