//! `record`: standard input, piece by piece.

use crate::program::{Place, Ran, assert_fails, assert_id, one_object, ran, run, sha256_hex};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Stdio},
};

/// Plaintext of a full piece.
const PIECE_BYTES: usize = 33_554_432;

fn lines(ran: &Ran) -> Vec<Value> {
    String::from_utf8_lossy(&ran.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_stream_becomes_a_capture_of_the_kind_that_was_said() {
    let place = Place::with_store();
    let input = place.file("input", b"sound");
    let recorded = |json: &str| {
        let mut program = place.program(["record", "--kind", "audio", "--note", "pump", json]);
        run(program.stdin(File::open(&input).unwrap()))
    };
    let (exit, answer) = one_object(recorded("--json"));
    assert_eq!((exit, &answer["schema"]), (0, &json!("snaptrak.capture/1")));
    let entry = &answer["captures"][0];
    assert_eq!((&entry["kind"], &entry["bytes"], &entry["state"]), (&json!("audio"), &json!(5), &json!("prepared")));
    assert_eq!(entry["sha256"], json!(sha256_hex(b"sound")));

    let lines = lines(&recorded("--jsonl"));
    assert_eq!((&lines[0]["piece"], &lines[0]["bytes"]), (&json!(0), &json!(5)), "{lines:?}");
    assert_eq!(lines[1]["captures"][0]["sha256"], json!(sha256_hex(b"sound")));
    assert_fails(|| place.program(["record", "--kind", "audio"]), 1, "empty_file");
}

/// A program that records and has made its first piece durable: the store is open.
fn recording(place: &Place) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut program = place.program(["record", "--kind", "video", "--jsonl"]);
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&vec![7; PIECE_BYTES + 1000]).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["piece"], &line["bytes"]), (&json!(0), &json!(PIECE_BYTES)));
    (child, stdout)
}

fn end(child: Child, mut stdout: BufReader<std::process::ChildStdout>) -> Ran {
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let mut ended = ran(child.wait_with_output().unwrap());
    ended.stdout = rest;
    ended
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let place = Place::with_store();
    let (mut child, stdout) = recording(&place);
    let id = "0193e6f6-0000-7000-8000-000000000000";
    let (store, into, out) = (place.store(), place.path("into"), place.path("out"));
    let (store, into, out) = (store.to_str().unwrap(), into.to_str().unwrap(), out.to_str().unwrap());
    let commands: [&[&str]; 12] = [
        &["list"],
        &["capture", "/dev/null"],
        &["purge"],
        &["pin", id],
        &["unpin", id],
        &["fetch", id],
        &["thumbnail", id, "-o", out],
        &["rotate-keys"],
        &["sign-out"],
        &["recover", "--from", store, "--into", into],
        &["recover", "--in-place"],
        &["bundle", "export", "--from", store, "-o", out],
    ];
    for words in commands {
        assert_fails(|| place.program(words), 8, "in_use");
    }
    assert!(!place.path("into").exists() && !place.path("out").exists());
    drop(child.stdin.take());
    let ended = end(child, stdout);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    let lines = lines(&ended);
    assert_eq!((&lines[0]["piece"], &lines[0]["bytes"]), (&json!(1), &json!(1000)));
    assert_eq!(lines[1]["captures"][0]["bytes"], json!(PIECE_BYTES + 1000));
}

#[test]
fn ctrl_c_ends_a_recording_and_keeps_it() {
    let place = Place::with_store();
    let (child, stdout) = recording(&place);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = end(child, stdout);
    assert_eq!(ended.exit, 130, "{}", ended.stderr);
    let last = lines(&ended).pop().unwrap();
    let entry = &last["captures"][0];
    assert!(entry["bytes"].as_u64().unwrap() >= PIECE_BYTES as u64);
    assert_eq!(entry["interrupted"], json!(true));
    assert_eq!(place.json(["list"]).1["captures"][0]["id"], entry["id"]);
}

/// A program that records and has taken most of a megabyte: more than a pipe holds without a reader (pipe(7): 64 KiB).
fn taking(place: &Place, words: &[&str]) -> Child {
    let mut program = place.program([&["record", "--kind", "video"], words].concat());
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&vec![9; 1 << 20]).unwrap();
    child
}

#[test]
fn a_person_is_told_that_a_signal_ended_it() {
    let place = Place::with_store();
    let child = taking(&place, &[]);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = ran(child.wait_with_output().unwrap());
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!((ended.exit, ended.stderr.as_str()), (130, ""));
    let listed = place.json(["list"]).1;
    assert!(said.contains(listed["captures"][0]["id"].as_str().unwrap()), "{said}");
    assert!(said.contains("ended: a signal ended it"), "{said}");
}

#[test]
fn a_recording_is_taken_back_by_a_signal_where_that_was_asked_for() {
    let place = Place::with_store();
    let child = taking(&place, &["--cancel-on-signal", "--json"]);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (exit, answer) = one_object(ran(child.wait_with_output().unwrap()));
    assert_eq!((exit, &answer["schema"]), (130, &json!("snaptrak.capture/1")));
    assert_eq!((&answer["captures"], &answer["refused"]), (&json!([]), &json!([])));
    let id = assert_id(&answer["cancelled"]);
    assert_fails(|| place.program(["show", &id]), 1, "not_found");
    assert_eq!(place.json(["list"]).1["captures"], json!([]));
    assert_eq!(std::fs::read_dir(place.store().join("incoming")).unwrap().count(), 0, "nothing of it is left");

    let for_a_person = taking(&place, &["--cancel-on-signal"]);
    kill_process(Pid::from_child(&for_a_person), Signal::INT).unwrap();
    let ended = ran(for_a_person.wait_with_output().unwrap());
    assert!(ended.exit == 130 && String::from_utf8(ended.stdout).unwrap().contains("is taken back"));

    // Its own end keeps it.
    let mut child = taking(&place, &["--cancel-on-signal", "--json"]);
    drop(child.stdin.take());
    let (exit, answer) = one_object(ran(child.wait_with_output().unwrap()));
    assert_eq!(
        (exit, &answer["captures"][0]["bytes"], answer.get("cancelled")),
        (0, &json!(1 << 20), None),
        "{answer}"
    );
}

/// A recording that ended by itself told its last piece twice.
#[test]
fn each_piece_is_told_once_whatever_ends_it() {
    let place = Place::with_store();
    let input = place.file("input", &[5; 10_000]);
    let mut program = place.program(["record", "--kind", "audio", "--max-bytes", "4000", "--jsonl"]);
    let ended = run(program.stdin(File::open(&input).unwrap()));
    let lines = lines(&ended);
    assert_eq!((ended.exit, lines.len()), (0, 2), "{lines:?}");
    assert_eq!((&lines[0]["piece"], &lines[0]["bytes"]), (&json!(0), &json!(4_000)));
    assert_eq!(lines[1]["captures"][0]["pieces"], 1);
}

/// What had been taken from an input that broke off was kept, and nobody was told of it.
#[test]
fn an_input_that_breaks_off_is_kept_and_said() {
    let place = Place::with_store();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let input = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut source, _) = listener.accept().unwrap();
    // What the source never read makes its end a reset instead of an end of input (RFC 2525, 2.17).
    (&input).write_all(b"never read").unwrap();
    let mut peeked = [0];
    source.peek(&mut peeked).unwrap();
    let mut program = place.program(["record", "--kind", "audio", "--piece-ms", "100", "--jsonl"]);
    program.stdin(OwnedFd::from(input)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    source.write_all(b"what came before").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(source);
    let ended = end(child, stdout);
    assert_eq!(ended.exit, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("error: standard input cannot be read"), "{}", ended.stderr);
    let last = lines(&ended).pop().unwrap();
    assert_eq!((&last["schema"], &last["error"]["code"]), (&json!("snaptrak.capture/1"), &json!("input_unreadable")));
    let entry = &last["captures"][0];
    assert_eq!((&entry["bytes"], &entry["sha256"]), (&json!(16), &json!(sha256_hex(b"what came before"))), "{last}");
    assert_eq!(place.json(["list"]).1["captures"][0]["id"], entry["id"]);
}

#[test]
fn a_recording_ends_when_it_is_as_long_as_it_may_be() {
    let place = Place::with_store();
    let input = place.file("input", &[5; 10_000]);
    let mut program = place.program(["record", "--kind", "audio", "--max-bytes", "4000", "--json"]);
    let (exit, answer) = one_object(run(program.stdin(File::open(&input).unwrap())));
    let entry = &answer["captures"][0];
    assert_eq!((exit, &entry["bytes"], &entry["pieces"]), (0, &json!(4_000), &json!(1)), "{answer}");
    assert_eq!((&entry["ended_because"], &entry["interrupted"]), (&json!("max_bytes"), &json!(false)));
    assert_eq!(entry["sha256"], json!(sha256_hex(&[5; 4_000])));
    let shown = place.json(["show", entry["id"].as_str().unwrap()]).1;
    assert_eq!(shown["metadata"]["ended_because"], "max_bytes");
    let range = place.path("range");
    let (_, viewed) =
        place.json(["view", entry["id"].as_str().unwrap(), "--range", "3990-", "-o", range.to_str().unwrap()]);
    assert_eq!((std::fs::read(&range).unwrap().len(), &viewed["sha256"]), (10, &json!(sha256_hex(&[5; 10]))));
    let (exit, refused) = place.json(["record", "--kind", "audio", "--max-bytes", "0"]);
    assert_eq!((exit, &refused["code"]), (2, &json!("usage")), "{refused}");
}

#[test]
fn time_finishes_pieces_and_ends_a_recording_while_nothing_comes() {
    let place = Place::with_store();
    let mut program = place.program(["record", "--kind", "audio", "--piece-ms", "100", "--max-ms", "3000", "--jsonl"]);
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Held open: nothing but time can end it.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a few words").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let piece: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&piece["piece"], &piece["bytes"]), (&json!(0), &json!(11)));
    let ended = end(child, stdout);
    drop(input);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    assert_eq!(lines(&ended)[0]["captures"][0]["ended_because"], "max_ms");
}
