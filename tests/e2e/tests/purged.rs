//! A capture whose bytes went and came back.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::Station;
use std::fs;

fn asset(shown: &Value, rendition: &str) -> Value {
    let assets = shown["assets"].as_array().unwrap().iter();
    assets.clone().find(|asset| asset["rendition"] == rendition).unwrap().clone()
}

#[test]
fn a_purged_capture_is_listed_seen_small_and_brought_back_byte_for_byte() {
    let station = Station::enrolled(&[]).unwrap();
    let client = &station.client;
    // More than one piece, and a picture that is turned.
    let large = station.write_noise("large", 40_000_000, 7).unwrap();
    let photo = station.cache.picture("coffee_turned.jpg").unwrap();
    let taken = station.capture(&[&photo, &large]).unwrap();
    assert_eq!(client.tell(&["analyse"]).unwrap()["thumbnails"], 1);
    station.bring_everything().unwrap();
    station.check_held(&taken).unwrap();
    let account = station.account().unwrap();
    let held = account.get(&format!("/v1/captures/{}", taken[0].id)).unwrap();
    assert_eq!(held["assets"].as_array().unwrap().len(), 1, "the thumbnail does not leave: {held}");

    let small = station.path("small.jpg");
    let thumbnail = || {
        client.tell(&["thumbnail", &taken[0].id, "-o", small.to_str().unwrap()]).unwrap();
        fs::read(&small).unwrap()
    };
    let before = thumbnail();
    let purged = client.tell(&["purge"]).unwrap();
    assert_eq!(purged["purged"], 2, "{purged}");
    let listed = client.tell(&["list", "--state", "purged"]).unwrap();
    assert_eq!(listed["captures"].as_array().unwrap().len(), 2);
    assert!(thumbnail() == before);
    let shown = client.tell(&["show", &taken[0].id]).unwrap();
    assert_eq!(
        (&asset(&shown, "original")["state"], &asset(&shown, "thumbnail")["state"]),
        (&json!("purged"), &json!("withheld"))
    );
    let out = station.path("viewed");
    let refused = client.ask(&["view", &taken[0].id, "-o", out.to_str().unwrap()]).unwrap();
    assert_eq!(refused.json["code"], "purged");

    let fetched = client.tell(&["fetch", &taken[0].id, &taken[1].id]).unwrap();
    assert_eq!(
        (&fetched["fetched"][0]["pieces"], &fetched["fetched"][1]["pieces"]),
        (&json!(1), &json!(2)),
        "{fetched}"
    );
    assert_eq!((&fetched["fetched"][1]["state"], &fetched["failed"]), (&json!("verified"), &json!([])));
    for (capture, file) in taken.iter().zip([&photo, &large]) {
        client.tell(&["view", &capture.id, "-o", out.to_str().unwrap()]).unwrap();
        assert!(fs::read(&out).unwrap() == fs::read(file).unwrap());
    }
    let again = client.tell(&["fetch", &taken[1].id]).unwrap();
    assert_eq!(again["fetched"][0]["pieces"], 0, "nothing was purged");
    let report = client.tell(&["verify"]).unwrap();
    assert_eq!(
        (&report["countersigned"], &report["chain_ok"], &report["failures"]),
        (&json!(2), &json!(true), &json!([]))
    );

    // Gone once more, and back with the view that needs it.
    assert_eq!(client.tell(&["purge", &taken[0].id]).unwrap()["purged"], 1);
    client.tell(&["view", &taken[0].id, "--fetch", "-o", out.to_str().unwrap()]).unwrap();
    assert!(fs::read(&out).unwrap() == fs::read(&photo).unwrap());
}

#[test]
fn what_is_purged_before_it_was_analysed_is_seen_small_and_analysed_when_it_is_back() {
    let station = Station::enrolled(&[]).unwrap();
    let client = &station.client;
    let photo = station.cache.picture("coffee_turned.jpg").unwrap();
    let taken = station.capture(&[&photo]).unwrap();
    station.bring_everything().unwrap();
    assert_eq!(client.tell(&["purge"]).unwrap()["purged"], 1);

    let small = station.path("small.jpg");
    client.tell(&["thumbnail", &taken[0].id, "-o", small.to_str().unwrap()]).unwrap();
    assert!(fs::read(&small).unwrap().starts_with(b"\xff\xd8\xff"));
    let parked = client.ask(&["analyse"]).unwrap();
    assert_eq!((parked.code, &parked.json["parked"]), (6, &json!(1)), "{}", parked.json);
    let shown = client.tell(&["show", &taken[0].id]).unwrap();
    let steps = shown["steps"].as_array().unwrap();
    let analyse = steps.iter().find(|step| step["step"] == "analyse").unwrap();
    assert_eq!((&analyse["state"], &analyse["code"]), (&json!("parked"), &json!("purged")));

    client.tell(&["fetch", &taken[0].id]).unwrap();
    let analysed = client.tell(&["analyse"]).unwrap();
    assert_eq!((&analysed["analysed"], &analysed["parked"]), (&json!(1), &json!(0)), "{analysed}");
}
