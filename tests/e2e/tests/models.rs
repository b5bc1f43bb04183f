//! The organisation's models, from its server to findings: a version that does not work on this device is not used, whoever
//! signed it, and the next one that does comes in.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Answer, FACES, Publisher, Release, Station};
use snaptrak_e2e::lacking;
use std::fs;

/// What scripts rely on.
const FIELDS: [&str; 11] = [
    "outcome",
    "version",
    "files",
    "bytes",
    "left_bytes",
    "rolled_back",
    "in_use",
    "models",
    "versions",
    "newest",
    "refused",
];

fn field() -> (Station, Publisher) {
    let mut station = Station::enrolled(&[]).unwrap();
    let publisher = Publisher::of(&mut station, &[]).unwrap();
    (station, publisher)
}

fn update(station: &Station, options: &[&str]) -> Answer {
    let answer = station.client.ask(&[&["models", "update"], options].concat()).unwrap();
    assert_eq!(answer.json["schema"], "snaptrak.models_update/1", "{}{}", answer.json, answer.words);
    assert_eq!(lacking(&answer.json, &FIELDS), [""; 0], "{}", answer.json);
    answer
}

/// Exit code, what came of it, files and bytes that came.
fn told(answer: &Answer) -> (i32, &str, u64, u64) {
    let number = |name: &str| answer.json[name].as_u64().unwrap();
    (answer.code, answer.json["outcome"].as_str().unwrap(), number("files"), number("bytes"))
}

fn in_use(station: &Station) -> Value {
    station.client.tell(&["models", "list"]).unwrap()["in_use"].clone()
}

/// What a picture with one face is found to show now.
fn label(station: &Station, picture: &str) -> String {
    let taken = station.capture(&[station.cache.picture(picture).unwrap()]).unwrap();
    station.client.tell(&["analyse"]).unwrap();
    let shown = station.client.tell(&["show", &taken[0].id]).unwrap();
    let findings = shown["findings"].as_array().unwrap();
    let faces = findings.iter().find(|finding| finding["model_id"] == FACES).unwrap();
    let boxes = faces["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), 1, "{faces}");
    boxes[0]["label"].as_str().unwrap().to_owned()
}

/// A release of which one answer must be what no model gives.
fn wrong_answers(publisher: &Publisher, version: u64) -> Release {
    let mut release = publisher.release(version, 0).unwrap();
    let input = release.tensor("input:0", "input.f32", &vec![0.0; 256 * 256 * 3]).unwrap();
    let output = release.tensor("Identity:0", "output.f32", &vec![1e6; 512]).unwrap();
    release.manifest["models"][0]["self_test"] = json!({"inputs": [input], "outputs": [output]});
    release
}

#[test]
fn a_bad_model_is_rolled_back_by_itself_and_the_next_good_one_comes_in() {
    let (station, publisher) = field();
    let nothing = update(&station, &[]);
    assert_eq!((told(&nothing), &nothing.json["version"]), ((0, "up_to_date", 0, 0), &Value::Null));

    let good = publisher.release(1, 0).unwrap();
    assert_eq!(publisher.publish(&good).unwrap()["files"], 1);
    let first = update(&station, &[]);
    assert_eq!(told(&first), (0, "activated", 1, good.bytes()), "{}", first.json);
    assert_eq!((&first.json["version"], &first.json["in_use"]), (&json!(1), &json!(1)));
    assert_eq!(label(&station, "astronaut.png"), "Visage 1");
    assert_eq!(told(&update(&station, &[])), (0, "up_to_date", 0, 0));

    // The right signature, the right digest, and no model.
    let mut noise = publisher.release(2, 0).unwrap();
    noise.set_file(0, "noise.onnx", &[0x5a; 40_000]).unwrap();
    publisher.publish(&noise).unwrap();
    let rolled_back = update(&station, &[]);
    assert_eq!(told(&rolled_back), (7, "rolled_back", 1, 40_000), "{}", rolled_back.json);
    assert!(rolled_back.json["rolled_back"].as_str().unwrap().contains(FACES), "{}", rolled_back.json);
    let list = station.client.tell(&["models", "list"]).unwrap();
    assert_eq!((&list["in_use"], &list["newest"]), (&json!(1), &json!(2)), "{list}");
    assert_eq!(list["refused"], json!({"version": 2, "because": "self_test_failed"}));
    assert_eq!(label(&station, "astronaut.png"), "Visage 1", "findings are the good version's");
    assert_eq!(told(&update(&station, &[])), (7, "refused_before", 0, 0), "it does not come again");
    assert_eq!(told(&update(&station, &["--again"])), (7, "rolled_back", 0, 0), "unless it is asked for");

    // A model that loads and answers otherwise than it must.
    publisher.publish(&wrong_answers(&publisher, 3)).unwrap();
    let differs = update(&station, &[]);
    assert_eq!((told(&differs).1, told(&differs).2), ("rolled_back", 3), "{}", differs.json);
    assert!(differs.json["rolled_back"].as_str().unwrap().contains("differs"), "{}", differs.json);
    assert_eq!(in_use(&station), 1);

    publisher.publish(&publisher.release(4, 0).unwrap()).unwrap();
    assert_eq!(told(&update(&station, &[])).1, "activated");
    let list = station.client.tell(&["models", "list"]).unwrap();
    assert_eq!((&list["in_use"], &list["refused"]), (&json!(4), &Value::Null));
    assert_eq!(label(&station, "astronaut.png"), "Visage 4");
    let verified = station.client.tell(&["models", "verify"]).unwrap();
    let versions = verified["versions"].as_array().unwrap();
    let told: Vec<_> = versions.iter().map(|it| (&it["version"], &it["ok"], &it["signature_ok"])).collect();
    let (yes, null) = (json!(true), Value::Null);
    assert_eq!(told, [(&json!(1), &yes, &yes), (&json!(4), &yes, &yes), (&null, &yes, &null)], "{verified}");
}

#[test]
fn what_is_not_for_this_device_is_not_downloaded_and_what_is_here_is_not_fetched_again() {
    let (station, publisher) = field();
    let first = publisher.release(1, 0).unwrap();
    publisher.publish(&first).unwrap();
    assert_eq!(told(&update(&station, &[])).1, "activated");

    // A newer model for no device yet, which replaces the one that is here.
    let mut staged = publisher.release(2, 0).unwrap();
    let mut newer = staged.manifest["models"][0].clone();
    newer["id"] = json!("faces_2");
    newer["rollout"] = json!({"share": 0, "replaces": FACES});
    staged.manifest["models"] = json!([first.manifest["models"][0], newer]);
    fs::copy(first.file(), staged.folder.join(first.file().file_name().unwrap())).unwrap();
    assert_eq!(publisher.publish(&staged).unwrap()["files"], 2);
    let answer = update(&station, &[]);
    assert_eq!(told(&answer), (0, "activated", 0, 0), "{}", answer.json);
    assert_eq!(answer.json["models"][0]["id"], FACES, "{}", answer.json);
    assert_eq!(label(&station, "astronaut.png"), "Visage 1");

    // Nothing of it for this device.
    let mut nothing = publisher.release(3, 0).unwrap();
    nothing.manifest["models"][0]["rollout"] = json!({"share": 0});
    publisher.publish(&nothing).unwrap();
    assert_eq!(told(&update(&station, &[])), (0, "not_for_this_device", 0, 0));
    assert_eq!(in_use(&station), 2);

    // Rolled out to everybody, on a network that costs: first only asked.
    staged.version = 4;
    staged.manifest["models"][1]["rollout"]["share"] = json!(10_000);
    publisher.publish(&staged).unwrap();
    let asked = update(&station, &["--budget-bytes", "0"]);
    assert_eq!(told(&asked), (5, "budget_bytes", 0, 0));
    let newer_bytes = staged.manifest["models"][1]["variants"][0]["bytes"].as_u64().unwrap();
    assert_eq!((&asked.json["left_bytes"], &asked.json["version"]), (&json!(newer_bytes), &json!(4)));
    assert_eq!(told(&update(&station, &[])), (0, "activated", 1, newer_bytes));
    let list = station.client.tell(&["models", "list"]).unwrap();
    assert_eq!(list["models"][0]["id"], "faces_2", "{list}");
}

#[test]
fn a_damaged_record_brings_no_older_version_back() {
    let (station, publisher) = field();
    let first = publisher.release(1, 0).unwrap();
    for release in [&first, &publisher.release(2, 0).unwrap()] {
        publisher.publish(release).unwrap();
        assert_eq!(told(&update(&station, &[])).1, "activated");
    }
    fs::write(station.client.store.join("models/active.json"), "\0\0\0").unwrap();
    assert_eq!(in_use(&station), Value::Null, "the packaged models");
    let signed = first.folder.join("signed.json");
    let from = first.folder.to_str().unwrap();
    let older = station.client.ask(&["models", "activate", signed.to_str().unwrap(), "--from", from]).unwrap();
    assert_eq!((older.code, &older.json["code"]), (1, &json!("models_refused")), "{}", older.json);
    // What was in use is found again, and nothing of it has to come.
    assert_eq!(told(&update(&station, &[])), (0, "activated", 0, 0));
    assert_eq!(in_use(&station), 2);

    // A damaged signature is told, and made good.
    fs::write(station.client.store.join("models/2/signed.json"), "{}").unwrap();
    assert_eq!(station.client.ask(&["models", "verify"]).unwrap().code, 7);
    assert_eq!(told(&update(&station, &[])), (0, "activated", 0, 0));
    station.client.tell(&["models", "verify"]).unwrap();
}

#[test]
fn what_does_not_fit_or_is_not_signed_is_refused_before_its_download() {
    let (station, publisher) = field();
    let first = publisher.release(1, 500_000).unwrap();
    publisher.publish(&first).unwrap();
    let tight = ["--models-quota-bytes", "1048576"];
    let full = station.client.ask(&[&["models", "update"], &tight[..]].concat()).unwrap();
    assert_eq!((full.code, &full.json["code"]), (4, &json!("storage_full")), "{}", full.json);
    assert!(!station.client.store.join("models/downloads").exists());
    assert_eq!(told(&update(&station, &[])).1, "activated");

    // Somebody who has the server's folder and no key: the database serves another manifest.
    assert!(snaptrak_cipher::is_linked(), "SQLite here is SQLCipher, which asks for this by its symbol alone");
    let database = rusqlite::Connection::open(station.server_data().join("server.sqlite3")).unwrap();
    let signed: Vec<u8> = database.query_row("SELECT signed FROM models_release", [], |row| row.get(0)).unwrap();
    let forged = String::from_utf8(signed).unwrap().replace("\"version\":1", "\"version\":2");
    let published = "INSERT INTO models_release SELECT organisation_id, 2, ?1, created_ms FROM models_release";
    assert_eq!(database.execute(published, [forged.into_bytes()]).unwrap(), 1);
    let refused = station.client.ask(&["models", "update"]).unwrap();
    assert_eq!((refused.code, &refused.json["code"]), (1, &json!("models_refused")), "{}", refused.json);
    assert_eq!(in_use(&station), 1);
}
