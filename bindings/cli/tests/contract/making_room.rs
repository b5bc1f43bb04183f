//! `purge`, `pin`, `unpin`, `fetch`, without a server: what stays here and why, and what needs no way back.

use crate::program::{Place, assert_fails, assert_id};
use serde_json::json;

/// An id that no store has.
const NOBODY: &str = "0193e6f6-0000-7000-8000-000000000000";

fn a_note(place: &Place) -> String {
    assert_id(&place.json(["note", "stays"]).1["captures"][0]["id"])
}

fn a_file(place: &Place) -> String {
    assert_id(&place.capture(&place.file("file", &[7; 1000]))["id"])
}

#[test]
fn purge_keeps_what_nobody_signed_for_and_says_so() {
    let place = Place::with_store();
    let nothing = place.json(["purge"]);
    let expected = json!({"schema": "snaptrak.purge/1", "purged": 0, "freed_bytes": 0, "kept": [], "kept_count": 0});
    assert_eq!(nothing, (0, expected));
    let (file, note) = (a_file(&place), a_note(&place));
    let kept = |id: &str| json!({"id": id, "code": "not_verified"});
    let expected = json!({
        "schema": "snaptrak.purge/1", "purged": 0, "freed_bytes": 0, "kept": [kept(&file), kept(&note)], "kept_count": 2
    });
    assert_eq!(place.json(["purge"]), (0, expected));
    let (exit, one) = place.json(["purge", &file]);
    assert_eq!((exit, &one["kept"], &one["kept_count"]), (0, &json!([kept(&file)]), &json!(1)), "{one}");
    let words = place.words(["purge"]);
    let said = String::from_utf8(words.stdout).unwrap();
    assert_eq!((words.exit, words.stderr.as_str()), (0, ""));
    assert!(said.contains("0 captures") && said.contains("2 stay: the server has not signed for them"), "{said}");
    let listed = place.json(["list", "--state", "purged"]).1;
    assert_eq!(listed["captures"], json!([]));
}

#[test]
fn purge_of_what_is_not_there_purges_nothing() {
    let place = Place::with_store();
    let file = a_file(&place);
    assert_fails(|| place.program(["purge", NOBODY]), 1, "not_found");
    assert_fails(|| place.program(["purge", &file, NOBODY]), 1, "not_found");
    for wrong in [&["purge", "no-id"][..], &["purge", "--to-free", "all"]] {
        let (exit, answer) = place.json(wrong);
        assert_eq!((exit, &answer["code"]), (2, &json!("usage")), "{wrong:?}");
    }
}

#[test]
fn a_pin_is_said_and_shown_and_taken_away_again() {
    let place = Place::with_store();
    let id = a_file(&place);
    let pinned = || place.json(["show", &id]).1["pinned"].clone();
    assert_eq!(pinned(), json!(false));
    for (command, is_pinned, words) in [("pin", true, "stays"), ("unpin", false, "may go")] {
        // Twice is no error.
        for _ in 0..2 {
            let expected = json!({"schema": "snaptrak.pin/1", "id": id, "pinned": is_pinned});
            assert_eq!(place.json([command, &id]), (0, expected));
        }
        assert_eq!(pinned(), json!(is_pinned));
        let ran = place.words([command, &id]);
        let said = String::from_utf8(ran.stdout).unwrap();
        assert!(ran.exit == 0 && said.starts_with(&id) && said.contains(words), "{said}");
        assert_fails(|| place.program([command, NOBODY]), 1, "not_found");
        let (exit, answer) = place.json([command]);
        assert_eq!((exit, &answer["code"]), (2, &json!("usage")));
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("<ID>"), "what is missing is named: {message}");
    }
}

#[test]
fn fetch_of_what_is_here_needs_no_server_and_brings_nothing() {
    let place = Place::with_store();
    let id = a_file(&place);
    let (exit, answer) = place.json(["fetch", &id]);
    let expected = json!([{"id": id, "state": "prepared", "pieces": 0, "bytes": 0}]);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.fetch/1")));
    assert_eq!((&answer["fetched"], &answer["failed"]), (&expected, &json!([])));
    let words = place.words(["fetch", &id]);
    let said = String::from_utf8(words.stdout).unwrap();
    assert!(words.exit == 0 && said.contains(&id) && said.contains("prepared"), "{said}");

    // What is unknown keeps the others from nothing.
    let (exit, answer) = place.json(["fetch", NOBODY, &id]);
    assert_eq!((exit, &answer["fetched"]), (1, &expected), "{answer}");
    assert_eq!(answer["failed"], json!([{"id": NOBODY, "code": "not_found"}]));
    let words = place.words(["fetch", NOBODY]);
    assert!(words.exit == 1 && words.stdout.is_empty());
    assert!(words.stderr.contains(NOBODY) && words.stderr.contains("; next: "), "{}", words.stderr);
    assert_eq!(place.json(["fetch"]).0, 2);
}
