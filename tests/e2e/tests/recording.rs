//! Recordings, watched from outside while they go on.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Account, Station, captures, patience};
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
