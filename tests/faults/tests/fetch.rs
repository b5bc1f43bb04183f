//! Whatever happens to a fetch: the same bytes come back, or nothing is replaced.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Captured, Station, Wire};
use snaptrak_faults::{Running, sealed_bytes, wired};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A piece and a half.
const LARGE_BYTES: u64 = 50_000_000;

/// Where the wire stops: in the middle of the first piece.
const STOP_AFTER_BYTES: u64 = 12_000_000;

/// A large capture whose bytes are at the server alone.
fn purged() -> (Station, Wire, PathBuf, Captured) {
    let (station, wire) = wired(&[]);
    let file = station.write_noise("large", LARGE_BYTES, 3).unwrap();
    let taken = station.capture(&[&file]).unwrap().remove(0);
    station.bring_everything().unwrap();
    assert_eq!(station.client.tell(&["purge"]).unwrap()["purged"], 1);
    (station, wire, file, taken)
}

fn why(station: &Station, capture: &Captured) -> Value {
    station.client.tell(&["why", &capture.id]).unwrap()
}

fn assert_viewed(station: &Station, capture: &Captured, file: &Path) {
    let out = station.path("viewed");
    station.client.tell(&["view", &capture.id, "-o", out.to_str().unwrap()]).unwrap();
    assert!(fs::read(out).unwrap() == fs::read(file).unwrap());
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with_in_the_same_call() {
    let (station, wire, file, taken) = purged();
    let sealed = sealed_bytes(&station, std::slice::from_ref(&taken));
    wire.stop_downloads_after(STOP_AFTER_BYTES);
    let running = Running::start(&station.client, &["fetch", &taken.id]);
    assert!(wire.wait_until_stopped());
    wire.cut();
    let answer = running.answer();
    assert_eq!((answer.code, &answer.json["fetched"][0]["bytes"]), (0, &json!(sealed)), "{}", answer.json);
    assert_viewed(&station, &taken, &file);
}

#[test]
fn a_fetch_that_was_killed_goes_on_in_the_next_process() {
    let (station, wire, file, taken) = purged();
    let sealed = sealed_bytes(&station, std::slice::from_ref(&taken));
    wire.stop_downloads_after(STOP_AFTER_BYTES);
    let running = Running::start(&station.client, &["fetch", &taken.id]);
    assert!(wire.wait_until_stopped());
    running.kill();
    wire.cut();
    assert_eq!(why(&station, &taken)["state"], "purged");
    let answer = station.client.tell(&["fetch", &taken.id]).unwrap();
    let bytes = answer["fetched"][0]["bytes"].as_u64().unwrap();
    assert!(bytes < sealed, "what had arrived is not asked for again: {bytes} of {sealed}");
    assert_viewed(&station, &taken, &file);
}

#[test]
fn other_bytes_are_refused_and_replace_nothing() {
    let (station, _wire, file, taken) = purged();
    let held = pieces_below(&station.path("server"), LARGE_BYTES / 4);
    let whole = fs::read(&held[0]).unwrap();
    let mut other = whole.clone();
    other[5_000_000] ^= 1;
    fs::write(&held[0], other).unwrap();
    for _ in 0..2 {
        let answer = station.client.ask(&["fetch", &taken.id]).unwrap();
        assert_eq!((answer.code, &answer.json["failed"][0]["code"]), (5, &json!("sealed_mismatch")), "{}", answer.json);
        assert_eq!(why(&station, &taken)["state"], "purged");
    }
    fs::write(&held[0], whole).unwrap();
    station.client.tell(&["fetch", &taken.id]).unwrap();
    assert_viewed(&station, &taken, &file);
}

/// The server's large files.
fn pieces_below(folder: &Path, bytes_min: u64) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pieces_below(&path, bytes_min));
        } else if fs::metadata(&path).unwrap().len() > bytes_min {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn what_the_server_lost_is_set_aside_and_said_but_a_proxys_page_is_not_believed() {
    let (station, _wire, file, taken) = purged();
    let pieces = format!("/v1/assets/{}/pieces/", taken.asset_id);
    let rule = |status: u16, code: &str| {
        let answer = json!({"status": status, "code": code});
        json!({"rules": [{"id": code, "path_prefix": pieces, "action": {"answer": answer}}]})
    };
    station.order_faults(&rule(503, "busy")).unwrap();
    let busy = station.client.ask(&["fetch", &taken.id]).unwrap();
    assert_eq!((busy.code, &busy.json["code"]), (5, &json!("server_failed")), "{}", busy.json);
    station.order_faults(&rule(404, "unknown_path")).unwrap();
    let refused = station.client.ask(&["fetch", &taken.id]).unwrap();
    assert_eq!(refused.json["failed"][0]["code"], "server_refused", "{}", refused.json);
    assert_eq!(why(&station, &taken)["state"], "purged");
    station.order_faults(&Value::Null).unwrap();
    station.client.tell(&["fetch", &taken.id]).unwrap();
    assert_viewed(&station, &taken, &file);

    assert_eq!(station.client.tell(&["purge"]).unwrap()["purged"], 1);
    station.order_faults(&rule(404, "unknown_piece")).unwrap();
    let lost = station.client.ask(&["fetch", &taken.id]).unwrap();
    assert_eq!((lost.code, &lost.json["failed"][0]["code"]), (6, &json!("server_lost")), "{}", lost.json);
    let why = why(&station, &taken);
    assert_eq!((&why["state"], &why["code"]), (&json!("parked"), &json!("server_lost")), "{why}");
}

#[test]
fn offline_and_signed_out_are_answered_as_elsewhere() {
    let (mut station, _wire, file, taken) = purged();
    station.stop_server();
    let offline = station.client.ask(&["fetch", &taken.id]).unwrap();
    assert_eq!((offline.code, &offline.json["code"]), (5, &json!("offline")), "{}", offline.json);
    station.start_server(&[]).unwrap();
    station.client.tell(&["fetch", &taken.id]).unwrap();
    assert_viewed(&station, &taken, &file);
    assert_eq!(station.client.tell(&["purge"]).unwrap()["purged"], 1);
    station.client.ask(&["sign-out"]).unwrap();
    let out = station.client.ask(&["fetch", &taken.id]).unwrap();
    assert_eq!((out.code, &out.json["code"]), (1, &json!("signed_out")), "{}", out.json);
}
