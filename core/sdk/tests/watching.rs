//! Watching an instance: what it tells, to whom, and how that ends.
#![allow(clippy::unwrap_used)]

use snaptrak::{CancelToken, CaptureId, CaptureOptions, Config, ErrorCode, EventKind, Platform, ReasonCode, SnapTrak};
use snaptrak_testkit::FixedKeyStore;
use std::{path::Path, sync::Arc, thread};

fn create(folder: &Path) -> SnapTrak {
    SnapTrak::create(Config::new(folder), Platform::system(Arc::new(FixedKeyStore::new([1; 32])))).unwrap()
}

fn note(instance: &SnapTrak) -> CaptureId {
    instance.note("a note", CaptureOptions::default()).unwrap().capture_id
}

#[test]
fn a_list_and_what_follows_it_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let before = note(&instance);
    let (one, other) = (instance.watch().unwrap(), instance.watch().unwrap());
    let listed: Vec<CaptureId> = instance.list(None, 10, None).unwrap().captures.iter().map(|one| one.id).collect();
    assert_eq!(listed, [before]);
    let after = note(&instance);
    for watcher in [&one, &other] {
        let batch = watcher.wait(&CancelToken::new()).unwrap().unwrap();
        assert_eq!(batch.events.len(), 1, "{batch:?}");
        assert_eq!((batch.events[0].kind, batch.events[0].capture_id), (EventKind::Added, after));
        assert!(!batch.missed);
    }
}

#[test]
fn the_queue_is_told_as_it_stands_and_again_when_it_stands_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let queue = instance.watch_queue().unwrap();
    let health = queue.wait(&CancelToken::new()).unwrap().unwrap();
    assert_eq!((health.waiting, health.blocked_by), (0, Some(ReasonCode::NotEnrolled)));
    assert_eq!(queue.read().unwrap(), None, "nothing is told twice");
    note(&instance);
    let health = queue.wait(&CancelToken::new()).unwrap().unwrap();
    assert_eq!((health.waiting, health.by_state["prepared"]), (1, 1));
    assert_eq!(health, instance.queue_health().unwrap());
}

#[test]
fn findings_begin_with_what_is_there_and_belong_to_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let watcher = instance.watch_findings(note(&instance)).unwrap();
    assert_eq!(watcher.wait(&CancelToken::new()).unwrap(), Some(Vec::new()));
    let unknown = instance.watch_findings(CaptureId::from_bytes([9; 16]));
    assert_eq!(unknown.err().unwrap().code(), ErrorCode::NotFound);
}

#[test]
fn closing_ends_everyone_who_watches_and_a_token_its_own_wait() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let id = note(&instance);
    let (events, queue, findings) =
        (instance.watch().unwrap(), instance.watch_queue().unwrap(), instance.watch_findings(id).unwrap());
    let cancel = CancelToken::new();
    thread::scope(|scope| {
        let cancelled = scope.spawn(|| events.wait(&cancel));
        cancel.cancel();
        assert_eq!(cancelled.join().unwrap().err().unwrap().code(), ErrorCode::Cancelled);
        let of_events = scope.spawn(|| while events.wait(&CancelToken::new()).unwrap().is_some() {});
        let of_queue = scope.spawn(|| while queue.wait(&CancelToken::new()).unwrap().is_some() {});
        let of_findings = scope.spawn(|| while findings.wait(&CancelToken::new()).unwrap().is_some() {});
        instance.clone().close().unwrap();
        for ended in [of_events, of_queue, of_findings] {
            ended.join().unwrap();
        }
    });
    assert_eq!(instance.watch().err().unwrap().code(), ErrorCode::Cancelled);
    assert_eq!(queue.read().unwrap(), None);
}
