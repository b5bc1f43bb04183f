//! `view`, `annotate`, `export-key`, `completions`: what leaves the store into a file or onto standard output.

use crate::program::{Place, assert_fails, assert_id, jpeg, run, sha256_hex};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

/// More than one segment of a piece.
fn long() -> Vec<u8> {
    (0..200_000_u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn view_writes_the_original_byte_for_byte() {
    let place = Place::with_store();
    let entry = place.capture(&place.file("file", &long()));
    let id = entry["id"].as_str().unwrap();
    let out = place.path("out");
    let (exit, answer) = place.json(["view", id, "-o", out.to_str().unwrap()]);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.view/1")));
    assert_eq!(answer["sha256"], json!(sha256_hex(&long())));
    assert_eq!(fs::read(&out).unwrap(), long());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o077, 0, "plaintext is its owner's alone");

    let streamed = run(&mut place.program(["view", id, "-o", "-"]));
    assert_eq!((streamed.exit, streamed.stdout), (0, long()));
    let note = place.json(["note", "short"]).1["captures"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(run(&mut place.program(["view", &note, "-o", "-"])).stdout, b"short");
    let both = place.json(["view", id, "-o", "-"]);
    assert_eq!((both.0, &both.1["code"]), (2, &json!("usage")));
}

#[test]
fn a_file_that_cannot_be_written_is_left_as_it_was() {
    let place = Place::with_store();
    let entry = place.capture(&place.file("file", &long()));
    let id = entry["id"].as_str().unwrap();
    assert_fails(|| place.program(["view", id, "-o", "/dev/full"]), 4, "storage_full");
    assert_fails(|| place.program(["view", id, "-o", "/no/such/folder/out"]), 1, "output_failed");

    // Damage of the sealed bytes is found before the old file is replaced.
    let (_, shown) = place.json(["show", id]);
    let piece = shown["assets"][0]["pieces"][0]["path"].as_str().unwrap().to_owned();
    let mut sealed = fs::read(&piece).unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    fs::write(&piece, sealed).unwrap();
    let out = place.file("out", b"what was there");
    assert_fails(|| place.program(["view", id, "-o", out.to_str().unwrap()]), 7, "damaged");
    assert_eq!(fs::read(&out).unwrap(), b"what was there");
}

#[test]
fn annotate_needs_a_picture_and_a_name_that_does_not_lie() {
    let place = Place::with_store();
    let broken = place.capture(&place.file("broken.jpg", &jpeg()));
    let id = broken["id"].as_str().unwrap();
    let out = place.path("out.png");
    assert_fails(|| place.program(["annotate", id, "-o", out.to_str().unwrap()]), 1, "not_a_picture");
    assert!(!out.exists());
    assert_fails(|| place.program(["annotate", id, "-o", "out.webp"]), 2, "usage");
}

#[test]
fn a_data_key_leaves_only_on_purpose_and_into_its_owners_file() {
    let place = Place::with_store();
    let entry = place.capture(&place.file("file", &long()));
    let id = entry["id"].as_str().unwrap();
    let out = place.path("key.json");
    assert_fails(|| place.program(["export-key", id, "-o", out.to_str().unwrap()]), 2, "usage");
    assert_fails(|| place.program(["export-key", id, "-o", "-", "--yes"]), 2, "usage");
    assert!(!out.exists());

    let (exit, answer) = place.json(["export-key", id, "-o", out.to_str().unwrap(), "--yes"]);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.export_key/1")));
    assert_eq!(answer["keyset"], json!(out.to_str().unwrap()));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let keyset: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    let key = &keyset["key"][0];
    assert_eq!(keyset["primaryKeyId"], key["keyId"]);
    assert_eq!(key["keyData"]["typeUrl"], json!("type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"));
    let piece = &answer["pieces"][0];
    assert!(fs::metadata(piece["path"].as_str().unwrap()).unwrap().is_file());
    let associated_data = STANDARD.decode(piece["associated_data_b64"].as_str().unwrap()).unwrap();
    assert!(associated_data.starts_with(b"snaptrak.piece/1"));
    assert_eq!(associated_data.len(), 16 + 16 + 4);
    let rendition = place.json(["export-key", id, "--rendition", "redacted", "-o", "k", "--yes"]);
    assert_eq!((rendition.0, &rendition.1["code"]), (1, &json!("not_found")));
}

#[test]
fn a_thumbnail_needs_no_engine_and_stays_out_of_what_is_parked() {
    let place = Place::with_store();
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pictures/demo.jpg");
    let photo = place.capture(&demo)["id"].as_str().unwrap().to_owned();
    assert_fails(|| place.program(["analyse"]), 1, "engine_missing");
    let (_, shown) = place.json(["show", &photo]);
    let small = shown["assets"].as_array().unwrap().iter().find(|asset| asset["rendition"] == "thumbnail").unwrap();
    assert_eq!((&shown["assets"][0]["rendition"], &small["state"]), (&json!("original"), &json!("withheld")));
    let out = place.path("small.jpg");
    let (exit, answer) = place.json(["thumbnail", &photo, "-o", out.to_str().unwrap()]);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.thumbnail/1")));
    let bytes = fs::read(&out).unwrap();
    assert_eq!((&bytes[..2], answer["bytes"].as_u64()), (&[0xff, 0xd8][..], Some(bytes.len() as u64)));
    assert_eq!(answer["bytes"], small["bytes"]);

    // A video cannot be decoded here: that is said by its step, and the app may give a picture.
    let film = [&b"\0\0\0\x14ftypisom\0\0\0\0isom"[..], &[0, 0, 0, 8], b"mdat"].concat();
    let film = place.capture(&place.file("film.mp4", &film))["id"].as_str().unwrap().to_owned();
    assert_fails(|| place.program(["thumbnail", &film, "-o", "no.jpg"]), 1, "not_a_picture");
    let step = |id: &str| {
        let (_, shown) = place.json(["show", id]);
        let step = shown["steps"].as_array().unwrap().iter().find(|step| step["step"] == "thumbnail").unwrap();
        (step["state"].clone(), step["code"].clone())
    };
    assert_eq!(step(&film), (json!("cancelled"), json!("not_a_picture")));
    assert_eq!(place.json(["status"]).1["parked"], json!([]));
    let text = place.file("text", b"no picture");
    assert_fails(|| place.program(["thumbnail", &film, "--set", text.to_str().unwrap()]), 1, "not_a_picture");
    assert_eq!(place.json(["thumbnail", &film, "--set", demo.to_str().unwrap()]).0, 0);
    assert_eq!(step(&film), (json!("done"), Value::Null));
    let same = run(&mut place.program(["thumbnail", &film, "-o", "-"]));
    assert_eq!((same.exit, same.stdout == bytes), (0, true));
    assert_eq!(place.json(["thumbnail", &film]).0, 2, "neither -o nor --set");
}

#[test]
fn shells_are_taught() {
    let place = Place::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(&mut place.bare(["completions", shell])).stdout).unwrap();
        assert!(script.contains("export-key") && script.contains("passphrase-file"), "{shell}");
    }
}

#[test]
fn keys_change_and_everything_opens_as_before() {
    let place = Place::with_store();
    let id = assert_id(&place.json(["note", "older than the keys"]).1["captures"][0]["id"]);
    let key_file = place.store().join("database/key.json");
    let before = fs::read(&key_file).unwrap();
    for (flags, database, media) in [(&[][..], true, true), (&["--database"], true, false), (&["--media"], false, true)]
    {
        let (exit, answer) = place.json([&["rotate-keys"], flags].concat());
        let expected = json!({"schema": "snaptrak.rotate_keys/1", "database": database, "media": media});
        assert_eq!((exit, answer), (0, expected));
        let out = place.path("out");
        let viewed = place.json(["view", &id, "-o", out.to_str().unwrap()]);
        assert_eq!((viewed.0, fs::read(&out).unwrap().as_slice()), (0, &b"older than the keys"[..]), "{}", viewed.1);
    }
    assert_ne!(fs::read(&key_file).unwrap(), before);
    let ran = place.words(["rotate-keys"]);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.exit == 0 && said.contains("database has a new key") && said.contains("old ones open"), "{said}");
    assert_eq!(place.json(["rotate-keys", "--database", "--media"]).0, 2, "both is what it does without either");

    let keys =
        || ["background.json", "viewing.json"].map(|class| fs::read(place.store().join("keyset").join(class)).unwrap());
    let before = (keys(), fs::read(&key_file).unwrap());
    let passphrase = fs::read(place.path("passphrase")).unwrap();
    fs::write(place.path("passphrase"), "wrong horse").unwrap();
    assert_fails(|| place.program(["rotate-keys"]), 3, "wrong_key");
    fs::write(place.path("passphrase"), passphrase).unwrap();
    assert_eq!((keys(), fs::read(&key_file).unwrap()), before);
}

#[test]
fn a_thumbnail_that_cannot_be_given_or_written_says_why() {
    let place = Place::with_store();
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pictures/demo.jpg");
    let photo = assert_id(&place.capture(&demo)["id"]);
    let thumbnail = |out: &'static str| ["thumbnail", &photo, "-o", out];
    assert_fails(|| place.program(thumbnail("/no/such/folder/small.jpg")), 1, "output_failed");
    assert_fails(|| place.program(thumbnail("/dev/full")), 4, "storage_full");
    let both = place.json(thumbnail("-"));
    assert_eq!((both.0, &both.1["code"]), (2, &json!("usage")));
    let nowhere = place.path("nowhere").to_str().unwrap().to_owned();
    assert_fails(|| place.program(["thumbnail", &photo, "--set", &nowhere]), 1, "input_unreadable");
    let nobody = "0193e6f6-0000-7000-8000-000000000000";
    for of_nobody in [["thumbnail", nobody, "-o", "small.jpg"], ["thumbnail", nobody, "--set", demo.to_str().unwrap()]]
    {
        assert_fails(|| place.program(of_nobody), 1, "not_found");
    }
    let note = assert_id(&place.json(["note", "nothing to be seen"]).1["captures"][0]["id"]);
    assert_fails(|| place.program(["thumbnail", &note, "-o", "small.jpg"]), 1, "not_a_picture");

    let out = place.path("small.jpg").to_str().unwrap().to_owned();
    let (exit, answer) = place.json(["thumbnail", &photo, "-o", &out]);
    assert_eq!((exit, &answer["output"]), (0, &json!(out)), "{answer}");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o077, 0, "plaintext is its owner's alone");
    let ran = place.words(["thumbnail", &photo, "-o", &out]);
    assert_eq!(
        (ran.exit, String::from_utf8(ran.stdout).unwrap().trim_end(), ran.stderr.as_str()),
        (0, out.as_str(), "")
    );
    let kept = place.words(["thumbnail", &photo, "--set", demo.to_str().unwrap()]);
    assert_eq!((kept.exit, String::from_utf8(kept.stdout).unwrap().trim_end()), (0, "the thumbnail is kept"));
}
