//! The main job, from the first command to a verified receipt.

#![allow(clippy::unwrap_used)]

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use snaptrak_driver::{Account, Captured, Client, EMAIL, PASSWORD, Station, captures};
use snaptrak_e2e::sha256_of;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The fingerprint of the organisation's root key, from what the server says of itself.
fn root_fingerprint(url: &str) -> String {
    let bundle = snaptrak_driver::get(url, "/v1/trust").unwrap();
    let body = STANDARD.decode(bundle["body"].as_str().unwrap()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let root = STANDARD.decode(body["root"]["public"].as_str().unwrap()).unwrap();
    digest(&SHA256, &root).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sign_up(station: &Station, trust_root: &str) -> snaptrak_driver::Answer {
    let password = station.password_file();
    let (url, password) = (station.url(), password.to_string_lossy().into_owned());
    let account = ["--server", &url, "--email", EMAIL, "--password-file", &password, "--trust-root", trust_root];
    station.client.ask(&[&["sign-up"], &account[..]].concat()).unwrap()
}

fn original(client: &Client, id: &str) -> Value {
    let shown = client.tell(&["show", id]).unwrap();
    let assets = shown["assets"].as_array().unwrap();
    assets.iter().find(|asset| asset["rendition"] == "original").unwrap().clone()
}

fn why(client: &Client, capture: &Captured) -> Value {
    client.tell(&["why", &capture.id]).unwrap()
}

/// The envelope beside a capture's pieces.
fn envelope(client: &Client, capture: &Captured) -> Value {
    let piece = original(client, &capture.id)["pieces"][0]["path"].as_str().unwrap().to_owned();
    serde_json::from_slice(&fs::read(Path::new(&piece).with_file_name("envelope.json")).unwrap()).unwrap()
}

/// Real pictures of every kind, one of them turned, one large, one that cannot be decoded here and one that must not be.
const PICTURES: [&str; 7] = [
    "astronaut.png",
    "coffee_turned.jpg",
    "plumeria.webp",
    "hopper_turned_6.jpg",
    "hopper_turned_8.webp",
    "retina.jpg",
    "pug.heic",
];

#[test]
fn captured_offline_understood_on_the_spot_and_brought_home() {
    let mut station = Station::new().unwrap();
    station.start_server(&[]).unwrap();
    enrolment_believes_only_the_given_root(&station);
    station.stop_server();

    let files = files(&station);
    let taken = capture_everything(&station, &files);
    understand(&station, &taken);
    nothing_moves_without_a_network(&station, &taken);

    station.start_server(&[]).unwrap();
    let report = station.client.ask(&["sync"]).unwrap();
    assert_eq!(report.code, 0, "what analysing parked is not sync's: {}", report.json);
    assert_eq!(report.json["verified"], taken.len());
    assert_eq!(report.json["bytes_resent"], 0);
    station.check_held(&taken).unwrap();

    both_sides_hold_the_same_sealed_bytes(&station, &taken);
    originals_come_back_byte_for_byte(&station, &taken, &files);
    what_was_found_is_drawn(&station, &taken);
    receipts_hold_offline(&station, taken.len());
    tink_opens_what_was_exported(&station, &taken, &files);

    let again = station.client.tell(&["sync"]).unwrap();
    assert_eq!((&again["bytes_sent"], &again["verified"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!((&again["stopped_because"], &again["left"]), (&json!("done"), &json!(0)), "{again}");
}

fn enrolment_believes_only_the_given_root(station: &Station) {
    let root = root_fingerprint(&station.url());
    let wrong = root.chars().rev().collect::<String>();
    let refused = sign_up(station, &wrong);
    assert_eq!((refused.code, &refused.json["code"]), (1, &json!("trust_not_chained")), "{}", refused.json);
    assert_eq!(station.client.ask(&["sync"]).unwrap().json["stopped_because"], "not_enrolled");
    // The same e-mail: a refusal must not leave an account behind.
    let enrolled = sign_up(station, &root);
    assert_eq!(enrolled.code, 0, "{}", enrolled.json);
    for field in ["account", "device", "organisation"] {
        assert_eq!(enrolled.json[field].as_str().unwrap().len(), 36, "{field} is a UUID");
    }
}

fn files(station: &Station) -> Vec<PathBuf> {
    let picture = |name: &&str| station.cache.picture(name).unwrap();
    let mut files: Vec<PathBuf> = PICTURES.iter().map(picture).collect();
    files.push(station.cache.malformed("pixel_bomb.png").unwrap());
    files.push(station.cache.picture("bunny.mp4").unwrap());
    files
}

/// Captures the files in the order given, and a note after them.
fn capture_everything(station: &Station, files: &[PathBuf]) -> Vec<Captured> {
    let mut taken = station.capture(files).unwrap();
    for (capture, file) in taken.iter().zip(files) {
        assert_eq!(capture.sha256, sha256_of(file), "{}", file.display());
        let kind = if file.ends_with("bunny.mp4") { "video" } else { "photo" };
        assert_eq!(capture.kind, kind, "{}", file.display());
    }
    let note = station.client.tell(&["note", "Water stain below the third window."]).unwrap();
    assert_eq!(captures(&note)[0].kind, "note");
    taken.extend(captures(&note));
    taken
}

fn understand(station: &Station, taken: &[Captured]) {
    let analysed = station.client.ask(&["analyse"]).unwrap();
    assert_eq!((analysed.code, &analysed.json["parked"]), (6, &json!(2)), "{}", analysed.json);
    assert_eq!(analysed.json["analysed"], PICTURES.len() - 1);
    assert_eq!(analysed.json["left"], 0);
    let status = station.client.tell(&["status"]).unwrap();
    let parked = status["parked"].as_array().unwrap();
    let code = |capture: &Captured| {
        parked.iter().find(|parked| parked["id"] == capture.id.as_str()).map(|parked| parked["code"].clone())
    };
    assert_eq!(code(&taken[6]), Some(json!("decoder_missing")), "HEIC: {status}");
    assert_eq!(code(&taken[7]), Some(json!("picture_too_large")), "the bomb: {status}");
    let portrait = station.client.tell(&["show", &taken[0].id]).unwrap();
    let tasks: Vec<&Value> = portrait["findings"].as_array().unwrap().iter().map(|found| &found["task"]).collect();
    assert!(tasks.contains(&&json!("detect")) && tasks.contains(&&json!("find_faces")), "{tasks:?}");
    let faces = portrait["findings"].as_array().unwrap().iter().find(|found| found["task"] == "find_faces").unwrap();
    assert_eq!(faces["boxes"].as_array().unwrap().len(), 1, "one astronaut: {faces}");
    // A second run has nothing to do.
    let again = station.client.tell(&["analyse"]).unwrap();
    assert_eq!((&again["analysed"], &again["parked"], &again["left"]), (&json!(0), &json!(0), &json!(0)));
}

fn nothing_moves_without_a_network(station: &Station, taken: &[Captured]) {
    let offline = station.client.ask(&["sync"]).unwrap();
    assert_eq!((offline.code, &offline.json["stopped_because"]), (5, &json!("offline")), "{}", offline.json);
    assert_eq!((&offline.json["left"], &offline.json["bytes_sent"]), (&json!(taken.len()), &json!(0)));
    let status = station.client.tell(&["status"]).unwrap();
    assert_eq!(status["waiting"], taken.len());
    assert!(status["waiting_bytes"].as_u64().unwrap() >= taken.iter().map(|capture| capture.bytes).sum());
    for capture in taken {
        let why = why(&station.client, capture);
        assert!(["saved", "prepared", "queued"].contains(&why["state"].as_str().unwrap()), "{why}");
        assert_eq!((&why["code"], &why["unblocked_by"]), (&json!("offline"), &json!("network")), "{why}");
        let shown = station.client.tell(&["show", &capture.id]).unwrap();
        let here = |step: &&Value| step["step"] == "analyse" || step["step"] == "thumbnail";
        for step in shown["steps"].as_array().unwrap().iter().filter(|step| !here(step)) {
            assert_eq!(step["attempts"], 0, "offline costs no attempt: {step}");
        }
    }
}

fn both_sides_hold_the_same_sealed_bytes(station: &Station, taken: &[Captured]) {
    let account = station.account().unwrap();
    let listed = station.client.tell(&["list", "--state", "verified"]).unwrap();
    assert_eq!(listed["captures"].as_array().unwrap().len(), taken.len());
    for capture in taken {
        let here = original(&station.client, &capture.id);
        let there = account.get(&format!("/v1/captures/{}", capture.id)).unwrap();
        let pieces = |asset: &Value| -> Vec<Value> {
            let pieces = asset["pieces"].as_array().unwrap().iter();
            pieces.map(|piece| json!([piece["index"], piece["bytes"], piece["sha256"]])).collect()
        };
        assert_eq!(pieces(&here), pieces(&there["assets"][0]));
        for piece in here["pieces"].as_array().unwrap() {
            let Some(path) = piece["path"].as_str() else { continue };
            assert_eq!(sha256_of(Path::new(path)), piece["sha256"].as_str().unwrap());
        }
        let found = |shown: &Value| shown["findings"].as_array().map_or(0, Vec::len);
        assert_eq!(found(&there), found(&station.client.tell(&["show", &capture.id]).unwrap()), "{there}");
    }
}

fn originals_come_back_byte_for_byte(station: &Station, taken: &[Captured], files: &[PathBuf]) {
    let out = station.path("viewed");
    for (capture, file) in taken.iter().zip(files) {
        let viewed = station.client.tell(&["view", &capture.id, "-o", out.to_str().unwrap()]).unwrap();
        assert_eq!(viewed["sha256"], capture.sha256.as_str());
        assert!(fs::read(&out).unwrap() == fs::read(file).unwrap(), "{}", file.display());
    }
    let note = taken.last().unwrap();
    station.client.tell(&["view", &note.id, "-o", out.to_str().unwrap()]).unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "Water stain below the third window.");
}

fn what_was_found_is_drawn(station: &Station, taken: &[Captured]) {
    let (png, jpeg) = (station.path("drawn.png"), station.path("drawn.jpg"));
    station.client.tell(&["annotate", &taken[0].id, "-o", png.to_str().unwrap()]).unwrap();
    let drawn = fs::read(&png).unwrap();
    assert_eq!(&drawn[..8], b"\x89PNG\r\n\x1a\n");
    // Width and height of the IHDR chunk: those of the original.
    assert_eq!(drawn[16..24], [512_u32.to_be_bytes(), 512_u32.to_be_bytes()].concat());
    station.client.tell(&["annotate", &taken[1].id, "-o", jpeg.to_str().unwrap()]).unwrap();
    assert_eq!(&fs::read(&jpeg).unwrap()[..2], [0xff, 0xd8]);
    let note = station.client.ask(&["annotate", &taken.last().unwrap().id, "-o", png.to_str().unwrap()]).unwrap();
    assert_eq!((note.code, &note.json["code"]), (1, &json!("not_a_picture")));
    assert!(fs::read(&png).unwrap() == drawn, "a refusal leaves the file that was there");
}

fn receipts_hold_offline(station: &Station, captures: usize) {
    let report = station.client.tell(&["verify"]).unwrap();
    for field in ["receipts", "signed", "countersigned"] {
        assert_eq!(report[field], captures, "{field}: {report}");
    }
    assert_eq!(report["chain_ok"], true);
    assert_eq!((&report["gaps"], &report["failures"]), (&json!([]), &json!([])));
}

fn tink_opens_what_was_exported(station: &Station, taken: &[Captured], files: &[PathBuf]) {
    let key = station.path("key.json");
    for (capture, file) in taken.iter().zip(files).take(2) {
        let arguments = ["export-key", &capture.id, "-o", key.to_str().unwrap()];
        assert_eq!(station.client.ask(&arguments).unwrap().code, 2, "a key leaves only with --yes");
        let exported = station.client.tell(&[&arguments[..], &["--yes"]].concat()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/open_with_tink.py");
        let mut python = Command::new(station.cache.judges_python().unwrap());
        let mut child = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        serde_json::to_writer(child.stdin.take().unwrap(), &exported).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.stdout == fs::read(file).unwrap(), "Tink opens {}", file.display());
    }
}

#[test]
fn what_was_captured_before_enrolment_is_wrapped_for_the_organisation_later() {
    let mut station = Station::new().unwrap();
    let photo = station.cache.picture("coffee_turned.jpg").unwrap();
    let mut taken = station.capture(&[&photo]).unwrap();
    taken.extend(captures(&station.client.tell(&["note", "before anyone signed up"]).unwrap()));
    let recipients = |envelope: &Value| -> Vec<String> {
        let wraps = envelope["wraps"].as_array().unwrap().iter();
        wraps.map(|wrap| wrap["recipient"].as_str().unwrap().to_owned()).collect()
    };
    let before = envelope(&station.client, &taken[0]);
    assert_eq!(recipients(&before), ["device"]);
    for capture in &taken {
        let why = why(&station.client, capture);
        assert_eq!((&why["code"], &why["unblocked_by"]), (&json!("not_enrolled"), &json!("sign_in")), "{why}");
    }
    let piece_before = original(&station.client, &taken[0].id)["pieces"][0].clone();

    station.start_server(&[]).unwrap();
    station.enrol(&station.url()).unwrap();
    station.bring_everything().unwrap();
    station.check_held(&taken).unwrap();
    let after = envelope(&station.client, &taken[0]);
    assert!(recipients(&after).contains(&"organisation".to_owned()), "{:?}", recipients(&after));
    let piece_after = original(&station.client, &taken[0].id)["pieces"][0].clone();
    assert_eq!(piece_before["sha256"], piece_after["sha256"], "sealed once: a new wrap changes no sealed byte");
}

#[test]
fn two_accounts_live_side_by_side_and_see_only_their_own() {
    let station = Station::enrolled(&[]).unwrap();
    let second_folder = station.path("second");
    fs::create_dir(&second_folder).unwrap();
    let second = Client::new(station.programs(), &second_folder).unwrap();
    second.tell(&["init"]).unwrap();
    let (url, password) = (station.url(), station.password_file().to_string_lossy().into_owned());
    let account = ["--server", &url, "--email", "other@example.org", "--password-file", &password];
    let taken_email = second.ask(&["sign-up", "--server", &url, "--email", EMAIL, "--password-file", &password]);
    assert_eq!(taken_email.unwrap().json["code"], "email_taken");
    // One store, one account: a second one is refused before it is made.
    let second_account = station.client.ask(&[&["sign-up"], &account[..]].concat()).unwrap();
    assert_eq!(second_account.json["code"], "invalid_argument", "{}", second_account.json);
    second.tell(&[&["sign-up"], &account[..]].concat()).unwrap();

    let ours = captures(&station.client.tell(&["note", "mine"]).unwrap());
    let theirs = captures(&second.tell(&["note", "theirs"]).unwrap());
    assert_eq!(station.client.ask(&["sync"]).unwrap().code, 0);
    assert_eq!(second.ask(&["sync"]).unwrap().code, 0);
    station.check_held(&ours).unwrap();
    let other = Account::sign_in(&url, "other@example.org", PASSWORD).unwrap();
    let ids = |account: &Account| -> Vec<Value> {
        account.captures().unwrap().iter().map(|capture| capture["id"].clone()).collect()
    };
    assert_eq!(ids(&station.account().unwrap()), [json!(ours[0].id)]);
    assert_eq!(ids(&other), [json!(theirs[0].id)]);
    assert!(other.get(&format!("/v1/captures/{}", ours[0].id)).is_err(), "another account's capture is not there");
    assert_eq!(second.ask(&["show", &ours[0].id]).unwrap().json["code"], "not_found");
}

/// The database gone, the passphrase forgotten: what lies in the folder and the organisation's private key give everything
/// back, to a script that uses none of our software.
#[test]
fn nobody_is_locked_in() {
    let mut station = Station::new().unwrap();
    let note = |text: &str| captures(&station.client.tell(&["note", text]).unwrap());
    let mut taken = note("written before anyone enrolled");
    let photo = station.cache.picture("coffee_turned.jpg").unwrap();
    taken.extend(station.capture(&[&photo]).unwrap());
    station.start_server(&[]).unwrap();
    station.enrol(&station.url()).unwrap();
    station.bring_everything().unwrap();
    // In pieces, and never sent: wrapped for the organisation as it was taken.
    let large = station.write_noise("large", 33_554_432 + 1, 1).unwrap();
    taken.extend(station.capture(&[large]).unwrap());
    taken.extend(captures(&station.client.tell(&["note", "written after"]).unwrap()));
    station.stop_server();

    let key = station.path("upload-key.json");
    let mut export = Command::new(station.programs().server());
    export.args(["export-upload-key", "--yes", "--data"]).arg(station.server_data()).arg("-o").arg(&key);
    assert!(export.output().unwrap().status.success());
    for gone in ["database", "keyset"] {
        fs::remove_dir_all(station.client.store.join(gone)).unwrap();
    }
    let out = station.path("opened");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/open_store.py");
    let mut python = Command::new(station.cache.judges_python().unwrap());
    let output = python.arg(script).arg(&station.client.store).arg(&key).arg(&out).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for capture in &taken {
        assert_eq!(sha256_of(&out.join(&capture.asset_id)), capture.sha256, "{}: {said}", capture.kind);
    }
}
