//! Instances side by side, one owner a store, and answers after the end.
#![allow(clippy::unwrap_used)]

use snaptrak::{
    CaptureOptions, Config, ErrorCode, Kind, Platform, Quiet, ReasonCode, Rendition, Secret, Sha256Digest, SignUp,
    SnapTrak,
};
use snaptrak_testkit::FixedKeyStore;
use std::{path::Path, sync::Arc};

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
