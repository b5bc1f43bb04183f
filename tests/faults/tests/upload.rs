//! Whatever happens to an upload: everything ends verified, once, and what was sent is not sent again.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Answer, Captured, EMAIL, Station, Wire, captures, now_ms, patience};
use snaptrak_faults::{Running, sealed_bytes, sent_bytes, wired};
use std::{fs, path::Path};

/// A piece and a half: there is something in flight and something after it.
const LARGE_BYTES: u64 = 50_000_000;

/// Where the wire stops: in the middle.
const STOP_AFTER_BYTES: u64 = 24_000_000;

/// What may have to be sent again after a kill: what lay in the buffers of sockets, and what the server had not synced. Less
/// than what had gone up, or nothing would have been resumed.
const RESENT_BYTES_MAX: u64 = 20_000_000;

/// What the server has read of it before it is killed: a server that had no time to read anything could keep nothing.
const READ_BYTES_MIN: u64 = 16_000_000;

/// A large file, a photo and a note.
fn evidence(station: &Station) -> Vec<Captured> {
    let large = station.write_noise("large", LARGE_BYTES, 1).unwrap();
    let photo = station.cache.picture("chelsea.png").unwrap();
    let mut taken = station.capture(&[large, photo]).unwrap();
    taken.extend(captures(&station.client.tell(&["note", "beside the large one"]).unwrap()));
    taken
}

/// Starts a sync and waits until the wire stopped it in the middle.
fn sync_until_stopped(station: &Station, wire: &Wire) -> Running {
    wire.stop_requests_after(STOP_AFTER_BYTES);
    let running = Running::start(&station.client, &["sync"]);
    assert!(wire.wait_until_stopped(), "the upload did not get that far");
    running
}

/// Bytes of the files in a folder that others write to: one that goes between two looks counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn assert_done(windows: &[Answer]) {
    let last = windows.last().unwrap();
    assert_eq!(
        (last.code, &last.json["stopped_because"], &last.json["left"]),
        (0, &json!("done"), &json!(0)),
        "{last:?}"
    );
    let again = windows.iter().map(|window| window.json["parked"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(again, 0, "a fault of the world is no verdict on the data");
}

#[test]
fn the_server_is_killed_in_the_middle() {
    let (mut station, wire) = wired(&[]);
    let taken = evidence(&station);
    let running = sync_until_stopped(&station, &wire);
    let held = || folder_bytes(&station.server_data());
    assert!(patience::until(|| held() >= READ_BYTES_MIN), "the server reads what the wire let through: {}", held());
    station.stop_server();
    wire.cut();
    station.start_server(&[]).unwrap();
    let mut windows = vec![running.answer()];
    windows.extend(station.bring_everything().unwrap());
    assert_done(&windows);
    station.check_held(&taken).unwrap();
    let (sent, sealed) = (sent_bytes(&windows), sealed_bytes(&station, &taken));
    assert!(sent < sealed + RESENT_BYTES_MAX, "{sent} bytes were sent for {sealed}");
}

#[test]
fn the_client_is_killed_in_the_middle() {
    let (station, wire) = wired(&[]);
    let taken = evidence(&station);
    sync_until_stopped(&station, &wire).kill();
    wire.cut();
    let status = station.client.tell(&["status"]).unwrap();
    assert!(status["waiting"].as_u64().unwrap() >= 1, "{status}");
    let windows = station.bring_everything().unwrap();
    assert_done(&windows);
    station.check_held(&taken).unwrap();
    let (sent, sealed) = (sent_bytes(&windows), sealed_bytes(&station, &taken));
    let rest = sealed - STOP_AFTER_BYTES;
    assert!(sent < rest + RESENT_BYTES_MAX, "{sent} bytes were sent, {rest} were left");
}

#[test]
fn the_network_ends_in_the_middle_and_returns() {
    let (station, wire) = wired(&[]);
    let taken = evidence(&station);
    let running = sync_until_stopped(&station, &wire);
    wire.cut();
    let mut windows = vec![running.answer()];
    windows.extend(station.bring_everything().unwrap());
    assert_done(&windows);
    station.check_held(&taken).unwrap();
    let resent: u64 = windows.iter().map(|window| window.json["bytes_resent"].as_u64().unwrap()).sum();
    assert!(resent < RESENT_BYTES_MAX, "{resent} bytes were sent again");
}

#[test]
fn the_access_token_expires_in_the_middle() {
    let (mut station, wire) = wired(&["--access-token-ms", "1500"]);
    let taken = evidence(&station);
    let running = sync_until_stopped(&station, &wire);
    // A token that is younger than the client's runs out: so has the client's.
    let account = station.account().unwrap();
    assert!(patience::until(|| account.get("/v1/captures").is_err()), "tokens expire");
    wire.release();
    let mut windows = vec![running.answer()];
    assert_eq!(windows[0].code, 0, "a session is renewed within the window: {windows:?}");
    windows.extend(station.bring_everything().unwrap());
    assert_done(&windows);
    // With tokens that last: looking at everything takes longer than those of this test live.
    station.start_server(&[]).unwrap();
    station.check_held(&taken).unwrap();
}

#[test]
fn the_capability_expires_in_the_middle() {
    // Longer than a busy machine takes from an upload's creation to its first byte, or that one would find it expired too.
    const CAPABILITY_MS: u64 = 6_000;
    let (station, wire) = wired(&["--capability-ms", "6000"]);
    let taken = evidence(&station);
    let running = sync_until_stopped(&station, &wire);
    let stopped_ms = now_ms();
    assert!(patience::until(|| now_ms() > stopped_ms + CAPABILITY_MS));
    // The request that was under way was allowed when it began; the one that resumes it finds its capability expired.
    wire.cut();
    let mut windows = vec![running.answer()];
    windows.extend(station.bring_everything().unwrap());
    assert_done(&windows);
    station.check_held(&taken).unwrap();
    let (sent, sealed) = (sent_bytes(&windows), sealed_bytes(&station, &taken));
    assert!(sent < sealed + RESENT_BYTES_MAX, "the upload goes on where it was: {sent} bytes for {sealed}");
}

#[test]
fn the_client_is_killed_when_the_server_has_everything_and_nobody_heard_of_it() {
    let (station, wire) = wired(&[]);
    let photo = station.cache.picture("retina.jpg").unwrap();
    let taken = station.capture(&[photo]).unwrap();
    let sealed = sealed_bytes(&station, &taken);
    wire.stop_answers_after(sealed);
    let running = Running::start(&station.client, &["sync"]);
    assert!(wire.wait_until_stopped());
    let account = station.account().unwrap();
    let held = || account.get(&format!("/v1/captures/{}", taken[0].id)).unwrap();
    assert!(patience::until(|| held()["assets"][0]["pieces"].as_array().map(Vec::len) == Some(1)), "{}", held());
    running.kill();
    wire.cut();
    assert_ne!(station.client.tell(&["why", &taken[0].id]).unwrap()["state"], "verified");
    let windows = station.bring_everything().unwrap();
    assert_done(&windows);
    station.check_held(&taken).unwrap();
    let sent = sent_bytes(&windows);
    assert!(sent < sealed / 4, "the server has the piece: {sent} bytes were sent for {sealed}");
}

/// Every kind of request, with the beginning of its path.
const REQUESTS: [(&str, &str); 7] = [
    ("POST", "/v1/records"),
    ("PUT", "/v1/assets/"),
    ("POST", "/v1/uploads"),
    ("PATCH", "/v1/uploads/"),
    ("HEAD", "/v1/uploads/"),
    ("PUT", "/v1/captures/"),
    ("POST", "/v1/receipts"),
];

/// A rule for each kind of request.
fn each_request(times: u64, action: &Value) -> Value {
    let rule = |(method, path): &(&str, &str)| json!({"id": format!("{method} {path} {action}"), "method": method, "path_prefix": path, "times": times, "action": action});
    json!({"rules": REQUESTS.iter().map(rule).collect::<Vec<_>>()})
}

/// Small evidence, of which one is several requests of each kind.
fn small_evidence(station: &Station) -> Vec<Captured> {
    let noise = (0..3).map(|seed| station.write_noise(&format!("noise-{seed}"), 300_000, seed).unwrap());
    let mut files: Vec<_> = noise.collect();
    files.push(station.cache.picture("astronaut.png").unwrap());
    let mut taken = station.capture(&files).unwrap();
    taken.extend(captures(&station.client.tell(&["note", "small"]).unwrap()));
    assert_eq!(station.client.tell(&["analyse"]).unwrap()["analysed"], 1);
    taken
}

fn ends_well_in_spite_of(faults: &Value) {
    let station = Station::enrolled(&[]).unwrap();
    let taken = small_evidence(&station);
    station.order_faults(faults).unwrap();
    let windows = station.bring_everything().unwrap();
    assert_done(&windows);
    station.order_faults(&Value::Null).unwrap();
    station.check_held(&taken).unwrap();
    let held = station.account().unwrap().captures().unwrap();
    assert_eq!(held.len(), taken.len(), "nothing is there twice");
}

#[test]
fn the_server_fails_for_a_while() {
    ends_well_in_spite_of(&each_request(2, &json!({"answer": {"status": 500}})));
}

#[test]
fn the_server_is_busy_for_a_while() {
    let busy = json!({"answer": {"status": 503, "code": "busy", "retry_after_ms": 300}});
    ends_well_in_spite_of(&each_request(1, &busy));
}

#[test]
fn every_answer_is_lost_once() {
    ends_well_in_spite_of(&each_request(1, &json!("drop_answer")));
}

#[test]
fn every_connection_ends_once_before_its_body() {
    ends_well_in_spite_of(&each_request(1, &json!({"drop_connection": {"after_bytes": 0}})));
}

#[test]
fn a_bit_flips_on_the_way() {
    let faults = json!({"rules": [{"id": "flip", "method": "PATCH", "path_prefix": "/v1/uploads/", "times": 2, "action": "flip_bit"}]});
    ends_well_in_spite_of(&faults);
}

#[test]
fn the_server_doubts_every_token_once() {
    ends_well_in_spite_of(&each_request(1, &json!({"answer": {"status": 401, "code": "token_invalid"}})));
}

/// While nothing but failures come back, nothing is lost, nothing is parked, and `why` says what is wrong.
#[test]
fn a_server_that_is_down_for_the_whole_window_parks_nothing() {
    let station = Station::enrolled(&[]).unwrap();
    let taken = station.capture(&[station.cache.picture("chelsea.png").unwrap()]).unwrap();
    let down = json!({"rules": [{"id": "down", "path_prefix": "/v1/", "action": {"answer": {"status": 503}}}]});
    station.order_faults(&down).unwrap();
    let window = station.client.ask(&["sync", "--budget-ms", "3000"]).unwrap();
    assert_eq!((window.code, &window.json["left"], &window.json["parked"]), (5, &json!(1), &json!(0)), "{window:?}");
    let why = station.client.tell(&["why", &taken[0].id]).unwrap();
    assert_eq!((&why["code"], &why["server_status"]), (&json!("server_error"), &json!(503)), "{why}");
    assert_eq!(why["unblocked_by"], "time");
    station.order_faults(&Value::Null).unwrap();
    assert_done(&station.bring_everything().unwrap());
    station.check_held(&taken).unwrap();
}

#[test]
fn a_session_that_cannot_be_renewed_waits_for_the_person() {
    let station = Station::enrolled(&[]).unwrap();
    let taken = station.capture(&[station.cache.picture("chelsea.png").unwrap()]).unwrap();
    let refusal = json!({"answer": {"status": 401, "code": "refresh_invalid"}});
    let rule = |path: &str| json!({"id": path, "path_prefix": path, "action": refusal});
    let ended = json!({"rules": [rule("/v1/sessions/refresh"), rule("/v1/records")]});
    station.order_faults(&ended).unwrap();
    let window = station.client.ask(&["sync"]).unwrap();
    assert_eq!((window.code, &window.json["stopped_because"]), (5, &json!("signed_out")), "{window:?}");
    assert_eq!((&window.json["left"], &window.json["parked"]), (&json!(1), &json!(0)), "{window:?}");
    let why = station.client.tell(&["why", &taken[0].id]).unwrap();
    assert_eq!((&why["code"], &why["unblocked_by"]), (&json!("signed_out"), &json!("sign_in")), "{why}");
    // Captures go on meanwhile.
    let mut taken = taken;
    taken.extend(captures(&station.client.tell(&["note", "signed out"]).unwrap()));
    station.order_faults(&Value::Null).unwrap();
    let password = station.password_file().to_string_lossy().into_owned();
    let account = ["--server", &station.url(), "--email", EMAIL, "--password-file", &password];
    station.client.tell(&[&["sign-in"], &account[..]].concat()).unwrap();
    assert_done(&station.bring_everything().unwrap());
    station.check_held(&taken).unwrap();
}

/// What a small budget leaves is what the next window begins with.
#[test]
fn a_window_that_is_too_small_goes_on_in_the_next() {
    let station = Station::enrolled(&[]).unwrap();
    let taken = evidence(&station);
    let sealed = sealed_bytes(&station, &taken);
    let first = station.client.ask(&["sync", "--budget-bytes", "10000000"]).unwrap();
    assert_eq!((first.code, &first.json["stopped_because"]), (5, &json!("budget_bytes")), "{first:?}");
    let sent = first.json["bytes_sent"].as_u64().unwrap();
    assert!((1..=12_000_000).contains(&sent), "{sent} bytes of ten million were used");
    let mut windows = vec![first];
    windows.extend(station.bring_everything().unwrap());
    assert_done(&windows);
    station.check_held(&taken).unwrap();
    assert!(sent_bytes(&windows) < sealed + RESENT_BYTES_MAX);
}
