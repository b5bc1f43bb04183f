//! The table of the command line's contract, for what lets bytes go and brings them back: every field for scripts, every
//! command's words for a person, with a server and an organisation. What needs neither is held in `bindings/cli`.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Captured, Station, captures};
use snaptrak_e2e::{lacking, sha256_of};
use std::{
    ffi::OsStr,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PURGE: &[&str] = &["purged", "freed_bytes", "kept[].id", "kept[].code", "kept_count"];
const FETCH: &[&str] = &["fetched[].id", "fetched[].state", "fetched[].pieces", "fetched[].bytes", "failed"];
const PIN: &[&str] = &["id", "pinned"];
const THUMBNAIL: &[&str] = &["bytes", "output"];
const ROTATE: &[&str] = &["database", "media"];
const RECOVER: &[&str] = &["readable", "recovered", "unreadable", "unlisted", "keys_kept"];
const RECOVER_PARTLY: &[&str] = &["readable", "recovered", "unreadable[].path", "unreadable[].code"];
const EXPORT: &[&str] = &["bundle", "captures", "bytes", "unreadable"];
const ERROR: &[&str] = &["code", "message", "next"];

/// An id that no store has.
const NOBODY: &str = "0193e6f6-0000-7000-8000-000000000000";

/// A device of an organisation with a recovery key, the key's file, and a photo, a file and a note that the server holds.
fn filled() -> (Station, PathBuf, [Captured; 3]) {
    let mut station = Station::new().unwrap();
    let key = recovery_key(&mut station, "server", "recovery-key.json");
    station.start_server(&[]).unwrap();
    station.enrol(&station.url()).unwrap();
    let photo = station.cache.picture("chelsea.png").unwrap();
    let file = station.write_noise("file", 100_000, 5).unwrap();
    let mut taken = station.capture(&[photo, file]).unwrap();
    taken.extend(captures(&station.client.tell(&["note", "seen by a person"]).unwrap()));
    station.client.tell(&["analyse"]).unwrap();
    station.bring_everything().unwrap();
    (station, key, taken.try_into().unwrap())
}

/// A recovery key of the organisation whose server has this folder.
fn recovery_key(station: &mut Station, server: &str, name: &str) -> PathBuf {
    let (data, key) = (station.path(server), station.path(name));
    // Starting makes the organisation; its key is made while nothing runs on the folder.
    station.start_server_on(&data, &[], &[]).unwrap();
    station.stop_server();
    let mut make = Command::new(station.programs().server());
    let made = make.args(["make-recovery-key", "--data"]).arg(&data).arg("--output").arg(&key).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    key
}

/// Runs a command for a script; the answer must have the exit code, the schema and the fields.
fn ask<S: AsRef<OsStr> + Debug>(station: &Station, arguments: &[S], exit: i32, schema: &str, fields: &[&str]) -> Value {
    let answer = station.client.ask(arguments).unwrap();
    let said = (answer.code, answer.json["schema"].as_str(), lacking(&answer.json, fields));
    assert_eq!(said, (exit, Some(schema), Vec::new()), "{arguments:?}: {} {}", answer.json, answer.words);
    answer.json
}

/// Runs a command for a person; standard output.
fn words<S: AsRef<OsStr> + Debug>(station: &Station, arguments: &[S], exit: i32) -> String {
    let output = station.client.command_for_a_person(arguments).output().unwrap();
    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}{errors}");
    assert!(serde_json::from_str::<Value>(&said).is_err(), "words, not an object: {said}");
    if exit != 0 && said.is_empty() {
        assert!(errors.contains("next: "), "{arguments:?}: {errors}");
    }
    said
}

#[test]
fn what_lets_bytes_go_and_brings_them_back() {
    let (mut station, _, [photo, file, note]) = filled();
    let kept = |id: &str, code: &str| json!({"id": id, "code": code});
    ask(&station, &["pin", &file.id], 0, "snaptrak.pin/1", PIN);
    let purged = ask(&station, &["purge"], 0, "snaptrak.purge/1", PURGE);
    assert_eq!((&purged["purged"], &purged["kept_count"]), (&json!(1), &json!(2)), "{purged}");
    assert!(purged["freed_bytes"].as_u64().unwrap() > photo.bytes, "sealed bytes: {purged}");
    let mut codes = purged["kept"].as_array().unwrap().clone();
    codes.sort_by_key(|kept| kept["code"].to_string());
    assert_eq!(codes, [kept(&note.id, "note"), kept(&file.id, "pinned")]);
    let out = station.path("out").to_string_lossy().into_owned();
    let why = ask(&station, &["view", &photo.id, "-o", &out], 1, "snaptrak.error/1", ERROR);
    assert_eq!(why["code"], "purged");
    ask(&station, &["thumbnail", &photo.id, "-o", &out], 0, "snaptrak.thumbnail/1", THUMBNAIL);
    assert_eq!(&fs::read(&out).unwrap()[..2], [0xff, 0xd8], "a thumbnail stays when its original goes");

    let fetched = ask(&station, &["fetch", &photo.id], 0, "snaptrak.fetch/1", FETCH);
    let freed = &purged["freed_bytes"];
    let expected = json!([{"id": photo.id, "state": "verified", "pieces": 1, "bytes": freed}]);
    assert_eq!((&fetched["fetched"], &fetched["failed"]), (&expected, &json!([])));
    let said = words(&station, &["purge", &photo.id], 0);
    assert!(said.contains("1 captures") && said.contains("freed"), "{said}");
    let said = words(&station, &["purge"], 0);
    assert!(said.contains("1 stay: they are pinned") && said.contains("1 stay: notes take no room"), "{said}");

    // One that is unknown keeps the other from nothing.
    let partly = ask(&station, &["fetch", NOBODY, &photo.id], 1, "snaptrak.fetch/1", FETCH);
    assert_eq!(partly["failed"], json!([{"id": NOBODY, "code": "not_found"}]));
    assert_eq!(partly["fetched"][0]["pieces"], 1, "{partly}");
    words(&station, &["purge", &photo.id], 0);
    let said = words(&station, &["fetch", &photo.id], 0);
    assert!(said.contains(&photo.id) && said.contains("verified"), "{said}");

    // Room that is wanted is made and no more, and nothing of it needs the server.
    words(&station, &["unpin", &file.id], 0);
    station.stop_server();
    let enough = ask(&station, &["purge", "--to-free", "1"], 0, "snaptrak.purge/1", &["purged", "freed_bytes", "kept"]);
    assert_eq!(enough["purged"], 1, "{enough}");
    let listed = ask(&station, &["list", "--state", "purged"], 0, "snaptrak.list/1", &["captures[].id"]);
    let gone = listed["captures"][0]["id"].as_str().unwrap();
    let offline = ask(&station, &["fetch", gone], 5, "snaptrak.error/1", ERROR);
    assert_eq!(offline["code"], "offline");
    words(&station, &["fetch", gone], 5);
    assert_eq!(ask(&station, &["view", gone, "--fetch", "-o", &out], 5, "snaptrak.error/1", ERROR)["code"], "offline");
    ask(&station, &["rotate-keys"], 0, "snaptrak.rotate_keys/1", ROTATE);
    station.start_server(&[]).unwrap();
    ask(&station, &["fetch", gone], 0, "snaptrak.fetch/1", FETCH);
    ask(&station, &["view", &photo.id, "-o", &out], 0, "snaptrak.view/1", &["sha256"]);
    assert_eq!(sha256_of(Path::new(&out)), photo.sha256, "under new keys as under the old ones");

    assert_eq!(ask(&station, &["sign-out"], 0, "snaptrak.sign_out/1", &["signed_out"])["signed_out"], true);
    words(&station, &["purge", &photo.id], 0);
    assert_eq!(ask(&station, &["fetch", &photo.id], 1, "snaptrak.error/1", ERROR)["code"], "signed_out");
}

#[test]
fn what_the_organisation_brings_back() {
    let (mut station, key, taken) = filled();
    let foreign = recovery_key(&mut station, "another organisation", "foreign-key.json");
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let (key, foreign) = (text(key), text(foreign));
    let (store, bundle) = (text(station.path("store")), text(station.path("bundle.tar")));
    let exported =
        ask(&station, &["bundle", "export", "--from", &store, "-o", &bundle], 0, "snaptrak.bundle_export/1", EXPORT);
    assert_eq!(exported["captures"], taken.len());
    let said = words(&station, &["bundle", "export", "--from", &store, "-o", &bundle], 0);
    assert!(said.contains("bundle.tar: 3 captures"), "{said}");

    let import = |bundle: &str, key: &str, into: &str| {
        let into = station.path(into).to_string_lossy().into_owned();
        ["bundle", "import", bundle, "--recovery-key", key, "--into", &into].map(str::to_owned)
    };
    let whole = import(&bundle, &key, "whole");
    let told = ask(&station, &whole, 0, "snaptrak.recover/1", RECOVER);
    assert_eq!((&told["readable"], &told["recovered"], &told["unreadable"]), (&json!(3), &json!(3), &json!([])));
    assert_eq!(told["keys_kept"], false, "a bundle has no keys");
    assert_eq!(ask(&station, &whole, 1, "snaptrak.error/1", ERROR)["code"], "store_exists");
    let said = words(&station, &import(&bundle, &key, "for a person"), 0);
    assert!(said.contains("readable   3") && said.contains("recovered  3"), "{said}");
    let imported = station.client.clone().with_store(&station.path("whole"));
    for capture in &taken {
        let out = text(station.path("out"));
        imported.tell(&["view", &capture.id, "-o", &out]).unwrap();
        assert_eq!(sha256_of(Path::new(&out)), capture.sha256);
    }

    // The key of another organisation opens nothing, which is no damage.
    let wrong = ask(&station, &import(&bundle, &foreign, "wrong"), 3, "snaptrak.error/1", ERROR);
    assert_eq!(wrong["code"], "wrong_key", "{wrong}");
    words(&station, &import(&bundle, &foreign, "wrong for a person"), 3);
    assert!(!station.path("wrong").exists() && !station.path("wrong.unpacked").exists(), "nothing is left of it");

    // The end of the archive is missing.
    let bytes = fs::read(&bundle).unwrap();
    let torn = text(station.write("torn.tar", &bytes[..bytes.len() - 60_000]).unwrap());
    let told = ask(&station, &import(&torn, &key, "torn"), 7, "snaptrak.recover/1", RECOVER_PARTLY);
    let unreadable = told["unreadable"].as_array().unwrap();
    assert!(unreadable.iter().any(|one| one["code"] == "torn_bundle"), "{told}");
    assert!(told["recovered"].as_u64() < told["readable"].as_u64() || told["readable"] != json!(3), "{told}");
}
