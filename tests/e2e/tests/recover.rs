//! A store whose database is gone comes back complete, watched from outside.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Captured, Client, EMAIL, Station, captures};
use snaptrak_e2e::{contents, sha256_of};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Real pictures: one of them large, one that is found in, one that cannot be decoded here.
const PICTURES: [&str; 4] = ["astronaut.png", "coffee_turned.jpg", "retina.jpg", "pug.heic"];

/// A recording of more than two megabytes.
const RECORDING_BYTES: usize = 2_500_000;

/// An enrolled device of an organisation with a recovery key; the key's file.
fn station() -> (Station, PathBuf) {
    let mut station = Station::new().unwrap();
    station.start_server(&[]).unwrap();
    station.stop_server();
    let key = station.path("recovery-key.json");
    let made = Command::new(station.programs().server())
        .args(["make-recovery-key", "--data"])
        .arg(station.server_data())
        .arg("--output")
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    station.start_server(&[]).unwrap();
    station.enrol(&station.url()).unwrap();
    (station, key)
}

fn record(client: &Client) -> Captured {
    let mut child = client
        .command(&["record", "--kind", "audio", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let noise: Vec<u8> = (0..RECORDING_BYTES as u64).map(|place| (place.wrapping_mul(place) >> 3) as u8).collect();
    child.stdin.take().unwrap().write_all(&noise).unwrap();
    let output = child.wait_with_output().unwrap();
    captures(&serde_json::from_slice(&output.stdout).unwrap()).remove(0)
}

/// Pictures, understood and brought to the server; then, without a network, a note, a recording and another picture.
fn fill(station: &mut Station) -> Vec<Captured> {
    let files = PICTURES.map(|name| station.cache.picture(name).unwrap());
    let mut taken = station.capture(&files[..3]).unwrap();
    station.client.tell(&["analyse"]).unwrap();
    station.bring_everything().unwrap();
    station.stop_server();
    taken.extend(captures(&station.client.tell(&["note", "what a person saw", "--tag", "site"]).unwrap()));
    taken.push(record(&station.client));
    taken.extend(station.capture(&files[3..]).unwrap());
    for capture in &taken {
        let words = ["annotations", &capture.id, "--set", "room=12", "--set", "gone=said"];
        station.client.tell(&words).unwrap();
        station
            .client
            .tell(&["annotations", &capture.id, "--set", "room=what is said later", "--remove", "gone"])
            .unwrap();
    }
    taken
}

/// Everything that must come back of a capture.
fn seen(client: &Client, capture: &Captured) -> Value {
    let shown = client.tell(&["show", &capture.id]).unwrap();
    let file = client.scratch(&format!("{}.view", capture.id));
    let viewed = client.tell(&["view", &capture.id, "-o", &file.to_string_lossy()]).unwrap();
    assert_eq!(sha256_of(&file), capture.sha256);
    fs::remove_file(&file).unwrap();
    let assets: Vec<Value> = shown["assets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|asset| {
            let pieces: Vec<&Value> =
                asset["pieces"].as_array().unwrap().iter().map(|piece| &piece["sha256"]).collect();
            json!([asset["asset_id"], asset["rendition"], asset["bytes"], asset["sha256"], pieces])
        })
        .collect();
    json!({
        "assets": assets,
        "metadata": shown["metadata"],
        "findings": shown["findings"],
        "annotations": shown["annotations"],
        "sha256": viewed["sha256"],
    })
}

fn all(client: &Client, taken: &[Captured]) -> Vec<Value> {
    taken.iter().map(|capture| seen(client, capture)).collect()
}

fn list(client: &Client) -> Value {
    client.tell(&["list"]).unwrap()
}

fn verify(client: &Client) -> Value {
    let verified = client.ask(&["verify"]).unwrap();
    assert_eq!(verified.code, 0, "{}", verified.json);
    verified.json
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_store_whose_database_is_deleted_comes_back_complete() {
    let (mut station, key) = station();
    let taken = fill(&mut station);
    let (before, listed, receipts) = (all(&station.client, &taken), list(&station.client), verify(&station.client));
    assert_eq!(receipts["countersigned"], 3);
    assert!(before.iter().all(|seen| seen["annotations"][0]["value"] == "what is said later"));
    let store = station.path("store");
    fs::remove_dir_all(store.join("database")).unwrap();
    let refused = station.client.ask(&["list"]).unwrap();
    assert_eq!((refused.code, refused.json["code"].as_str()), (7, Some("damaged")), "{}", refused.json);
    let folder = contents(&store);

    let into = station.path("again");
    let told = recover(&station.client, &store, &into, None);
    assert_eq!(told["readable"], taken.len());
    assert_eq!((&told["recovered"], &told["unreadable"]), (&told["readable"], &json!([])));
    assert_eq!(contents(&store), folder, "the folder stays as it is");
    let again = station.client.clone().with_store(&into);
    assert_eq!(list(&again), listed);
    assert_eq!(all(&again, &taken), before);
    assert_eq!(verify(&again), receipts);

    with_the_organisations_key(&station, &key, &taken, &before);
    what_was_not_sent_goes_to_the_server(&mut station, &again, &taken);
}

fn recover(client: &Client, from: &Path, into: &Path, key: Option<&Path>) -> Value {
    let (from, into) = (from.to_string_lossy().into_owned(), into.to_string_lossy().into_owned());
    let mut words = vec!["recover".to_owned(), "--from".into(), from, "--into".into(), into];
    words.extend(key.into_iter().flat_map(|key| ["--recovery-key".into(), key.to_string_lossy().into_owned()]));
    client.tell(&words).unwrap()
}

/// Without the device's keys: a bundle and the recovery key are enough.
fn with_the_organisations_key(station: &Station, key: &Path, taken: &[Captured], before: &[Value]) {
    let (store, keyless) = (station.path("store"), station.path("keyless"));
    copy(&store, &keyless);
    fs::remove_dir_all(keyless.join("keyset")).unwrap();
    let into = station.path("from-keyless");
    let answer = station
        .client
        .ask(&["recover", "--from", &keyless.to_string_lossy(), "--into", &into.to_string_lossy()])
        .unwrap();
    assert_eq!((answer.code, answer.json["code"].as_str()), (10, Some("keyset_missing")));
    let told = recover(&station.client, &keyless, &into, Some(key));
    assert_eq!((&told["recovered"], &told["keys_kept"]), (&json!(taken.len()), &json!(false)), "{told}");
    assert_eq!(all(&station.client.clone().with_store(&into), taken), before);

    let bundle = station.path("bundle.tar").to_string_lossy().into_owned();
    let exported =
        station.client.tell(&["bundle", "export", "--from", &store.to_string_lossy(), "-o", &bundle]).unwrap();
    assert_eq!((&exported["bundle"], &exported["captures"]), (&json!(bundle), &json!(taken.len())));
    assert!(exported["bytes"].as_u64().unwrap() > RECORDING_BYTES as u64);
    let into = station.path("from-bundle");
    let (key, target) = (key.to_string_lossy(), into.to_string_lossy());
    let imported = ["bundle", "import", &bundle, "--recovery-key", &key, "--into", &target];
    let told = station.client.tell(&imported).unwrap();
    assert_eq!((&told["recovered"], &told["unreadable"]), (&json!(taken.len()), &json!([])));
    let imported = station.client.clone().with_store(&into);
    assert_eq!(all(&imported, taken), before);
    assert_eq!(verify(&imported)["countersigned"], 3);
}

fn what_was_not_sent_goes_to_the_server(station: &mut Station, again: &Client, taken: &[Captured]) {
    station.start_server(&[]).unwrap();
    let (url, password) = (station.url(), station.password_file().to_string_lossy().into_owned());
    again.tell(&["sign-in", "--server", &url, "--email", EMAIL, "--password-file", &password]).unwrap();
    let synced = again.ask(&["sync"]).unwrap();
    assert_eq!((synced.code, &synced.json["verified"]), (0, &json!(3)), "{}", synced.json);
    // The device goes on with the store that came back.
    station.client = again.clone();
    station.check_held(taken).unwrap();
    assert_eq!(verify(again)["countersigned"], taken.len());
}

#[test]
fn in_place_the_folder_is_set_aside() {
    let station = Station::new().unwrap();
    let picture = station.cache.picture("astronaut.png").unwrap();
    let taken = station.capture(&[picture]).unwrap();
    let store = station.path("store");
    fs::write(store.join("database/store.sqlite3"), [0x5a; 8192]).unwrap();
    assert_eq!(station.client.ask(&["list"]).unwrap().code, 7);
    let told = station.client.tell(&["recover", "--in-place"]).unwrap();
    assert_eq!((&told["readable"], &told["recovered"]), (&json!(1), &json!(1)));
    assert!(station.path("store.quarantined-1").join("database/store.sqlite3").exists());
    assert_eq!(all(&station.client, &taken).len(), 1);
}
