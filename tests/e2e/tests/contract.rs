//! Every field that scripts rely on, of every command: the table of the command line's contract.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use snaptrak_driver::{EMAIL, Station, captures};
use snaptrak_e2e::lacking;
use std::{
    io::Write,
    process::{Command, Stdio},
};

const CAPTURE: &[&str] = &[
    "captures[].id",
    "captures[].kind",
    "captures[].asset_id",
    "captures[].bytes",
    "captures[].sha256",
    "captures[].state",
    "refused",
];
const SHOW: &[&str] = &[
    "assets[].asset_id",
    "assets[].rendition",
    "assets[].state",
    "assets[].bytes",
    "assets[].sha256",
    "assets[].pieces[].index",
    "assets[].pieces[].path",
    "assets[].pieces[].bytes",
    "assets[].pieces[].sha256",
    "findings[].task",
    "findings[].model_id",
    "findings[].model_sha256",
    "findings[].engine",
    "findings[].accelerator_asked",
    "findings[].accelerator_ran",
    "findings[].ms.decode",
    "findings[].ms.pack",
    "findings[].ms.run",
    "findings[].ms.post",
    "findings[].text",
    "steps[].step",
    "steps[].state",
    "steps[].attempts",
    "steps[].code",
];
const BOXES: &[&str] = &["boxes[].label", "boxes[].score", "boxes[].x", "boxes[].y", "boxes[].w", "boxes[].h"];
const LIST: &[&str] = &[
    "captures[].id",
    "captures[].kind",
    "captures[].state",
    "captures[].created_ms",
    "captures[].bytes",
    "captures[].sha256",
    "next",
];
const STATUS: &[&str] = &[
    "by_state.verified",
    "waiting",
    "waiting_bytes",
    "oldest_ms",
    "parked[].id",
    "parked[].code",
    "store.schema_version",
    "store.cipher_version",
    "store.bytes",
];
const WHY: &[&str] = &["state", "code", "since_ms", "next_try_ms", "unblocked_by", "server_status"];
const SYNC: &[&str] =
    &["requests", "bytes_sent", "bytes_resent", "received", "verified", "parked", "left", "stopped_because"];
const VERIFY: &[&str] = &["receipts", "signed", "countersigned", "chain_ok", "gaps", "failures"];
const EXPORT: &[&str] = &["keyset", "pieces[].path", "pieces[].associated_data_b64"];
const SERVER_CAPTURE: &[&str] = &[
    "assets[].id",
    "assets[].rendition",
    "assets[].sha256",
    "assets[].bytes",
    "assets[].state",
    "assets[].pieces[].index",
    "assets[].pieces[].bytes",
    "assets[].pieces[].sha256",
];

#[test]
fn every_command_answers_with_the_fields_that_scripts_rely_on() {
    let mut station = Station::new().unwrap();
    station.start_server(&[]).unwrap();
    let (url, password) = (station.url(), station.password_file().to_string_lossy().into_owned());
    let photo = station.cache.picture("astronaut.png").unwrap().to_string_lossy().into_owned();
    let heic = station.cache.picture("pug.heic").unwrap().to_string_lossy().into_owned();
    let out = station.path("out.png").to_string_lossy().into_owned();
    let client = &station.client;
    let account = ["--server", &url, "--email", EMAIL, "--password-file", &password];
    let mut wrong = Vec::new();
    let mut answers = |arguments: &[&str], exit: i32, schema: &str, fields: &[&str]| -> Value {
        let answer = client.ask(arguments).unwrap();
        let lacking = lacking(&answer.json, fields);
        if answer.code != exit || answer.json["schema"] != schema || !lacking.is_empty() {
            wrong.push(format!("{} exits {}, lacks {lacking:?}: {}", arguments[0], answer.code, answer.json));
        }
        answer.json
    };
    const ACCOUNT: &[&str] = &["account", "device", "organisation"];
    answers(&[&["sign-up"], &account[..]].concat(), 0, "snaptrak.sign_up/1", ACCOUNT);
    answers(&[&["sign-in"], &account[..]].concat(), 0, "snaptrak.sign_in/1", ACCOUNT);
    let labels = ["--note", "a note", "--tag", "one", "--tag", "two", "--project", "p", "--location", "47.4,8.5,10"];
    let capture = answers(&[&["capture", &photo, &heic], &labels[..]].concat(), 0, "snaptrak.capture/1", CAPTURE);
    let id = captures(&capture)[0].id.clone();
    let refused = answers(&["capture", "/dev/null"], 1, "snaptrak.capture/1", &["refused[].path", "refused[].code"]);
    assert_eq!(refused["captures"].as_array().map(Vec::len), Some(0));
    answers(&["note", "a note"], 0, "snaptrak.capture/1", CAPTURE);
    answers(&["analyse"], 6, "snaptrak.analyse/1", &["analysed", "parked", "left"]);
    let shown = answers(&["show", &id], 0, "snaptrak.show/1", SHOW);
    let with_boxes = shown["findings"].as_array().unwrap().iter().find(|found| found["task"] == "find_faces").unwrap();
    assert_eq!(lacking(with_boxes, BOXES), Vec::<String>::new());
    answers(&["why", &id], 0, "snaptrak.why/1", WHY);
    answers(&["sync"], 0, "snaptrak.sync/1", SYNC);
    answers(&["sync", "--budget-ms", "1000", "--budget-bytes", "1000000"], 0, "snaptrak.sync/1", SYNC);
    answers(&["list", "--state", "verified", "--limit", "2"], 0, "snaptrak.list/1", LIST);
    answers(&["status"], 0, "snaptrak.status/1", STATUS);
    answers(&["why", &id], 0, "snaptrak.why/1", WHY);
    answers(&["view", &id, "-o", &out], 0, "snaptrak.view/1", &["sha256"]);
    answers(&["annotate", &id, "-o", &out], 0, "snaptrak.annotate/1", &[]);
    answers(&["verify"], 0, "snaptrak.verify/1", VERIFY);
    answers(&["export-key", &id, "--rendition", "original", "-o", &out, "--yes"], 0, "snaptrak.export_key/1", EXPORT);
    const ERROR: &[&str] = &["code", "message", "next"];
    answers(&["init"], 1, "snaptrak.error/1", ERROR);
    answers(&["show", "0193e6f6-0000-7000-8000-000000000000"], 1, "snaptrak.error/1", ERROR);
    answers(&["show", "no id"], 2, "snaptrak.error/1", ERROR);
    answers(&["unheard-of"], 2, "snaptrak.error/1", ERROR);
    let held = station.account().unwrap().get(&format!("/v1/captures/{id}")).unwrap();
    assert_eq!(lacking(&held, SERVER_CAPTURE), Vec::<String>::new(), "{held}");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_line_is_printed_the_moment_each_capture_is_durable() {
    let station = Station::new().unwrap();
    let photos = ["astronaut.png", "chelsea.png"].map(|name| station.cache.picture(name).unwrap());
    let mut command = station.client.command(&["capture", "--jsonl", "/dev/null"]);
    let output = command.args(&photos).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().all(|line| line["schema"] == "snaptrak.capture/1"), "{text}");
    assert_eq!(lines.iter().flat_map(captures).count(), 2);
    assert_eq!(lines.iter().filter(|line| line["refused"][0]["code"] == "is_a_device").count(), 1);
}

#[test]
fn a_recording_tells_each_piece_and_becomes_a_capture() {
    const BYTES: usize = 40 * 1024 * 1024;
    let station = Station::new().unwrap();
    let mut command = station.client.command(&["record", "--kind", "audio", "--note", "a machine", "--jsonl"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sender = std::thread::spawn(move || stdin.write_all(&vec![7; BYTES]).unwrap());
    let output = child.wait_with_output().unwrap();
    sender.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pieces: Vec<u64> = lines.iter().filter_map(|line| line["piece"].as_u64()).collect();
    assert_eq!(pieces, [0, 1], "{text}");
    let taken: Vec<_> = lines.iter().flat_map(captures).collect();
    assert_eq!((taken.len(), taken[0].kind.as_str(), taken[0].bytes), (1, "audio", BYTES as u64), "{text}");
    let piece_bytes: u64 =
        lines.iter().filter(|line| line["piece"].is_u64()).map(|line| line["bytes"].as_u64().unwrap()).sum();
    assert!(piece_bytes >= BYTES as u64, "{text}");
}

#[test]
fn a_list_is_read_page_by_page() {
    let station = Station::new().unwrap();
    let files: Vec<_> = (0..7).map(|number| station.write(&format!("{number}"), &[number; 10]).unwrap()).collect();
    let mut taken: Vec<String> = station.capture(&files).unwrap().into_iter().map(|capture| capture.id).collect();
    let mut listed = Vec::new();
    let mut arguments = vec!["list".to_owned(), "--limit".to_owned(), "3".to_owned()];
    loop {
        let page = station.client.tell(&arguments).unwrap();
        let ids = page["captures"].as_array().unwrap().iter().map(|capture| capture["id"].as_str().unwrap().to_owned());
        listed.extend(ids);
        let Some(next) = page["next"].as_str() else { break };
        arguments.truncate(3);
        arguments.extend(["--after".to_owned(), next.to_owned()]);
    }
    listed.sort();
    taken.sort();
    assert_eq!(listed, taken, "each once");
    let none = station.client.tell(&["list", "--state", "verified"]).unwrap();
    assert_eq!((&none["captures"], &none["next"]), (&serde_json::json!([]), &Value::Null));
}

/// Options that a script may give in the environment instead, help that a person finds, and completions that a shell loads.
#[test]
fn the_environment_names_the_store_and_every_shell_completes() {
    let station = Station::new().unwrap();
    let mut command = Command::new(station.programs().snaptrak());
    command.env("SNAPTRAK_STORE", &station.client.store);
    command.env("SNAPTRAK_PASSPHRASE_FILE", station.path("passphrase"));
    let output = command.args(["status", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(station.programs().snaptrak()).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{shell}");
    }
    let help = Command::new(station.programs().snaptrak()).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("capture"));
}
