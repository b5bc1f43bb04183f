//! What a watcher of a real store is told, when, and that it is never told what did not happen.

use super::{Batch, Changes, Interest, Watcher, pending::EVENTS_MAX};
use crate::{
    CaptureRequest, Captured, Store, StoreError, capture_rows, rows,
    tests::{
        together::{until_waiting, while_taken},
        world::{World, capture, plain},
    },
};
use rusqlite::params;
use snaptrak_domain::{
    AssetId, AssetState, CancelToken, CaptureId, Clock, EventKind, Kind, Reason, ReasonCode, Rendition, StepKind,
    StoreEvent, UnixMs, queue_store::QueueStore,
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

/// How often a waker was called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What waits for a watcher now, without waiting; `None` when nothing does.
fn waiting(watcher: &Watcher) -> Option<Batch> {
    match pin!(watcher.next()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(batch) => batch,
        Poll::Pending => None,
    }
}

fn told(watcher: &Watcher) -> Vec<(EventKind, CaptureId, AssetState)> {
    let batch = waiting(watcher).unwrap_or_default();
    batch.events.iter().map(|event| (event.kind, event.capture_id, event.state)).collect()
}

fn note(store: &Store) -> Captured {
    let request = CaptureRequest { kind: Some(Kind::Note), ..CaptureRequest::default() };
    store.capture(request, &mut &b"a note"[..]).unwrap()
}

fn photo(store: &Store) -> Captured {
    let request = CaptureRequest { kind: Some(Kind::Photo), ..CaptureRequest::default() };
    store.capture(request, &mut &plain(2_000)[..]).unwrap()
}

/// Of a capture that no row knows.
fn event(number: u32) -> StoreEvent {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    capture_rows::added(CaptureId::from_bytes(bytes), AssetId::from_bytes(bytes), AssetState::Saved)
}

fn watchers(store: &Store) -> usize {
    store.inner.hub.inside().watchers.len()
}

/// As an attempt that was made leaves it: the capture stands in another state.
fn park(store: &Store, captured: &Captured) {
    let id = captured.asset_id;
    store
        .write(move |transaction| {
            let sql = "UPDATE piece SET state = 'parked' WHERE asset_id = ?1";
            rows::change(transaction, sql, params![id.as_bytes()])?;
            crate::queue::derive::derive_asset_state(transaction, id, UnixMs(0)).map(|_| ())
        })
        .unwrap();
}

#[test]
fn a_capture_is_told_once_and_with_the_state_that_its_caller_was_told() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Events).unwrap();
    let (noted, taken) = (note(&store), photo(&store));
    let expected =
        [(EventKind::Added, noted.capture_id, noted.state), (EventKind::Added, taken.capture_id, taken.state)];
    assert_eq!(told(&watcher), expected);
    // Looking settles the note, which is no news.
    store.status().unwrap();
    assert_eq!(waiting(&watcher), None);
    park(&store, &noted);
    assert_eq!(told(&watcher), [(EventKind::StateChanged, noted.capture_id, AssetState::Parked)]);
}

#[test]
fn what_was_rolled_back_is_told_to_nobody() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Events).unwrap();
    let queue = store.watch(Interest::Queue).unwrap();
    assert!(waiting(&queue).is_some(), "the present state is told first");
    let event = event(1);
    // Alone, the whole transaction is given up.
    let alone: Result<(), StoreError> = store.write(move |transaction| {
        transaction.announce(event);
        transaction.announce_queue();
        Err(StoreError::Cancelled)
    });
    assert!(alone.is_err());
    // In company, one closure's savepoint is.
    let announce = |fails: bool| {
        let store = &store;
        move || {
            let announced = if fails { event } else { StoreEvent { kind: EventKind::Found, ..event } };
            store.inner.writer.write(move |transaction, _| {
                transaction.announce(announced);
                if fails { Err(StoreError::Cancelled) } else { Ok(()) }
            })
        }
    };
    thread::scope(|scope| {
        let mut callers = Vec::new();
        while_taken(&store, || {
            callers = [false, true].map(|fails| scope.spawn(announce(fails))).into();
            until_waiting(&store, 2);
        });
        let answers: Vec<bool> = callers.into_iter().map(|caller| caller.join().unwrap().is_ok()).collect();
        assert_eq!(answers, [true, false]);
    });
    assert_eq!(told(&watcher), [(EventKind::Found, event.capture_id, AssetState::Saved)]);
    assert!(waiting(&queue).is_some());
}

#[test]
fn a_group_that_failed_is_told_to_nobody() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Events).unwrap();
    let event = event(1);
    let failed: Result<(), StoreError> = store.inner.writer.write(move |transaction, _| {
        transaction.announce(event);
        // As SQLite does on a full disk: the transaction is gone, and the closure does not know.
        transaction.execute_batch("ROLLBACK").map_err(StoreError::from)
    });
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(waiting(&watcher), None);
    let noted = note(&store);
    assert_eq!(told(&watcher), [(EventKind::Added, noted.capture_id, noted.state)]);
}

#[test]
fn a_recording_begins_goes_on_and_may_never_have_been() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Events).unwrap();
    let request = || CaptureRequest { kind: Some(Kind::Video), ..CaptureRequest::default() };
    let mut recording = store.record(request()).unwrap();
    let [(EventKind::Added, id, AssetState::Recording)] = told(&watcher)[..] else { panic!("it was not told") };
    recording.write(&plain(1_000)).unwrap();
    let recorded = recording.finish().unwrap();
    assert_eq!(told(&watcher), [(EventKind::StateChanged, id, recorded.captured.state)]);
    let empty = store.record(request()).unwrap();
    assert!(empty.finish().is_err());
    let [(EventKind::Removed, _, AssetState::Cancelled)] = told(&watcher)[..] else { panic!("it was not told") };
}

#[test]
fn findings_are_told_to_who_waits_for_them() {
    let world = World::new();
    let store = world.create();
    let (one, other) = (photo(&store), photo(&store));
    let one_asset = one.asset_id;
    let watchers = [one, other].map(|captured| store.watch(Interest::Findings(captured.capture_id)).unwrap());
    let events = store.watch(Interest::Events).unwrap();
    assert!(watchers.iter().all(|watcher| waiting(watcher).is_some()), "the present ones are told first");
    let now = world.clock.now();
    let step = store.ready(StepKind::Analyse, now, 1).unwrap().remove(0);
    store.begin(step.step_id, now, 1_000).unwrap();
    store.save_findings(step.step_id, step.capture_id, one_asset, &[], now).unwrap();
    assert_eq!(waiting(&watchers[0]), Some(Batch::default()));
    assert_eq!(waiting(&watchers[1]), None);
    let found = told(&events);
    assert!(found.iter().any(|(kind, id, _)| *kind == EventKind::Found && *id == step.capture_id), "{found:?}");
    let small = store.add_derived(step.capture_id, Rendition::Thumbnail, b"small").unwrap();
    let batch = waiting(&events).unwrap();
    assert!(batch.events.iter().any(|event| event.asset_id == small && event.kind == EventKind::Added), "{batch:?}");
}

#[test]
fn the_queue_is_told_of_what_blocks_it() {
    let world = World::new();
    let store = world.create();
    let queue = store.watch(Interest::Queue).unwrap();
    assert!(waiting(&queue).is_some() && waiting(&queue).is_none());
    store.set_sync_block(Some(&Reason::new(ReasonCode::Offline))).unwrap();
    assert_eq!(waiting(&queue), Some(Batch::default()));
    note(&store);
    assert_eq!(waiting(&queue), Some(Batch::default()));
    assert_eq!(waiting(&queue), None);
}

#[test]
fn a_watcher_that_is_slow_is_told_to_look_again_and_holds_up_nobody_else() {
    let world = World::new();
    let store = world.create();
    let (slow, other) = (store.watch(Interest::Events).unwrap(), store.watch(Interest::Events).unwrap());
    let mut heard = 0;
    for number in 0..=u32::try_from(EVENTS_MAX).unwrap() {
        let changes = Changes { events: vec![event(number)], queue_moved: false };
        store.inner.hub.publish(&changes);
        heard += told(&other).len();
    }
    assert_eq!(heard, EVENTS_MAX + 1);
    let batch = waiting(&slow).unwrap();
    assert_eq!((batch.missed, batch.events.len()), (true, 1));
    assert_eq!(waiting(&slow), None);
}

#[test]
fn without_a_watcher_nothing_is_kept() {
    let world = World::new();
    let store = world.create();
    assert!(!store.inner.hub.is_watched());
    let collects = || store.inner.writer.write(|transaction, _| Ok(transaction.is_watched())).unwrap();
    assert!(!collects());
    let watcher = store.watch(Interest::Events).unwrap();
    assert!(collects());
    let other = store.watch(Interest::Queue).unwrap();
    drop(watcher);
    assert!(collects());
    drop(other);
    assert!(!collects());
    assert_eq!(watchers(&store), 0);
}

#[test]
fn who_waits_is_woken_after_the_commit_and_one_that_left_is_not() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Events).unwrap();
    let (calls, of_one_that_left) = (Arc::<Calls>::default(), Arc::<Calls>::default());
    let (waker, other) = (Waker::from(Arc::clone(&calls)), Waker::from(Arc::clone(&of_one_that_left)));
    let mut next = pin!(watcher.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    {
        let mut left = pin!(watcher.next());
        assert!(left.as_mut().poll(&mut Context::from_waker(&other)).is_pending());
    }
    assert_eq!(Arc::strong_count(&of_one_that_left), 2, "the test and its waker hold it, and the watcher not");
    let noted = capture(&store, b"bytes");
    assert_eq!((calls.0.load(Ordering::SeqCst), of_one_that_left.0.load(Ordering::SeqCst)), (1, 0));
    let Poll::Ready(Some(batch)) = next.as_mut().poll(&mut Context::from_waker(&waker)) else {
        panic!("still waiting")
    };
    assert_eq!(batch.events[0].capture_id, noted.capture_id);
}

#[test]
fn closing_tells_what_is_left_and_then_the_end() {
    let world = World::new();
    let store = world.create();
    let (watcher, idle) = (store.watch(Interest::Events).unwrap(), store.watch(Interest::Events).unwrap());
    let handle = store.clone();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut batches = 0;
            while idle.wait(&CancelToken::new()).unwrap().is_some() {
                batches += 1;
            }
            batches
        });
        let noted = note(&store);
        store.close().unwrap();
        assert_eq!(waits.join().unwrap(), 1);
        assert_eq!(told(&watcher), [(EventKind::Added, noted.capture_id, noted.state)]);
    });
    assert!(watcher.has_ended());
    assert_eq!(watcher.wait(&CancelToken::new()).unwrap(), None);
    assert!(matches!(handle.watch(Interest::Events), Err(StoreError::Closed)));
}

#[test]
fn a_store_that_is_dropped_ends_its_watchers_too() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Queue).unwrap();
    drop(store);
    assert!(watcher.wait(&CancelToken::new()).unwrap().is_some(), "what was left");
    assert_eq!(watcher.wait(&CancelToken::new()).unwrap(), None);
    world.open().close().unwrap();
}

#[test]
fn a_token_ends_the_wait() {
    let world = World::new();
    let store = world.create();
    let watcher = store.watch(Interest::Events).unwrap();
    let cancel = CancelToken::new();
    thread::scope(|scope| {
        let waits = scope.spawn(|| watcher.wait(&cancel));
        cancel.cancel();
        assert!(matches!(waits.join().unwrap(), Err(StoreError::Cancelled)));
    });
    note(&store);
    assert_eq!(told(&watcher).len(), 1, "it goes on with another token");
}
