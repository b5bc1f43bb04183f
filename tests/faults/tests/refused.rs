//! One capture that the server never takes, among a hundred: it is set aside with the server's own reason, and holds up
//! nobody.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Answer, Captured, Station};

const CAPTURES: usize = 100;
/// Somewhere in the middle.
const POISONED: usize = 41;

fn hundred(station: &Station) -> Vec<Captured> {
    let write =
        |number| station.write(&format!("{number}.txt"), format!("evidence number {number}").as_bytes()).unwrap();
    let files: Vec<_> = (0..CAPTURES).map(write).collect();
    station.capture(&files).unwrap()
}

/// All but one verified, that one parked with the server's reason, and the whole said by the exit code.
fn assert_one_is_set_aside(station: &Station, taken: &[Captured], windows: &[Answer], server_code: &str) -> Value {
    let last = windows.last().unwrap();
    let parked: u64 = windows.iter().map(|window| window.json["parked"].as_u64().unwrap()).sum();
    assert_eq!((last.code, parked, &last.json["left"]), (6, 1, &json!(0)), "{last:?}");
    let status = station.client.tell(&["status"]).unwrap();
    assert_eq!(status["by_state"]["verified"], CAPTURES - 1, "{status}");
    assert_eq!(status["by_state"]["parked"], 1, "{status}");
    let set_aside = &taken[POISONED].id;
    assert_eq!(status["parked"][0]["id"], set_aside.as_str(), "{status}");
    let why = station.client.tell(&["why", set_aside]).unwrap();
    assert_eq!((&why["state"], &why["code"]), (&json!("parked"), &json!("server_refused")), "{why}");
    assert_eq!(why["parameters"]["server_code"], server_code, "{why}");
    assert_eq!(why["unblocked_by"], "person");
    assert!(why["next_try_ms"].as_u64() > why["since_ms"].as_u64(), "it is revived once a day: {why}");
    let shown = station.client.tell(&["show", set_aside]).unwrap();
    assert!(shown["steps"].as_array().unwrap().iter().any(|step| step["state"] == "parked"), "{shown}");

    let mut others = taken.to_vec();
    others.remove(POISONED);
    let (first, rest) = others.split_at(1);
    station.check_held(first).unwrap();
    let held = station.account().unwrap().captures().unwrap();
    let is_verified = |capture: &Captured| {
        held.iter().any(|held| held["id"] == capture.id.as_str() && held["assets"][0]["state"] == "verified")
    };
    assert!(rest.iter().all(is_verified));

    // The capture itself is as safe as it was.
    let out = station.path("out");
    let viewed = station.client.tell(&["view", set_aside, "-o", out.to_str().unwrap()]).unwrap();
    assert_eq!(viewed["sha256"], taken[POISONED].sha256.as_str());
    // A window that has nothing to do sets nothing aside again, and still does not say that all is well.
    let again = station.client.ask(&["sync"]).unwrap();
    assert_eq!((again.code, &again.json["parked"], &again.json["bytes_sent"]), (6, &json!(0), &json!(0)), "{again:?}");
    why
}

#[test]
fn a_record_that_is_always_refused() {
    let station = Station::enrolled(&[]).unwrap();
    let taken = hundred(&station);
    station.order_faults(&json!({"refuse_captures": [taken[POISONED].id]})).unwrap();
    let windows = station.bring_everything().unwrap();
    let why = assert_one_is_set_aside(&station, &taken, &windows, "record_refused");
    assert!(why["server_status"].is_u64(), "{why}");
}

#[test]
fn an_envelope_that_is_always_refused() {
    let station = Station::enrolled(&[]).unwrap();
    let taken = hundred(&station);
    let path = format!("/v1/assets/{}/envelope", taken[POISONED].asset_id);
    let refusal = json!({"answer": {"status": 422, "code": "envelope_invalid"}});
    station.order_faults(&json!({"rules": [{"id": "refuse", "path_prefix": path, "action": refusal}]})).unwrap();
    let windows = station.bring_everything().unwrap();
    let why = assert_one_is_set_aside(&station, &taken, &windows, "envelope_invalid");
    assert_eq!(why["server_status"], 422);
}
