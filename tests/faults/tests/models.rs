//! Whatever happens to a download of models: those that were in use stay in use, and what has arrived is of use.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Answer, Publisher, Release, Station, Wire};
use snaptrak_faults::{Running, wired};
use std::fs;

/// What a release has beside its weights.
const PADDING: usize = 12_000_000;

/// Where the wire stops: in the middle of the file.
const STOP_AFTER_BYTES: u64 = 6_000_000;

/// A device that uses version 1, and version 2 at the server.
fn published() -> (Station, Wire, Publisher, Release) {
    let (mut station, wire) = wired(&[]);
    let publisher = Publisher::of(&mut station, &[]).unwrap();
    publisher.publish(&publisher.release(1, 0).unwrap()).unwrap();
    assert_eq!(update(&station).json["outcome"], "activated");
    let release = publisher.release(2, PADDING).unwrap();
    publisher.publish(&release).unwrap();
    (station, wire, publisher, release)
}

fn update(station: &Station) -> Answer {
    station.client.ask(&["models", "update"]).unwrap()
}

fn assert_in_use(station: &Station, version: u64) {
    let list = station.client.tell(&["models", "list"]).unwrap();
    assert_eq!(list["in_use"], version, "{list}");
    let verified = station.client.tell(&["models", "verify"]).unwrap();
    assert!(verified["versions"].as_array().unwrap().iter().all(|version| version["ok"] == true), "{verified}");
}

fn came(answer: &Answer) -> (i32, &Value, u64) {
    (answer.code, &answer.json["outcome"], answer.json["bytes"].as_u64().unwrap())
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with_in_the_same_call() {
    let (station, wire, _publisher, release) = published();
    wire.stop_downloads_after(STOP_AFTER_BYTES);
    let running = Running::start(&station.client, &["models", "update"]);
    assert!(wire.wait_until_stopped());
    wire.cut();
    let answer = running.answer();
    assert_eq!(came(&answer), (0, &json!("activated"), release.bytes()), "{}", answer.json);
    assert_in_use(&station, 2);
}

#[test]
fn a_download_that_was_killed_goes_on_in_the_next_process_and_another_version_does_not_begin_again() {
    let (station, wire, publisher, release) = published();
    wire.stop_downloads_after(STOP_AFTER_BYTES);
    let running = Running::start(&station.client, &["models", "update"]);
    assert!(wire.wait_until_stopped());
    running.kill();
    wire.cut();
    assert_in_use(&station, 1);
    // Meanwhile the organisation publishes another version, which has the same file.
    let mut next = release.clone();
    next.version = 3;
    next.manifest["models"][0]["title"] = json!("the same weights in version 3");
    publisher.publish(&next).unwrap();
    let answer = update(&station);
    let (code, outcome, bytes) = came(&answer);
    assert_eq!((code, outcome), (0, &json!("activated")), "{}", answer.json);
    assert!(bytes < release.bytes(), "what had arrived is not asked for again: {bytes} of {}", release.bytes());
    assert_in_use(&station, 3);
}

#[test]
fn time_that_is_over_leaves_what_has_arrived_for_the_next_call() {
    let (station, wire, _publisher, release) = published();
    wire.stop_downloads_after(STOP_AFTER_BYTES);
    let running = Running::start(&station.client, &["models", "update", "--budget-ms", "3000"]);
    assert!(wire.wait_until_stopped());
    let answer = running.answer();
    let (code, outcome, _) = came(&answer);
    assert_eq!((code, outcome), (5, &json!("budget_time")), "{}", answer.json);
    let left = answer.json["left_bytes"].as_u64().unwrap();
    assert!(left < release.bytes(), "{left}");
    wire.cut();
    assert_in_use(&station, 1);
    assert_eq!(came(&update(&station)), (0, &json!("activated"), left));
}

#[test]
fn a_file_that_changed_at_the_server_replaces_nothing() {
    let (station, _wire, publisher, release) = published();
    let held = publisher.held(&release);
    let whole = fs::read(&held).unwrap();
    let mut other = whole.clone();
    other[5_000_000] ^= 1;
    fs::write(&held, other).unwrap();
    let refused = update(&station);
    assert_eq!(refused.json["code"], "model_damaged", "{}", refused.json);
    assert_in_use(&station, 1);
    fs::write(&held, whole).unwrap();
    assert_eq!(came(&update(&station)), (0, &json!("activated"), release.bytes()));
    assert_in_use(&station, 2);
}

#[test]
fn a_token_that_runs_out_is_renewed_and_a_session_that_ended_is_said() {
    let (mut station, _wire, _publisher, release) = published();
    let files = "/v1/models/files";
    let expired = json!({"status": 401, "code": "access_expired"});
    let rule = |times: Value| json!({"rules": [{"id": "expired", "path_prefix": files, "times": times, "action": {"answer": expired}}]});
    station.order_faults(&rule(Value::Null)).unwrap();
    let out = update(&station);
    assert_eq!((out.code, &out.json["code"]), (1, &json!("signed_out")), "{}", out.json);
    assert_in_use(&station, 1);
    let busy = json!({"rules": [{"id": "busy", "path_prefix": files, "action": {"answer": {"status": 503}}}]});
    station.order_faults(&busy).unwrap();
    let later = update(&station);
    assert_eq!((later.code, &later.json["code"]), (5, &json!("server_failed")), "{}", later.json);
    station.order_faults(&rule(json!(1))).unwrap();
    station.stop_server();
    let offline = update(&station);
    assert_eq!((offline.code, &offline.json["code"]), (5, &json!("offline")), "{}", offline.json);
    assert_in_use(&station, 1);
    station.start_server(&[]).unwrap();
    assert_eq!(came(&update(&station)), (0, &json!("activated"), release.bytes()), "with the next token");
    station.client.ask(&["sign-out"]).unwrap();
    assert_eq!(update(&station).json["code"], "signed_out");
    assert_in_use(&station, 2);
}
