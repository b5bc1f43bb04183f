//! Instances side by side, one owner a store, and answers after the end.
#![allow(clippy::unwrap_used)]

use snaptrak::{
    CaptureOptions, Config, EndedBecause, ErrorCode, Kind, Platform, Quiet, ReasonCode, RecordOptions, Rendition,
    Secret, Sha256Digest, SignUp, SnapTrak,
};
use snaptrak_testkit::FixedKeyStore;
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::Command,
    sync::{Arc, Barrier},
    thread,
};

fn platform(key: u8) -> Platform {
    Platform::system(Arc::new(FixedKeyStore::new([key; 32])))
}

fn create(folder: &Path) -> SnapTrak {
    SnapTrak::create(Config::new(folder), platform(1)).unwrap()
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Sha256Digest(digest)
}

#[test]
fn two_instances_live_side_by_side_and_know_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (create(&folder.path().join("one")), create(&folder.path().join("two")));
    let captured = one.capture_reader(&mut &b"evidence"[..], CaptureOptions::default()).unwrap();
    assert_eq!(captured.sha256, sha256(b"evidence"));
    assert_eq!(one.list(None, 10, None).unwrap().captures.len(), 1);
    assert_eq!(two.list(None, 10, None).unwrap().captures.len(), 0);
    assert_eq!(two.show(captured.capture_id).unwrap_err().code(), ErrorCode::NotFound);
}

#[test]
fn a_store_has_one_owner_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = create(&path);
    let second = SnapTrak::open(Config::new(&path), platform(1)).err().unwrap();
    assert_eq!(second.code(), ErrorCode::InUse);
    let clone = first.clone();
    first.close().unwrap();
    assert_eq!(clone.status().unwrap_err().code(), ErrorCode::Cancelled, "a clone of a closed instance answers");
    let reopened = SnapTrak::open(Config::new(&path), platform(1)).unwrap();
    reopened.close().unwrap();
    assert_eq!(SnapTrak::open(Config::new(&path), platform(2)).err().unwrap().code(), ErrorCode::WrongKey);
}

#[test]
fn what_was_captured_is_viewed_byte_for_byte_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let instance = create(&path);
    let id = instance.capture_reader(&mut bytes.as_slice(), CaptureOptions::default()).unwrap().capture_id;
    let note = instance.note("a note", CaptureOptions::default()).unwrap();
    assert_eq!(note.kind, Kind::Note);
    instance.close().unwrap();

    let instance = SnapTrak::open(Config::new(&path), platform(1)).unwrap();
    let mut viewed = Vec::new();
    assert_eq!(instance.view(id, &mut viewed).unwrap(), sha256(&bytes));
    assert_eq!(viewed, bytes);
    viewed.clear();
    instance.view(note.capture_id, &mut viewed).unwrap();
    assert_eq!(viewed, b"a note");
    let report = instance.verify().unwrap();
    assert_eq!((report.receipts, report.signed, report.countersigned, report.chain_ok), (2, 2, 0, true));
    assert_eq!(report.failures, []);
    let exported = instance.export_key(id, Rendition::Original).unwrap();
    assert_eq!(exported.pieces.len(), 1);
    assert!(exported.pieces[0].path.as_ref().is_some_and(|path| path.is_file()));
}

#[test]
fn nothing_to_do_and_nobody_enrolled_are_answers() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let id = instance.note("a note", CaptureOptions::default()).unwrap().capture_id;
    assert_eq!(instance.why(id).unwrap().reason.code, ReasonCode::NotEnrolled);
    let report = instance.sync(snaptrak::Budget::default(), &Quiet).unwrap();
    assert_eq!(report.stopped_because.as_str(), "not_enrolled");
    assert_eq!((report.requests, report.left), (0, 1));
    let report = instance.analyse(&snaptrak::AnalyseOptions::default(), &Quiet).unwrap();
    assert_eq!((report.analysed, report.parked, report.left), (0, 0, 0), "a note needs no engine");
}

#[test]
fn where_a_creation_was_broken_off_there_is_no_store_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let opened = || SnapTrak::open(Config::new(&path), platform(1)).err().map(|error| error.code());
    assert_eq!(opened(), Some(ErrorCode::NoStore));
    create(&path).close().unwrap();
    std::fs::remove_file(path.join("store.json")).unwrap();
    assert_eq!(opened(), Some(ErrorCode::NotAStore), "something of a store is there, and it is for a recovery");
    // As a kill leaves it: all may be there but what makes the folder a store.
    std::fs::write(path.join("creating"), b"").unwrap();
    assert_eq!(opened(), Some(ErrorCode::NoStore));
    create(&path).close().unwrap();
    assert_eq!(opened(), None);
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("letter.txt"), b"x").unwrap();
    let told = SnapTrak::open(Config::new(&other), platform(1)).err().unwrap().code();
    assert_eq!(told, ErrorCode::NotAStore);
}

#[test]
fn bad_requests_are_refused_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut config = Config::new(&path);
    config.threads = 0;
    assert_eq!(SnapTrak::create(config, platform(1)).err().unwrap().code(), ErrorCode::InvalidArgument);
    assert!(!path.exists());
    let instance = create(&path);
    let refused = |result: Result<snaptrak::Captured, snaptrak::Error>| result.unwrap_err().code();
    assert_eq!(refused(instance.capture_reader(&mut &b""[..], CaptureOptions::default())), ErrorCode::EmptyFile);
    assert_eq!(refused(instance.note("", CaptureOptions::default())), ErrorCode::EmptyFile);
    assert_eq!(instance.list(None, 0, None).unwrap_err().code(), ErrorCode::InvalidArgument);
    let plain_http = SignUp {
        server: "http://api.example".into(),
        email: "a@example.org".into(),
        password: Secret::new(b"password".to_vec()),
        name: None,
        trust_root: None,
    };
    assert_eq!(instance.sign_up(plain_http).unwrap_err().code(), ErrorCode::PlainHttpRefused);
    assert_eq!(instance.list(None, 10, None).unwrap().captures.len(), 0);
}

/// A video of five pieces of 100,000 bytes and a short one.
fn recorded(instance: &SnapTrak) -> (snaptrak::CaptureId, Vec<u8>) {
    let bytes: Vec<u8> = (0..125_500_u32).flat_map(u32::to_le_bytes).collect();
    let options = RecordOptions { piece_bytes: 100_000, ..RecordOptions::default() };
    let mut recording = instance.record_with(Kind::Video, CaptureOptions::default(), options).unwrap();
    let done: usize = bytes.chunks(7_001).map(|chunk| recording.write(chunk).unwrap().len()).sum();
    assert_eq!(done, 5);
    let recorded = recording.finish().unwrap();
    assert_eq!((recorded.pieces, recorded.ended_because), (6, EndedBecause::InputEnded));
    (recorded.captured.capture_id, bytes)
}

#[test]
fn a_recording_is_one_stream_with_random_access() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let (id, bytes) = recorded(&instance);
    let mut reader = instance.reader(id).unwrap();
    assert_eq!(reader.length_bytes(), 502_000);
    let mut whole = Vec::new();
    reader.read_to_end(&mut whole).unwrap();
    assert!(whole == bytes);
    reader.seek(SeekFrom::End(-1_000)).unwrap();
    let mut tail = Vec::new();
    reader.read_to_end(&mut tail).unwrap();
    assert!(tail == bytes[501_000..]);
    assert!(reader.seek(SeekFrom::Current(-600_000)).is_err());
    let mut window = vec![0; 50_000];
    for offset in [0, 99_999, 180_000, 470_000, 501_999, 502_000, 900_000] {
        let count = reader.read_at(offset as u64, &mut window).unwrap();
        let expected = bytes.get(offset..).unwrap_or_default();
        assert_eq!(count, expected.len().min(window.len()), "{offset}");
        assert!(window[..count] == expected[..count], "{offset}");
    }
    let mut range = Vec::new();
    let digest = instance.view_range(id, 150_000..350_000, &mut range).unwrap();
    assert!(range == bytes[150_000..350_000] && digest == sha256(&range));
    let outside = instance.view_range(id, 600_000..700_000, &mut range).unwrap_err();
    assert_eq!(outside.code(), ErrorCode::InvalidArgument);
}

#[test]
fn a_range_opens_no_other_piece() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let (id, bytes) = recorded(&instance);
    let detail = instance.show(id).unwrap();
    // All but the third are gone, so that opening any of them would fail.
    for piece in detail.assets[0].pieces.iter().filter(|piece| piece.index != 2) {
        std::fs::remove_file(instance.show(id).unwrap().assets[0].pieces[piece.index as usize].path.as_ref().unwrap())
            .unwrap();
    }
    let mut range = Vec::new();
    instance.view_range(id, 200_000..300_000, &mut range).unwrap();
    assert!(range == bytes[200_000..300_000]);
    let beyond = instance.view_range(id, 200_000..300_001, &mut range).unwrap_err();
    assert_eq!(beyond.code(), ErrorCode::Damaged);
}

#[test]
fn a_recording_is_read_while_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let options = RecordOptions { piece_bytes: 1_000, max_bytes: Some(2_500), ..RecordOptions::default() };
    let mut recording = instance.record_with(Kind::Audio, CaptureOptions::default(), options).unwrap();
    recording.write(&[1; 1_999]).unwrap();
    instance.lock();
    let mut read = Vec::new();
    instance.reader(recording.capture_id()).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, [1; 1_000], "the piece that is finished");
    assert_eq!(instance.why(recording.capture_id()).unwrap().reason.code, ReasonCode::NotEnrolled);
    recording.pause().unwrap();
    assert_eq!(recording.write(&[2]).unwrap_err().code(), ErrorCode::InvalidArgument);
    recording.resume();
    recording.write(&[2; 5_000]).unwrap();
    assert_eq!((recording.ended_because(), recording.bytes()), (Some(EndedBecause::MaxBytes), 2_500));
    assert_eq!(recording.finish().unwrap().captured.bytes, 2_500);
}

/// Set in a child only.
const CHILD: &str = "SNAPTRAK_INSTANCES_CHILD";
/// Processes, each of which begins once.
const PROCESSES: usize = 25;
/// Instances of each, all at the same moment.
const AT_ONCE: usize = 8;

/// The database library prepares itself when it is first used, and only once a process.
#[test]
fn the_first_instances_of_a_process_may_all_open_at_once() {
    let name = "the_first_instances_of_a_process_may_all_open_at_once";
    if std::env::var_os(CHILD).is_some() {
        let (folder, begin) = (tempfile::tempdir().unwrap(), Barrier::new(AT_ONCE));
        thread::scope(|scope| {
            for number in 0..AT_ONCE {
                let (path, begin) = (folder.path().join(number.to_string()), &begin);
                scope.spawn(move || {
                    begin.wait();
                    create(&path).close().unwrap();
                });
            }
        });
        return;
    }
    for _ in 0..PROCESSES {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
