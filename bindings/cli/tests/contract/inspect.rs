//! `init`, `list`, `show`, `status`, `why`, `analyse`, `sync`, `verify`: what is said of what is there.

use crate::program::{Place, assert_fails, assert_fields, assert_id, jpeg, run, sha256_hex};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn init_makes_a_store_for_its_owner_alone() {
    let place = Place::empty();
    let (exit, answer) = place.json(["init"]);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.init/1")));
    assert_eq!(answer["store"], json!(place.store().to_str().unwrap()));
    let mode = fs::metadata(place.store()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "group and world have no rights");
}

#[test]
fn init_refuses_what_is_there_and_leaves_it_alone() {
    let place = Place::with_store();
    assert_fails(|| place.program(["init"]), 1, "store_exists");
    let other = place.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("holiday.txt"), "mine").unwrap();
    let answer = place.json(["init", "--store", other.to_str().unwrap()]);
    assert_eq!(answer.0, 1);
    assert!(["not_empty", "not_a_store"].contains(&answer.1["code"].as_str().unwrap()), "{}", answer.1);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn list_goes_through_all_of_it_page_by_page() {
    let place = Place::with_store();
    let mut made: Vec<String> =
        (0..5).map(|index| assert_id(&place.json(["note", &format!("{index}")]).1["captures"][0]["id"])).collect();
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut words = vec!["list".to_owned(), "--limit".to_owned(), "2".to_owned()];
        words.extend(after.iter().flat_map(|id| ["--after".to_owned(), id.clone()]));
        let (exit, page) = place.json(&words);
        assert_eq!((exit, &page["schema"]), (0, &json!("snaptrak.list/1")));
        for capture in page["captures"].as_array().unwrap() {
            assert_eq!(
                (&capture["kind"], &capture["state"], &capture["bytes"]),
                (&json!("note"), &json!("prepared"), &json!(1))
            );
            assert!(capture["created_ms"].is_i64() && capture["sha256"].as_str().unwrap().len() == 64);
            seen.push(assert_id(&capture["id"]));
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
    let counted = |state| place.json(["list", "--state", state]).1["captures"].as_array().unwrap().len();
    assert_eq!((counted("prepared"), counted("verified")), (5, 0));
}

#[test]
fn show_says_where_every_sealed_piece_lies() {
    let place = Place::with_store();
    let bytes = jpeg();
    let entry = place.capture(&place.file("photo.jpg", &bytes));
    let (exit, shown) = place.json(["show", entry["id"].as_str().unwrap()]);
    assert_eq!((exit, &shown["schema"]), (0, &json!("snaptrak.show/1")));
    let asset = &shown["assets"][0];
    assert_eq!((&asset["asset_id"], &asset["rendition"]), (&entry["asset_id"], &json!("original")));
    assert_eq!((&asset["bytes"], &asset["sha256"]), (&json!(bytes.len()), &json!(sha256_hex(&bytes))));
    assert_fields(asset, &["state"]);
    let piece = &asset["pieces"][0];
    let path = Path::new(piece["path"].as_str().unwrap());
    let sealed = fs::read(path).unwrap();
    assert_eq!((&piece["index"], &piece["bytes"]), (&json!(0), &json!(sealed.len())));
    assert_eq!(piece["sha256"], json!(sha256_hex(&sealed)), "a piece's digest is of the sealed file");
    assert!(!sealed.windows(8).any(|part| part == &bytes[..8]), "and it is sealed");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(shown["findings"], json!([]));
    let steps = shown["steps"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step["step"] == json!("analyse") && step["state"] == json!("waiting")),
        "{steps:?}"
    );
    for step in steps {
        assert_fields(step, &["step", "state", "attempts", "code"]);
    }
    let nobody = "0193e6f6-0000-7000-8000-000000000000";
    assert_fails(|| place.program(["show", nobody]), 1, "not_found");
    assert_fails(|| place.program(["why", nobody]), 1, "not_found");
}

#[test]
fn status_counts_what_is_here() {
    let place = Place::with_store();
    let (exit, status) = place.json(["status"]);
    assert_eq!((exit, &status["schema"], &status["waiting"]), (0, &json!("snaptrak.status/1"), &json!(0)));
    assert_eq!(status["oldest_ms"], Value::Null);
    place.capture(&place.file("file", &[1; 1000]));
    place.json(["note", "n"]);
    let (_, status) = place.json(["status"]);
    assert_eq!(status["by_state"]["prepared"], json!(2));
    assert_eq!(status["waiting"], json!(2));
    assert!(status["waiting_bytes"].as_u64().unwrap() > 1000);
    assert!(status["oldest_ms"].is_i64());
    assert_eq!(status["parked"], json!([]));
    let store = &status["store"];
    assert!(store["schema_version"].as_u64().unwrap() >= 1);
    assert!(store["cipher_version"].as_str().unwrap().starts_with("4."), "{store}");
    assert!(store["bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn why_always_has_an_answer() {
    let place = Place::with_store();
    let entry = place.capture(&place.file("file", b"bytes"));
    let (exit, why) = place.json(["why", entry["id"].as_str().unwrap()]);
    assert_eq!((exit, &why["schema"]), (0, &json!("snaptrak.why/1")));
    assert_eq!((&why["state"], &why["code"]), (&json!("prepared"), &json!("not_enrolled")));
    assert_eq!(why["unblocked_by"], json!("sign_in"));
    assert_fields(&why, &["since_ms", "next_try_ms", "server_status"]);
    let words = String::from_utf8(place.words(["why", entry["id"].as_str().unwrap()]).stdout).unwrap();
    assert!(words.contains("snaptrak sign-in"), "{words}");
}

#[test]
fn what_needs_an_engine_or_an_account_says_so_and_everything_waits() {
    let place = Place::with_store();
    let (exit, report) = place.json(["sync"]);
    assert_eq!((exit, &report["schema"]), (5, &json!("snaptrak.sync/1")));
    assert_eq!(report["stopped_because"], json!("not_enrolled"));
    assert_fields(&report, &["requests", "bytes_sent", "bytes_resent", "received", "verified", "parked", "left"]);
    let (exit, nothing) = place.json(["analyse"]);
    assert_eq!(exit, 0);
    assert_eq!((&nothing["analysed"], &nothing["parked"], &nothing["left"]), (&json!(0), &json!(0), &json!(0)));
    place.capture(&place.file("photo.jpg", &jpeg()));
    assert_fails(|| place.program(["analyse"]), 1, "engine_missing");
    assert_fails(|| place.program(["analyse", "--engine", "abacus"]), 1, "engine_missing");
    assert_eq!(place.json(["status"]).1["parked"], json!([]), "nothing is set aside for what is missing here");
}

/// LiteRT's library for GPUs prints a line where there is no OpenCL.
#[test]
fn what_a_library_prints_is_not_among_the_results() {
    let place = Place::with_store();
    place.capture(&place.file("photo.jpg", &jpeg()));
    let code =
        "#include <stdio.h>\n__attribute__((constructor)) static void say(void) { puts(\"noise\"); fflush(stdout); }";
    let (source, library) = (place.file("noise.c", code.as_bytes()), place.path("libonnxruntime.so"));
    let built = std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(built.unwrap().success());
    let with_library = || {
        let mut program = place.program(["analyse"]);
        program.arg("--runtime-library").arg(&library);
        program
    };
    let ran = run(&mut with_library());
    assert!(ran.stderr.contains("noise"), "the library was loaded: {}", ran.stderr);
    assert_fails(with_library, 1, "engine_missing");
}

#[test]
fn verify_holds_the_chain_of_receipts_together() {
    let place = Place::with_store();
    for text in ["one", "two", "three"] {
        place.json(["note", text]);
    }
    let (exit, report) = place.json(["verify"]);
    assert_eq!((exit, &report["schema"]), (0, &json!("snaptrak.verify/1")));
    assert_eq!((&report["receipts"], &report["signed"], &report["countersigned"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!((&report["chain_ok"], &report["gaps"], &report["failures"]), (&json!(true), &json!([]), &json!([])));
}

#[test]
fn contents_enter_no_log() {
    let place = Place::with_store();
    let file = place.file("canary-in-the-name.jpg", b"canary-in-the-bytes");
    let log =
        run(&mut place.program(["capture", file.to_str().unwrap(), "--note", "canary-in-the-note", "-vvv"])).stderr;
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn annotations_are_written_shown_and_removed() {
    let place = Place::with_store();
    let id = place.json(["note", "short"]).1["captures"][0]["id"].as_str().unwrap().to_owned();
    let (exit, none) = place.json(["annotations", &id]);
    assert_eq!((exit, &none), (0, &json!({"schema": "snaptrak.annotations/1", "id": id, "annotations": []})));
    let (exit, said) = place.json(["annotations", &id, "--set", "room=12", "--set", "state=a=b c"]);
    let values = |answer: &Value| {
        let all = answer["annotations"].as_array().unwrap();
        all.iter().map(|one| (one["field"].clone(), one["value"].clone())).collect::<Vec<_>>()
    };
    assert_eq!((exit, values(&said)), (0, vec![(json!("room"), json!("12")), (json!("state"), json!("a=b c"))]));
    let shown = place.json(["show", &id]).1;
    let created_ms = shown["metadata"]["created"]["unix_ms"].as_i64().unwrap();
    for one in said["annotations"].as_array().unwrap() {
        assert!(one["written_ms"].as_i64().unwrap() >= created_ms, "{one}");
        assert_eq!(one["device"], shown["metadata"]["device_id"]);
    }
    let (_, left) = place.json(["annotations", &id, "--remove", "state"]);
    assert_eq!(values(&left), [(json!("room"), json!("12"))]);
    assert_eq!(place.json(["show", &id]).1["annotations"], left["annotations"]);
    let words = String::from_utf8(run(&mut place.program(["show", &id])).stdout).unwrap();
    assert!(words.contains("room"), "{words}");
    for wrong in ["Room=1", "room", "=1"] {
        let (exit, answer) = place.json(["annotations", &id, "--set", wrong]);
        assert_eq!((exit, &answer["code"]), (2, &json!("usage")), "{wrong}");
    }
    let long = format!("room={}", "x".repeat(20_000));
    assert_fails(|| place.program(["annotations", &id, "--set", &long]), 2, "invalid_argument");
    let stranger = "0193e6f6-0000-7000-8000-000000000000";
    assert_fails(|| place.program(["annotations", stranger, "--set", "room=1"]), 1, "not_found");
}
