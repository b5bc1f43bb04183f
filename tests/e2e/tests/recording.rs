//! Recordings, watched from outside while they go on.

#![allow(clippy::unwrap_used)]

use rustix::process::Signal;
use serde_json::{Value, json};
use snaptrak_driver::{Account, Captured, Station, captures, patience};
use snaptrak_e2e::{Ended, Recorder};
use std::{
    fs,
    io::Write,
    process::{Output, Stdio},
};

/// What the source gives at a time: more than a segment, so that each part reaches a file before its piece is finished.
const PART_BYTES: usize = 150_001;
const PARTS: usize = 4;

/// Every original that the server knows of.
fn originals(account: &Account) -> Vec<Value> {
    let captures = account.captures().unwrap();
    let assets = captures.iter().flat_map(|capture| capture["assets"].as_array().unwrap());
    assets.filter(|asset| asset["rendition"] == "original").cloned().collect()
}

/// Whole pieces of the one recording that the server holds.
fn pieces_held(account: &Account) -> usize {
    originals(account).first().map_or(0, |original| original["pieces"].as_array().unwrap().len())
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn pieces_reach_the_server_before_the_input_ends() {
    let station = Station::enrolled(&[]).unwrap();
    let account = station.account().unwrap();
    let source = station.write_noise("source", (PARTS * PART_BYTES) as u64, 11).unwrap();
    let bytes = fs::read(&source).unwrap();
    let arguments = ["record", "--kind", "video", "--sync", "--piece-ms", "300", "--jsonl"];
    let mut child = station.client.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (before, part) in bytes.chunks(PART_BYTES).enumerate() {
        stdin.write_all(part).unwrap();
        // A part whose piece the server holds is followed by the next one: the input goes on all the time.
        assert!(patience::until(|| pieces_held(&account) > before), "part {before} stays on the device");
    }
    let held = originals(&account);
    assert_eq!(held.len(), 1);
    assert_eq!(held[0]["sha256"], Value::Null, "nobody knows its end yet: {}", held[0]);
    assert_eq!(child.try_wait().unwrap(), None, "its input has not ended");

    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(0), "{lines:?}");
    let result = lines.last().unwrap();
    let taken = captures(result);
    assert_eq!((taken[0].bytes, &result["captures"][0]["ended_because"]), (bytes.len() as u64, &json!("input_ended")));
    assert_eq!(
        (&result["sync"]["verified"], &result["sync"]["stopped_because"]),
        (&json!(1), &json!("done")),
        "{result}"
    );
    assert!(result["sync"]["bytes_sent"].as_u64().unwrap() > bytes.len() as u64, "of all windows: {result}");
    let told: Vec<u64> =
        lines.iter().filter(|line| line["piece"].is_u64()).filter_map(|line| line["bytes"].as_u64()).collect();
    assert_eq!(told.iter().sum::<u64>(), bytes.len() as u64, "each piece was told: {lines:?}");
    let sent = (&result["sync"]["received"], &result["sync"]["bytes_resent"]);
    assert_eq!(sent, (&json!(told.len()), &json!(0)), "each piece was sent once: {result}");

    station.check_held(&taken).unwrap();
    let out = station.path("viewed");
    let viewed = station.client.tell(&["view", &taken[0].id, "-o", out.to_str().unwrap()]).unwrap();
    assert_eq!(viewed["sha256"], taken[0].sha256.as_str());
    assert!(fs::read(&out).unwrap() == bytes);
    let again = station.client.tell(&["sync"]).unwrap();
    assert_eq!((&again["bytes_sent"], &again["left"]), (&json!(0), &json!(0)), "sent once: {again}");
}

#[test]
fn a_recording_ends_where_it_was_told_to_and_keeps_that_much() {
    const BYTES_MAX: usize = 200_000;
    let station = Station::new().unwrap();
    let bytes = fs::read(station.write_noise("source", 3 * BYTES_MAX as u64, 12).unwrap()).unwrap();
    let arguments = ["record", "--kind", "audio", "--max-bytes", &BYTES_MAX.to_string()];
    let mut child = station.client.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    // Not closed before the end of the process: the limit ends it, not the input.
    let mut stdin = child.stdin.take().unwrap();
    let sender = std::thread::spawn(move || {
        // Whoever has enough reads no more.
        let _ = stdin.write_all(&bytes);
        (stdin, bytes)
    });
    let output = child.wait_with_output().unwrap();
    let (_stdin, bytes) = sender.join().unwrap();
    let lines = lines(&output);
    assert_eq!((output.status.code(), lines.len()), (Some(0), 1), "{lines:?}");
    assert_eq!(lines[0]["captures"][0]["ended_because"], "max_bytes", "{}", lines[0]);
    let taken = captures(&lines[0]);
    let out = station.path("viewed");
    station.client.tell(&["view", &taken[0].id, "-o", out.to_str().unwrap()]).unwrap();
    assert!(fs::read(&out).unwrap() == bytes[..BYTES_MAX]);
}

/// What was kept of a recording is the beginning of its source, in the store and at the server.
fn assert_is_a_beginning_that_the_server_holds(station: &Station, ended: &Ended, source: &[u8]) {
    let taken: Vec<Captured> = captures(ended.result());
    let out = station.path("viewed");
    station.client.tell(&["view", &taken[0].id, "-o", out.to_str().unwrap()]).unwrap();
    let kept = fs::read(&out).unwrap();
    assert_eq!((kept.len() as u64, ended.told_bytes()), (taken[0].bytes, taken[0].bytes), "each piece was told once");
    assert!(source.starts_with(&kept), "{} bytes are not what was fed", kept.len());
    station.bring_everything().unwrap();
    station.check_held(&taken).unwrap();
}

#[test]
fn a_recording_ends_after_its_time_however_slowly_it_is_fed() {
    const PART_BYTES: usize = 20_000;
    let station = Station::enrolled(&[]).unwrap();
    let source = fs::read(station.write_noise("source", 200 * PART_BYTES as u64, 13).unwrap()).unwrap();
    // A piece needs fifty milliseconds, so that the time is over long before the source is.
    let limits = ["--piece-ms", "50", "--max-ms", "3000", "--jsonl"];
    let mut recorder = Recorder::start(station.client.command(&[&["record", "--kind", "audio"], &limits[..]].concat()));
    let mut parts = source.chunks(PART_BYTES);
    while recorder.feed(parts.next().unwrap()) && recorder.has_told_everything() {}
    let ended = recorder.end();
    assert_eq!((ended.code, ended.words.as_str()), (0, ""));
    let entry = &ended.result()["captures"][0];
    assert_eq!((&entry["ended_because"], &entry["interrupted"]), (&json!("max_ms"), &json!(false)), "{entry}");
    assert_is_a_beginning_that_the_server_holds(&station, &ended, &source);
}

#[test]
fn a_signal_ends_a_recording_and_what_was_taken_is_brought_home() {
    let station = Station::enrolled(&[]).unwrap();
    // The second part is more than a pipe holds, so that some of it is taken, and no piece of it is finished.
    let source = fs::read(station.write_noise("source", 2_000_000, 14).unwrap()).unwrap();
    let arguments = ["record", "--kind", "video", "--piece-ms", "300", "--jsonl"];
    let mut recorder = Recorder::start(station.client.command(&arguments));
    assert!(recorder.feed(&source[..PART_BYTES]) && recorder.has_told_everything());
    assert!(recorder.feed(&source[PART_BYTES..]));
    recorder.signal(Signal::TERM);
    let ended = recorder.end();
    assert_eq!(ended.code, 130, "{}", ended.words);
    let entry = &ended.result()["captures"][0];
    assert_eq!(entry["interrupted"], json!(true), "{entry}");
    assert!(entry["bytes"].as_u64().unwrap() > PART_BYTES as u64, "{entry}");
    assert_is_a_beginning_that_the_server_holds(&station, &ended, &source);
}

/// Taken back while the server holds some of it: nothing more goes, nothing stays here but the word that it was so.
#[test]
fn a_recording_that_is_taken_back_leaves_nothing_here() {
    let station = Station::enrolled(&[]).unwrap();
    let account = station.account().unwrap();
    let source = fs::read(station.write_noise("source", 2 * PART_BYTES as u64, 15).unwrap()).unwrap();
    let arguments = ["record", "--kind", "video", "--sync", "--cancel-on-signal", "--piece-ms", "300", "--jsonl"];
    let mut recorder = Recorder::start(station.client.command(&arguments));
    assert!(recorder.feed(&source[..PART_BYTES]));
    assert!(patience::until(|| pieces_held(&account) > 0), "a piece reaches the server");
    assert!(recorder.feed(&source[PART_BYTES..]));
    recorder.signal(Signal::INT);
    let ended = recorder.end();
    let result = ended.result();
    assert_eq!((ended.code, &result["captures"]), (130, &json!([])), "{result} {}", ended.words);
    let id = result["cancelled"].as_str().unwrap();
    let why = station.client.tell(&["why", id]).unwrap();
    assert_eq!((&why["state"], &why["code"]), (&json!("cancelled"), &json!("cancelled")), "{why}");
    for folder in ["incoming", "assets"] {
        let files = snaptrak_e2e::contents(&station.client.store.join(folder));
        assert!(files.is_empty(), "{folder} holds {files:?}");
    }
    let out = station.path("viewed");
    assert_ne!(station.client.ask(&["view", id, "-o", out.to_str().unwrap()]).unwrap().code, 0);
    assert!(!out.exists());

    // The queue goes on without it.
    let note = captures(&station.client.tell(&["note", "goes on"]).unwrap());
    let windows = station.bring_everything().unwrap();
    let last = &windows.last().unwrap().json;
    assert_eq!((&last["left"], &last["stopped_because"]), (&json!(0), &json!("done")), "{last}");
    station.check_held(&note).unwrap();
    assert_eq!(originals(&account).iter().filter(|original| original["sha256"].is_null()).count(), 1);
    let verified = station.client.tell(&["verify"]).unwrap();
    assert_eq!((&verified["chain_ok"], &verified["gaps"]), (&json!(true), &json!([])), "{verified}");
}
