//! A disk that is full before a recording is: what was told is kept, and the store goes on when there is room again.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::{Captured, Station, captures, patience};
use snaptrak_e2e::{Contents, Ended, Recorder, SmallDisk, contents, sha256_of};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The store's ballast takes a quarter, what a recording leaves free another one.
const DISK_BYTES: u64 = 64 * 1024 * 1024;

/// What the source gives at a time.
const PART_BYTES: usize = 2_000_000;

/// A device whose store lies on a small disk, enrolled at a server that has room, with a picture in it.
struct Trial {
    station: Station,
    source: Vec<u8>,
    picture: Captured,
    // Last, so that the disk is there until nobody uses it.
    disk: SmallDisk,
}

fn trial() -> Option<Trial> {
    let mut station = Station::new().unwrap();
    let disk = SmallDisk::if_possible(&station.path("disk"), DISK_BYTES)?;
    station.client = station.client.clone().with_store(&station.path("disk/store")).through(disk.launcher());
    station.client.tell(&["init"]).unwrap();
    station.start_server(&[]).unwrap();
    station.enrol(&station.url()).unwrap();
    let picture = station.capture(&[station.cache.picture("chelsea.png").unwrap()]).unwrap().remove(0);
    let source = fs::read(station.write_noise("source", DISK_BYTES, 21).unwrap()).unwrap();
    Some(Trial { station, source, picture, disk })
}

impl Trial {
    fn record(&self, piece_ms: &str) -> Recorder {
        let arguments = ["record", "--kind", "video", "--piece-ms", piece_ms, "--jsonl"];
        Recorder::start(self.station.client.command(&arguments))
    }

    /// Every settled piece. Envelopes are replaced when wraps and receipts come.
    fn sealed(&self) -> Contents {
        let is_piece = |path: &Path| path.extension().is_some_and(|found| found == "piece");
        contents(&self.store().join("assets")).into_iter().filter(|(path, _)| is_piece(path)).collect()
    }

    fn assert_still_there(&self, before: &Contents) {
        let after = self.sealed();
        let changed: Vec<&PathBuf> =
            before.iter().filter(|(path, digest)| after.get(*path) != Some(digest)).map(|(path, _)| path).collect();
        assert!(!before.is_empty() && changed.is_empty(), "changed or gone: {changed:?}");
    }

    fn store(&self) -> PathBuf {
        self.disk.folder().join("store")
    }

    fn viewed(&self, id: &str) -> Vec<u8> {
        let out = self.station.path("viewed");
        self.station.client.tell(&["view", id, "-o", out.to_str().unwrap()]).unwrap();
        fs::read(&out).unwrap()
    }

    /// The recording that the store lists, whose bytes are the beginning of the source.
    fn kept(&self) -> Captured {
        let listed = self.station.client.tell(&["list"]).unwrap();
        let mut taken = captures(&listed);
        taken.retain(|capture| capture.kind == "video");
        assert_eq!(taken.len(), 1, "{listed}");
        let kept = self.viewed(&taken[0].id);
        assert_eq!(kept.len() as u64, taken[0].bytes);
        assert!(self.source.starts_with(&kept), "{} bytes are not what was fed", kept.len());
        taken.remove(0)
    }

    /// With room again everything goes on: another capture, and all of it to the server.
    fn goes_on(&self, before: &Contents, recording: Captured) {
        self.assert_still_there(before);
        let another = self.station.write_noise("another", 3_000_000, 22).unwrap();
        let mut taken = self.station.capture(&[&another]).unwrap();
        taken.extend([self.picture.clone(), recording]);
        self.station.bring_everything().unwrap();
        self.station.check_held(&taken).unwrap();
        assert!(self.viewed(&taken[0].id) == fs::read(&another).unwrap());
        self.viewed(&self.picture.id);
        assert_eq!(sha256_of(&self.station.path("viewed")), self.picture.sha256);
        let verified = self.station.client.tell(&["verify"]).unwrap();
        let whole = (&verified["countersigned"], &verified["chain_ok"], &verified["gaps"], &verified["failures"]);
        assert_eq!(whole, (&json!(3), &json!(true), &json!([]), &json!([])), "{verified}");
    }
}

#[test]
fn it_ends_by_itself_while_there_is_room() {
    let Some(trial) = trial() else { return };
    let before = trial.sealed();
    let mut recorder = trial.record("100");
    let mut parts = trial.source.chunks(PART_BYTES);
    while recorder.feed(parts.next().unwrap()) && recorder.has_told_everything() {}
    let ended = recorder.end();
    assert_eq!((ended.code, ended.words.as_str()), (0, ""));
    let result = ended.result();
    assert_eq!(result["captures"][0]["ended_because"], "low_space", "{result}");
    let recording = captures(result).remove(0);
    assert!(ended.told_bytes() == recording.bytes && recording.bytes > PART_BYTES as u64, "{result}");
    assert_eq!(trial.kept(), recording);

    // A note has its place all the same; where nothing has one, another recording is refused before its first byte.
    let client = &trial.station.client;
    trial.disk.fill();
    let refused = client.ask(&["record", "--kind", "audio"]).unwrap();
    assert_eq!((refused.code, &refused.json["code"]), (4, &json!("storage_full")), "{}", refused.json);
    trial.disk.make_room();
    let note = captures(&client.tell(&["note", "the disk is nearly full"]).unwrap());
    assert_eq!(client.tell(&["sync"]).unwrap()["verified"], 3);
    trial.station.check_held(&[recording.clone(), note[0].clone()]).unwrap();

    // What the server signed for makes the room.
    assert_eq!(client.tell(&["purge", &recording.id]).unwrap()["purged"], 1);
    let another = trial.station.write_noise("another", 3_000_000, 22).unwrap();
    let mut again = trial.record("100");
    assert!(again.feed(&fs::read(&another).unwrap()) && again.has_told_everything());
    again.signal(rustix::process::Signal::INT);
    let again = captures(again.end().result());
    assert!(trial.viewed(&again[0].id) == fs::read(&another).unwrap());
    trial.station.bring_everything().unwrap();
    trial.station.check_held(&again).unwrap();
    trial.assert_still_there(&before);
}

/// Feeds the rest of the source to a disk that somebody else has filled.
fn fill_and_go_on(trial: &Trial, mut recorder: Recorder, fed: usize) -> Ended {
    trial.disk.fill();
    // Read until the disk takes no more: whoever has ended reads no more.
    recorder.feed(&trial.source[fed..]);
    let ended = recorder.end();
    let result = ended.result();
    let by_itself = ended.code == 0 && result["captures"][0]["ended_because"] == "low_space";
    let refused = ended.code == 4 && code_of(result) == "storage_full";
    assert!(by_itself || refused, "exit code {}: {result} {}", ended.code, ended.words);
    ended
}

fn code_of(result: &Value) -> &Value {
    if result["schema"] == "snaptrak.error/1" { &result["code"] } else { &result["error"]["code"] }
}

#[test]
fn what_was_told_is_kept_when_somebody_else_fills_the_disk() {
    let Some(trial) = trial() else { return };
    let before = trial.sealed();
    let mut recorder = trial.record("100");
    assert!(recorder.feed(&trial.source[..PART_BYTES]) && recorder.has_told_everything());
    let told_bytes = recorder.told_bytes();
    let ended = fill_and_go_on(&trial, recorder, PART_BYTES);
    assert!(ended.told_bytes() >= told_bytes, "{:?}", ended.lines);
    // It opens and is read on a full disk too.
    assert!(trial.kept().bytes >= ended.told_bytes());
    trial.disk.make_room();
    let recording = trial.kept();
    assert!(recording.bytes >= ended.told_bytes(), "what was told is not there: {recording:?}");
    trial.goes_on(&before, recording);
}

/// No piece was finished: nothing was told, and the complete segments are kept.
#[test]
fn an_open_piece_keeps_its_complete_segments() {
    const SEGMENT_BYTES: u64 = 65_536;
    let Some(trial) = trial() else { return };
    let before = trial.sealed();
    // An hour, so that time finishes nothing.
    let mut recorder = trial.record("3600000");
    let written = || sealed_bytes(&trial.store().join("incoming"));
    assert!(recorder.feed(&trial.source[..PART_BYTES]));
    assert!(patience::until(|| written() > 10 * SEGMENT_BYTES), "the open piece is being written");
    // The first segment has a header beside its tag of sixteen bytes.
    let safe_bytes = (written() / SEGMENT_BYTES - 1) * (SEGMENT_BYTES - 16);
    let ended = fill_and_go_on(&trial, recorder, PART_BYTES);
    if ended.code == 4 {
        // It waits for room to be closed, and whoever asks is told of that and not of a server.
        let refused = trial.station.client.ask(&["sync"]).unwrap();
        assert_eq!(refused.code, 4, "{} {}", refused.json, refused.words);
    }
    trial.disk.make_room();
    let recording = trial.kept();
    assert!(recording.bytes >= safe_bytes, "{} bytes of {safe_bytes}", recording.bytes);
    trial.goes_on(&before, recording);
}

/// Bytes of the pieces that lie below a folder.
fn sealed_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().flat_map(|entry| fs::read_dir(entry.path()));
    let files = files.flatten().flatten().filter(|file| file.path().extension().is_some_and(|found| found == "piece"));
    files.map(|file| file.metadata().map_or(0, |found| found.len())).sum()
}
