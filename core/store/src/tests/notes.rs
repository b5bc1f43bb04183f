//! Notes: durable as a row and a line, settled before anyone looks, once, in their order, wherever a kill comes.

use super::world::{World, capture, copy_folder, read_all};
use crate::{
    CaptureRequest, Captured, Store, StoreError,
    intake::PENDING_MAX,
    journal::{self, Line},
    rows, tidy,
};
use snaptrak_domain::{AssetId, AssetState, Kind};
use snaptrak_seal::{ReceiptClaims, UntrustedEnvelope, sha256};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn note(store: &Store, text: &str) -> Captured {
    store.note(CaptureRequest::default(), text).unwrap()
}

/// Rows of a table, without a look that settles.
fn count(store: &Store, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    store.read_unsettled(|connection| rows::only(connection, &sql, [], |row| rows::count(row, 0))).unwrap()
}

/// The folder as a kill at this moment leaves it, for the next opening; the living store goes on in the folder of the answer.
/// Its caller holds chores off: they would write while this copies.
fn killed(world: &mut World) -> PathBuf {
    let alive = world.path.clone();
    let mut copy = alive.clone().into_os_string();
    copy.push("-killed");
    world.path = copy.into();
    copy_folder(&alive, &world.path);
    alive
}

/// The journal of a process that got further.
fn take_journal(from: &Path, to: &Path) {
    fs::remove_dir_all(to.join("journal")).unwrap();
    copy_folder(&from.join("journal"), &to.join("journal"));
}

/// Assets of the journal's settled notes with the digest of the envelope, oldest first.
fn journaled(folder: &Path) -> Vec<(AssetId, String)> {
    let mut found = Vec::new();
    for number in journal::numbers(folder).unwrap() {
        let text = fs::read(folder.join(format!("{number:08}.jsonl"))).unwrap();
        for line in text.split(|byte| *byte == b'\n').filter_map(Line::parse) {
            if let Line::Note { envelope, .. } = line {
                let asset_id = UntrustedEnvelope::parse(envelope.as_bytes()).unwrap().claims().asset_id;
                found.push((asset_id, envelope));
            }
        }
    }
    found
}

fn order(store: &Store) -> Vec<AssetId> {
    let receipts = store.receipts(0, 10_000).unwrap();
    let mut previous = snaptrak_seal::FIRST_PREVIOUS;
    for receipt in &receipts {
        assert_eq!(ReceiptClaims::from_payload(&receipt.payload).unwrap().previous, previous);
        previous = sha256(&receipt.payload);
    }
    receipts.into_iter().map(|receipt| receipt.asset_id).collect()
}

#[test]
fn a_note_is_one_row_until_someone_looks() {
    let world = World::new();
    let store = world.create();
    let request = CaptureRequest { tags: vec!["t".into()], ..CaptureRequest::default() };
    let held = store.inner.intake.settle();
    let first = store.note(request.clone(), "Riss").unwrap();
    assert_eq!((first.kind, first.state, first.bytes), (Kind::Note, AssetState::Prepared, 4));
    assert_eq!(first.content_type, "text/plain");
    assert_eq!((count(&store, "intake"), count(&store, "capture")), (1, 0));
    drop(held);
    world.clock.advance_ms(5_000);
    let shown = store.show(first.capture_id).unwrap();
    assert_eq!((count(&store, "intake"), count(&store, "capture")), (0, 1));
    assert_eq!(shown.metadata.created.unix_ms, first.created);
    assert_eq!(shown.metadata.tags, request.tags);
    let asset = &shown.assets[0];
    assert_eq!((asset.asset_id, asset.sha256), (first.asset_id, Some(first.sha256)));
    assert_eq!((asset.state, asset.bytes, asset.since), (first.state, 4, first.created));
    assert_eq!(read_all(&store, first.asset_id), b"Riss");
    assert_eq!(world.key_store.viewing_opened(), 0, "what was just settled needs no viewing key");
    let bytes = b"\xff\xfe not text";
    let request = CaptureRequest { kind: Some(Kind::Note), ..CaptureRequest::default() };
    let second = store.capture(request, &mut &bytes[..]).unwrap();
    assert_eq!(second.sha256, sha256(bytes));
    assert_eq!(read_all(&store, second.asset_id), bytes);
}

#[test]
fn the_chain_keeps_the_order_of_acknowledgement() {
    let world = World::new();
    let store = world.create();
    let mut expected = vec![note(&store, "one").asset_id, note(&store, "two").asset_id];
    expected.push(capture(&store, b"photo").asset_id);
    expected.push(note(&store, "three").asset_id);
    let mut recording = store.record(CaptureRequest::default()).unwrap();
    recording.write(b"sound").unwrap();
    expected.push(note(&store, "four").asset_id);
    expected.push(recording.finish().unwrap().captured.asset_id);
    expected.push(note(&store, "five").asset_id);
    assert_eq!(order(&store), expected);
}

#[test]
fn closing_settles_everything() {
    let world = World::new();
    let store = world.create();
    let notes: Vec<AssetId> = (0..70).map(|number| note(&store, &format!("{number}")).asset_id).collect();
    store.close().unwrap();
    let store = world.open();
    assert_eq!((count(&store, "intake"), count(&store, "capture")), (0, 70));
    assert_eq!(journaled(&world.path.join("journal")).iter().map(|(id, _)| *id).collect::<Vec<_>>(), notes);
    assert_eq!(order(&store), notes);
}

#[test]
fn killed_after_the_answer_it_is_settled_at_the_next_look() {
    let mut world = World::new();
    let alive = world.create();
    let held = alive.inner.intake.settle();
    let taken = [note(&alive, "first").asset_id, note(&alive, "second").asset_id];
    for without_journal in [false, true] {
        let path = killed(&mut world);
        if without_journal {
            // A power cut may take the last two seconds of it.
            fs::remove_dir_all(world.path.join("journal")).unwrap();
            fs::create_dir(world.path.join("journal")).unwrap();
        }
        let store = world.open();
        assert_eq!(store.inner.intake.last(), 2);
        let third = note(&store, "third").asset_id;
        assert_eq!(store.list(None, None, 10).unwrap().captures.len(), 3);
        assert_eq!(order(&store), [taken[0], taken[1], third]);
        assert_eq!(read_all(&store, taken[0]), b"first");
        store.close().unwrap();
        fs::remove_dir_all(&world.path).unwrap();
        world.path = path;
    }
    drop(held);
}

#[test]
fn killed_between_line_and_row_it_was_never_acknowledged() {
    let mut world = World::new();
    let store = world.create();
    let _held = store.inner.intake.settle();
    note(&store, "kept");
    let alive = killed(&mut world);
    note(&store, "lost");
    // The journal is one line ahead of the database.
    take_journal(&alive, &world.path);
    let store = world.open();
    let next = note(&store, "next");
    assert_eq!(store.list(None, None, 10).unwrap().captures.len(), 2);
    assert_eq!(order(&store)[1], next.asset_id);
}

#[test]
fn killed_while_settling_it_is_settled_once_and_the_last_line_tells_the_truth() {
    let mut world = World::new();
    let store = world.create();
    let held = store.inner.intake.settle();
    let taken = note(&store, "text");
    let alive = killed(&mut world);
    drop(held);
    store.close().unwrap();
    // Lines were written, and the commit did not come.
    take_journal(&alive, &world.path);
    let store = world.open();
    assert_eq!(store.list(None, None, 10).unwrap().captures.len(), 1);
    let lines = journaled(&world.path.join("journal"));
    assert_eq!(lines.len(), 2);
    let envelope = store.envelope_bytes(taken.asset_id).unwrap();
    assert_eq!(lines[1], (taken.asset_id, String::from_utf8(envelope).unwrap()));
    // And after the commit there is nothing left to settle.
    store.close().unwrap();
    let store = world.open();
    assert_eq!((count(&store, "intake"), count(&store, "capture"), order(&store).len()), (0, 1, 1));
}

#[test]
fn many_who_look_at_once_settle_each_note_once() {
    let world = World::new();
    let store = world.create();
    let taken: BTreeSet<AssetId> = std::thread::scope(|scope| {
        let write = |thread: usize| {
            let store = &store;
            scope.spawn(move || {
                (0..15).map(|number| note(store, &format!("{thread} {number}")).asset_id).collect::<Vec<_>>()
            })
        };
        let look = |_| scope.spawn(|| (0..10).for_each(|_| drop(store.status().unwrap())));
        let looking: Vec<_> = (0..3).map(look).collect();
        let written: Vec<_> = (0..4).map(write).collect();
        looking.into_iter().for_each(|thread| thread.join().unwrap());
        written.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(order(&store).into_iter().collect::<BTreeSet<_>>(), taken);
    let lines = journaled(&world.path.join("journal"));
    assert_eq!(lines.len(), taken.len(), "one line each");
    for (asset_id, envelope) in lines {
        assert_eq!(store.envelope_bytes(asset_id).unwrap(), envelope.as_bytes());
    }
    assert_eq!(store.inner.intake.pending(), 0);
}

#[test]
fn no_more_than_the_bound_ever_wait() {
    let world = World::new();
    let store = world.create();
    let fill = |transaction: &crate::writer::WriteTransaction<'_>, _: &mut journal::Lines| {
        let rows = i64::try_from(PENDING_MAX).unwrap() - 2;
        let sql = "WITH RECURSIVE row (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < ?1)
                   INSERT INTO intake SELECT n, CAST('{}' AS BLOB) FROM row";
        Ok(transaction.execute(sql, [rows])?)
    };
    store.inner.writer.write(fill).unwrap();
    store.read_unsettled(|connection| store.inner.intake.count(connection)).unwrap();
    for number in 0..50 {
        note(&store, &format!("{number}"));
        assert!(store.inner.intake.pending() <= PENDING_MAX);
    }
    assert!(store.inner.intake.pending() < PENDING_MAX);
    assert_eq!(store.list(None, None, 1_000).unwrap().captures.len(), 50);
    assert_eq!(store.inner.intake.pending(), 0);
    assert_eq!(count(&store, "intake"), PENDING_MAX - 2, "what cannot be read is set aside and not deleted");
    note(&store, "more");
    store.close().unwrap();
    let store = world.open();
    assert_eq!((store.inner.intake.pending(), count(&store, "capture")), (0, 51));
}

#[test]
fn a_full_disk_hides_the_newest_notes_and_nothing_else() {
    let world = World::new();
    let store = world.create();
    let photo = capture(&store, b"photo");
    let pages = |max: i64| {
        let set = move |transaction: &crate::writer::WriteTransaction<'_>, _: &mut journal::Lines| {
            Ok(transaction.query_row(&format!("PRAGMA max_page_count = {max}"), [], |_| Ok(()))?)
        };
        store.inner.writer.write(set).unwrap();
    };
    // Pages that the ladder freed would be room.
    store.inner.writer.write(|transaction, _| tidy::give_back(transaction, i64::from(u32::MAX))).unwrap();
    pages(1);
    // There is room for its row in a page that is there already, and none for an envelope.
    note(&store, "durable");
    assert!(matches!(store.settle(), Err(StoreError::Full)));
    assert_eq!(journaled(&world.path.join("journal")), []);
    assert_eq!(store.list(None, None, 10).unwrap().captures.len(), 1);
    assert_eq!(read_all(&store, photo.asset_id), b"photo");
    pages(1_000_000);
    assert_eq!(store.list(None, None, 10).unwrap().captures.len(), 2);
    assert_eq!(order(&store).len(), 2);
}
