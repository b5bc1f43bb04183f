//! A server whose keys do not chain to the root that this device believes: sending stops with its own code, capturing does
//! not, and nothing is lost.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use snaptrak_driver::{Station, captures};

#[test]
fn a_swapped_upload_key_stops_sending_and_never_capture() {
    let mut station = Station::enrolled(&[]).unwrap();
    let photo = station.cache.picture("chelsea.png").unwrap();
    let mut taken = station.capture(&[&photo]).unwrap();
    assert_eq!(station.client.ask(&["sync"]).unwrap().code, 0);

    // Somebody else's server at the same address: another root, another upload key.
    let other = station.path("other");
    station.start_server_on(&other, &[], &[]).unwrap();
    taken.extend(station.capture(&[&photo]).unwrap());
    let stopped = station.client.ask(&["sync"]).unwrap();
    assert_ne!(stopped.code, 0);
    assert_eq!(stopped.json["stopped_because"], "trust_not_chained", "{stopped:?}");
    assert_eq!((&stopped.json["bytes_sent"], &stopped.json["left"]), (&json!(0), &json!(1)), "{stopped:?}");
    let why = station.client.tell(&["why", &taken[1].id]).unwrap();
    assert_eq!((&why["code"], &why["unblocked_by"]), (&json!("trust_not_chained"), &json!("person")), "{why}");

    // Captures go on, and are still wrapped for the organisation that is believed.
    taken.extend(captures(&station.client.tell(&["note", "meanwhile"]).unwrap()));
    taken.extend(station.capture(&[&photo]).unwrap());
    let stopped = station.client.ask(&["sync"]).unwrap();
    assert_eq!((&stopped.json["stopped_because"], &stopped.json["left"]), (&json!("trust_not_chained"), &json!(3)));
    let status = station.client.tell(&["status"]).unwrap();
    assert_eq!((&status["parked"], &status["waiting"]), (&json!([]), &json!(3)), "{status}");

    station.start_server(&[]).unwrap();
    let windows = station.bring_everything().unwrap();
    assert_eq!(windows.last().unwrap().code, 0, "{windows:?}");
    station.check_held(&taken).unwrap();
    let verify = station.client.tell(&["verify"]).unwrap();
    assert_eq!((&verify["countersigned"], &verify["chain_ok"]), (&json!(taken.len()), &json!(true)), "{verify}");
}

#[test]
fn what_was_captured_under_nobodys_root_waits_for_the_right_one() {
    let mut station = Station::new().unwrap();
    let taken = captures(&station.client.tell(&["note", "before anyone was believed"]).unwrap());
    station.start_server(&[]).unwrap();
    let password = station.password_file().to_string_lossy().into_owned();
    let account = ["--server", &station.url(), "--email", snaptrak_driver::EMAIL, "--password-file", &password];
    let refused =
        station.client.ask(&[&["sign-up"], &account[..], &["--trust-root", &"0".repeat(64)]].concat()).unwrap();
    assert_eq!((refused.code, &refused.json["code"]), (1, &json!("trust_not_chained")), "{refused:?}");
    let none = station.client.ask(&["sync"]).unwrap();
    assert_eq!(
        (&none.json["stopped_because"], &none.json["bytes_sent"]),
        (&json!("not_enrolled"), &json!(0)),
        "{none:?}"
    );
    let enrolled = station.enrol(&station.url()).unwrap();
    assert_eq!(enrolled["trust_root_given"], false, "trust on first use is recorded and said");
    assert!(enrolled["trust_root"].as_str().is_some_and(|root| root.len() == 64), "{enrolled}");
    station.bring_everything().unwrap();
    station.check_held(&taken).unwrap();
}

/// Two pieces and their envelope are on their way when the organisation's key changes.
#[test]
fn a_new_upload_key_leads_to_new_wraps_and_not_to_new_uploads() {
    const BYTES: u64 = 40_000_000;
    const FIRST_PIECE_BYTES: u64 = 33_554_432;
    for revoke in [false, true] {
        let mut station = Station::enrolled(&[]).unwrap();
        let video = station.write_noise("video", BYTES, 7).unwrap();
        let mut taken = station.capture(&[&video]).unwrap();
        // The record, the envelope with the old key's wrap and the smaller piece arrive; the larger piece does not.
        let busy = json!({"answer": {"status": 503, "code": "later", "retry_after_ms": 1}});
        let rule = json!({"id": "patch", "method": "PATCH", "path_prefix": "/v1/uploads", "skip": 1, "times": 1000, "action": busy});
        station.order_faults(&json!({ "rules": [rule] })).unwrap();
        let cut = station.client.ask(&["sync", "--budget-ms", "3000"]).unwrap();
        assert_eq!((&cut.json["received"], &cut.json["verified"]), (&json!(1), &json!(0)), "{cut:?}");
        station.order_faults(&json!(null)).unwrap();
        station.stop_server();
        let data = station.server_data().to_string_lossy().into_owned();
        let mut rotation = std::process::Command::new(station.programs().server());
        rotation.args(["rotate-upload-key", "--json", "--data", &data]).args(revoke.then_some("--revoke"));
        let rotated: serde_json::Value = serde_json::from_slice(&rotation.output().unwrap().stdout).unwrap();
        // Captured meanwhile, wrapped for the key that this device knew.
        taken.extend(captures(&station.client.tell(&["note", "under the old key"]).unwrap()));

        station.start_server(&[]).unwrap();
        let windows = station.bring_everything().unwrap();
        let sent: u64 = windows.iter().filter_map(|window| window.json["bytes_sent"].as_u64()).sum();
        assert!(sent < FIRST_PIECE_BYTES + 1_000_000, "only what was missing was sent: {windows:?}");
        station.check_held(&taken).unwrap();
        // What was on its way before opens with the retired key; with a revoked one it needs a wrap for the new.
        let account = station.account().unwrap();
        for (capture, wrapped_anew) in taken.iter().zip([revoke, true]) {
            let envelope = account.get(&format!("/v1/assets/{}/envelope", capture.asset_id)).unwrap();
            let wraps = envelope["wraps"].as_array().unwrap();
            assert_eq!(wraps.iter().any(|wrap| wrap["key_id"] == rotated["key_id"]), wrapped_anew, "{wraps:?}");
        }
        let verify = station.client.tell(&["verify"]).unwrap();
        assert_eq!((&verify["countersigned"], &verify["failures"]), (&json!(2), &json!([])), "{verify}");
    }
}
