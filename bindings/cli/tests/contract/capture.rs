//! `capture` and `note`: what is taken in, what is refused, and what is said of both.

use crate::program::{Place, assert_fails, assert_fields, assert_id, jpeg, run, sha256_hex};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

fn paths(command: &str, files: &[PathBuf]) -> Vec<OsString> {
    std::iter::once(command.into()).chain(files.iter().map(|file| file.as_os_str().to_owned())).collect()
}

#[test]
fn every_capture_says_id_kind_asset_bytes_digest_and_state() {
    let place = Place::with_store();
    let contents = [jpeg(), b"%PDF-1.7\n".to_vec(), b"\x00\x01nobody knows".to_vec(), jpeg()[..20].to_vec()];
    let files: Vec<PathBuf> =
        contents.iter().enumerate().map(|(index, bytes)| place.file(format!("{index}.bin"), bytes)).collect();
    let (exit, answer) = place.json(paths("capture", &files));
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.capture/1")));
    assert_eq!(answer["refused"], json!([]));
    let captures = answer["captures"].as_array().unwrap();
    assert_eq!(captures.len(), contents.len(), "the order is that of the command line");
    for (capture, bytes) in captures.iter().zip(&contents) {
        assert_id(&capture["id"]);
        assert_id(&capture["asset_id"]);
        assert_eq!(capture["bytes"], json!(bytes.len()));
        assert_eq!(capture["sha256"], json!(sha256_hex(bytes)));
        // What has nothing to be understood in it is prepared at once.
        let state = if capture["kind"] == json!("photo") { "saved" } else { "prepared" };
        assert_eq!(capture["state"], json!(state));
    }
    let kinds: Vec<&Value> = captures.iter().map(|capture| &capture["kind"]).collect();
    assert_eq!(kinds, ["photo", "scan", "file", "photo"], "by content; a JPEG that was cut is a photo still");
}

#[test]
fn what_is_no_evidence_is_refused_and_holds_up_nothing() {
    let place = Place::with_store();
    fs::create_dir(place.path("folder")).unwrap();
    mknodat(CWD, place.path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let files = [
        place.file("empty", b""),
        place.file("first", b"first"),
        place.path("folder"),
        place.path("fifo"),
        PathBuf::from("/dev/null"),
        place.path("missing"),
        place.file("last", b"last"),
    ];
    let (exit, answer) = place.json(paths("capture", &files));
    assert_eq!(exit, 1);
    let digests: Vec<&Value> =
        answer["captures"].as_array().unwrap().iter().map(|capture| &capture["sha256"]).collect();
    assert_eq!(digests, [&json!(sha256_hex(b"first")), &json!(sha256_hex(b"last"))]);
    let refused: Vec<(String, String)> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| (refusal["path"].as_str().unwrap().to_owned(), refusal["code"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        (&files[0], "empty_file"),
        (&files[2], "is_a_folder"),
        (&files[3], "is_a_fifo"),
        (&files[4], "is_a_device"),
        (&files[5], "missing_path"),
    ]
    .map(|(path, code)| (path.to_str().unwrap().to_owned(), code.to_owned()));
    assert_eq!(refused, expected);
}

#[test]
fn a_name_that_is_not_unicode_is_captured_and_refused_like_any_other() {
    let place = Place::with_store();
    let name = OsStr::from_bytes(b"caf\xe9.jpg");
    let entry = place.capture(&place.file(name, &jpeg()));
    let (_, shown) = place.json(["show", entry["id"].as_str().unwrap()]);
    assert_eq!(shown["metadata"]["file_name"], json!("caf\u{fffd}.jpg"));

    let (exit, answer) = place.json(paths("capture", &[place.path(OsStr::from_bytes(b"\xff"))]));
    assert_eq!((exit, &answer["refused"][0]["code"]), (1, &json!("missing_path")));
    assert!(answer["refused"][0]["path"].as_str().unwrap().ends_with('\u{fffd}'));
}

#[test]
fn lines_say_the_same_the_moment_it_is_true() {
    let place = Place::with_store();
    let files: Vec<PathBuf> = (0..9_u8).map(|index| place.file(format!("{index}"), &[index, 1])).collect();
    let ran = run(place.program(paths("capture", &files)).arg(place.path("missing")).arg("--jsonl"));
    assert_eq!(ran.exit, 1);
    let lines: Vec<Value> = ran
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 10);
    for line in &lines {
        assert_eq!(line["schema"], json!("snaptrak.capture/1"));
        assert_fields(line, &["captures", "refused"]);
    }
    let captured = lines.iter().filter(|line| line["captures"].as_array().unwrap().len() == 1).count();
    let refused = lines.iter().filter(|line| line["refused"].as_array().unwrap().len() == 1).count();
    assert_eq!((captured, refused), (9, 1));
}

#[test]
fn what_a_person_says_of_a_capture_is_kept() {
    let place = Place::with_store();
    let file = place.file("pump.jpg", &jpeg());
    let (exit, answer) = place.json([
        "capture",
        file.to_str().unwrap(),
        "--kind",
        "scan",
        "--note",
        "leaks",
        "--tag",
        "pump",
        "--tag",
        "north",
        "--project",
        "P-7",
        "--location",
        "-33.8,151.2,12.5",
    ]);
    assert_eq!(exit, 0);
    let (_, shown) = place.json(["show", answer["captures"][0]["id"].as_str().unwrap()]);
    let metadata = &shown["metadata"];
    assert_eq!(metadata["kind"], json!("scan"));
    assert_eq!(metadata["note"], json!("leaks"));
    assert_eq!(metadata["tags"], json!(["pump", "north"]));
    assert_eq!(metadata["project"], json!("P-7"));
    assert_eq!(metadata["location"], json!({"latitude": -33.8, "longitude": 151.2, "accuracy_m": 12.5}));
    assert_eq!(metadata["file_name"], json!("pump.jpg"));
}

#[test]
fn a_note_answers_as_a_capture_does() {
    let place = Place::with_store();
    let text = "Ventil undicht — prüfen";
    let (exit, answer) = place.json(["note", text, "--tag", "valve"]);
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.capture/1")));
    let entry = &answer["captures"][0];
    assert_eq!(entry["kind"], json!("note"));
    assert_eq!(entry["bytes"], json!(text.len()));
    assert_eq!(entry["sha256"], json!(sha256_hex(text.as_bytes())));
    assert_fields(entry, &["id", "asset_id", "state"]);
    assert_eq!(answer["refused"], json!([]));

    let from_stdin =
        run(place.program(["note", "-", "--json"]).stdin(File::open(place.file("text", b"typed")).unwrap()));
    let answer: Value = serde_json::from_slice(&from_stdin.stdout).unwrap();
    assert_eq!(answer["captures"][0]["sha256"], json!(sha256_hex(b"typed")));
    assert_fails(|| place.program(["note", ""]), 1, "empty_file");
}

#[test]
fn too_much_is_refused_before_anything_is_taken_in() {
    let place = Place::with_store();
    let file = place.file("file", b"bytes");
    let long = "x".repeat(201);
    let words = ["capture", file.to_str().unwrap(), "--tag", &long].map(str::to_owned);
    assert_fails(|| place.program(&words), 2, "invalid_argument");
    assert_eq!(place.json(["list"]).1["captures"], json!([]));
}

/// Four gigabytes of holes cost time, not memory: the program must not hold the file.
#[test]
fn a_sparse_file_of_four_gigabytes_is_captured() {
    const BYTES: u64 = 4 << 30;
    let place = Place::with_store();
    let path = place.path("sparse");
    File::create(&path).unwrap().set_len(BYTES).unwrap();
    let entry = place.capture(&path);
    assert_eq!((&entry["bytes"], &entry["kind"]), (&json!(BYTES), &json!("file")));
    let (_, shown) = place.json(["show", entry["id"].as_str().unwrap()]);
    assert_eq!(shown["assets"][0]["pieces"].as_array().unwrap().len(), 128);
}
