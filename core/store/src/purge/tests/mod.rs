//! Purge: what goes, what stays, and what a kill leaves.

use super::{Errand, candidates, mark, removal};
use crate::tests::world::{self, World, capture, copy_folder, plain, read_all};
use crate::{
    CaptureRequest, Captured, KeptCapture, PurgeReport, PurgeRequest, Store, StoreError,
    queue::{countersigned, piece_row, step_row},
    rows,
};
use snaptrak_domain::{
    AssetState, CancelToken, KeptCode, KeyClass, KeyStoreError, PieceState, StepKind, keep::DropRule, piece::PieceEvent,
};
use snaptrak_seal::UntrustedEnvelope;
use std::path::PathBuf;

/// What the server says of a capture, whose words nobody checks here.
fn countersign(store: &Store, captured: &Captured) {
    store.sign_pending().unwrap();
    let (asset_id, capture_id, now) = (captured.asset_id, captured.capture_id, store.clock().now());
    store
        .write_with_lines(move |transaction, lines| {
            piece_row::apply_where_possible(transaction, asset_id, PieceEvent::Enqueue)?;
            let steps = step_row::of_asset(transaction, capture_id, asset_id, StepKind::FetchReceipt)?;
            countersigned::save(transaction, lines, steps[0].id, b"countersigned", now)
        })
        .unwrap();
}

fn verified(store: &Store, bytes: &[u8]) -> Captured {
    let captured = capture(store, bytes);
    countersign(store, &captured);
    captured
}

fn pieces_on_disk(store: &Store) -> Vec<PathBuf> {
    let files = world::files(store.layout().root());
    files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "piece")).collect()
}

fn purge_all(store: &Store) -> PurgeReport {
    store.purge(&PurgeRequest::default(), &|_| Ok(())).unwrap()
}

fn tombstones(store: &Store) -> Vec<bool> {
    store
        .read(|connection| rows::all(connection, "SELECT removed FROM tombstone", [], |row| Ok(row.get::<_, bool>(0)?)))
        .unwrap()
}

#[test]
fn what_is_verified_goes_and_everything_about_it_stays() {
    let world = World::new();
    let store = world.create();
    let photo = verified(&store, &plain(300_000));
    let waiting = capture(&store, &plain(1_000));
    let note = store.note(CaptureRequest::default(), "stays: it is a row").unwrap();
    countersign(&store, &note);
    let before = store.show(photo.capture_id).unwrap();
    let sealed_bytes = before.assets[0].pieces[0].bytes;

    let report = purge_all(&store);
    assert_eq!((report.purged, report.freed_bytes, report.kept_count), (1, sealed_bytes, 2));
    let kept = |id, code| KeptCapture { id, code };
    assert!(report.kept.contains(&kept(waiting.capture_id, KeptCode::NotVerified)));
    assert!(report.kept.contains(&kept(note.capture_id, KeptCode::Note)));

    let after = store.show(photo.capture_id).unwrap();
    let asset = &after.assets[0];
    assert_eq!((asset.state, asset.bytes, asset.sha256), (AssetState::Purged, photo.bytes, Some(photo.sha256)));
    assert_eq!((asset.pieces[0].state, &asset.pieces[0].path), (PieceState::Purged, &None));
    assert_eq!(asset.pieces[0].sha256, before.assets[0].pieces[0].sha256);
    let listed = store.list(Some(AssetState::Purged), None, 10).unwrap();
    assert_eq!(listed.captures[0].id, photo.capture_id);
    assert!(matches!(store.reader(photo.asset_id), Err(StoreError::Purged)));
    assert!(matches!(store.export_key(photo.asset_id), Err(StoreError::Purged)));
    assert_eq!(store.receipts(0, 10).unwrap().len(), 3);

    assert_eq!(pieces_on_disk(&store).len(), 1, "only what is not verified");
    assert_eq!(tombstones(&store), [true]);
    let envelope = UntrustedEnvelope::parse(&store.envelope_bytes(photo.asset_id).unwrap()).unwrap();
    let receipts = envelope.claims().receipt.clone().unwrap();
    assert_eq!(receipts.server.as_deref(), Some(&b"countersigned"[..]));
    assert_eq!(read_all(&store, waiting.asset_id), plain(1_000));

    let again = purge_all(&store);
    assert_eq!((again.purged, again.freed_bytes, again.kept_count), (0, 0, 2), "twice is once");
}

#[test]
fn what_is_kept_of_an_original_is_made_before_its_bytes_go_and_without_the_person_they_stay() {
    let world = World::new();
    let store = world.create();
    let [one, other] = [1, 2].map(|number| verified(&store, &plain(number * 1_000)));
    let asked = std::cell::RefCell::new(Vec::new());
    let locked = |id| {
        asked.borrow_mut().push(id);
        if id == one.capture_id { Err(StoreError::NeedsUser) } else { Err(StoreError::Full) }
    };
    let report = store.purge(&PurgeRequest::default(), &locked).unwrap();
    assert_eq!(report.purged, 1, "a full disk is no reason to keep what may go");
    assert_eq!(report.kept, [crate::KeptCapture { id: one.capture_id, code: KeptCode::NeedsUser }]);
    assert!(asked.borrow().contains(&other.capture_id));
    let bytes_are_here = |id| {
        assert_eq!(id, one.capture_id);
        assert_eq!(read_all(&store, one.asset_id), plain(1_000));
        Ok(())
    };
    assert_eq!(store.purge(&PurgeRequest::default(), &bytes_are_here).unwrap().purged, 1);
}

#[test]
fn pinned_and_open_captures_stay_and_named_ones_go_alone() {
    let world = World::new();
    let store = world.create();
    let [pinned, read, named, other] = [1, 2, 3, 4].map(|number| verified(&store, &plain(number * 1_000)));
    store.set_pinned(pinned.capture_id, true).unwrap();
    let mut reader = store.reader(read.asset_id).unwrap();
    let report = store
        .purge(
            &PurgeRequest {
                captures: vec![pinned.capture_id, read.capture_id, named.capture_id, named.capture_id],
                to_free_bytes: None,
            },
            &|_| Ok(()),
        )
        .unwrap();
    assert_eq!(report.purged, 1);
    let kept: Vec<_> = report.kept.iter().map(|kept| (kept.id, kept.code)).collect();
    assert_eq!(kept, [(pinned.capture_id, KeptCode::Pinned), (read.capture_id, KeptCode::Open)]);
    assert_eq!(reader.read_all(10_000).unwrap(), plain(2_000));
    assert_eq!(read_all(&store, other.asset_id), plain(4_000));
    assert!(matches!(store.reader(named.asset_id), Err(StoreError::Purged)));

    drop(reader);
    store.set_pinned(pinned.capture_id, false).unwrap();
    assert_eq!(purge_all(&store).purged, 3);
    let stranger = snaptrak_domain::CaptureId::from_bytes([1; 16]);
    let strange = PurgeRequest { captures: vec![stranger], to_free_bytes: None };
    assert!(matches!(store.purge(&strange, &|_| Ok(())), Err(StoreError::Missing { .. })));
    assert!(matches!(store.set_pinned(stranger, true), Err(StoreError::Missing { .. })));
}

#[test]
fn enough_is_enough_and_the_oldest_go_first() {
    let world = World::new();
    let store = world.create();
    let all: Vec<Captured> = (0..5)
        .map(|_| {
            world.clock.advance_ms(5);
            verified(&store, &plain(10_000))
        })
        .collect();
    let report = store.purge(&PurgeRequest { captures: Vec::new(), to_free_bytes: Some(15_000) }, &|_| Ok(())).unwrap();
    assert_eq!((report.purged, report.kept_count), (2, 0));
    assert!(report.freed_bytes >= 15_000);
    let left = store.list(Some(AssetState::Verified), None, 10).unwrap().captures;
    assert_eq!(
        left.iter().map(|one| one.id).collect::<Vec<_>>(),
        all[2..].iter().map(|one| one.capture_id).collect::<Vec<_>>()
    );
}

#[test]
fn broken_off_it_ends_before_the_next_capture_and_goes_on_with_the_next_call() {
    let world = World::new();
    let store = world.create();
    let all: Vec<Captured> = (0..40).map(|number| verified(&store, &plain(70_000 + number))).collect();
    let (cancel, asked) = (CancelToken::new(), std::cell::Cell::new(0));
    let at_the_thirtieth = |_| {
        asked.set(asked.get() + 1);
        if asked.get() == 30 {
            cancel.cancel();
        }
        Ok(())
    };
    let request = PurgeRequest::default();
    assert!(matches!(store.purge_until(&request, &at_the_thirtieth, &cancel), Err(StoreError::Cancelled)));
    assert_eq!(asked.get(), 30);
    let left = store.list(Some(AssetState::Verified), None, 100).unwrap().captures.len();
    assert!((10..all.len()).contains(&left), "{left} of them stay");
    assert_eq!(pieces_on_disk(&store).len(), left, "each is here as a whole or gone as a whole");
    assert_eq!(purge_all(&store).purged, left as u64);
    assert!(pieces_on_disk(&store).is_empty());
}

#[test]
fn without_the_receipt_in_its_envelope_nothing_goes() {
    let world = World::new();
    let store = world.create();
    let captured = verified(&store, &plain(10_000));
    store.forget_viewing_key();
    world.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    let report = purge_all(&store);
    assert_eq!((report.purged, report.kept[0].code), (0, KeptCode::NeedsUser));
    assert_eq!(read_all_after_unlock(&world, &store, &captured), plain(10_000));

    // A damaged envelope keeps its pieces, and the others go.
    let other = verified(&store, &plain(20_000));
    std::fs::write(store.layout().find_in_asset(captured.asset_id, "envelope.json"), "{").unwrap();
    let report = purge_all(&store);
    assert_eq!((report.purged, report.kept.len()), (1, 1));
    assert_eq!((report.kept[0].id, report.kept[0].code), (captured.capture_id, KeptCode::Damaged));
    assert!(matches!(store.reader(other.asset_id), Err(StoreError::Purged)));

    // With the receipt in its envelope, no key is needed.
    let third = verified(&store, &plain(30_000));
    store.copy_receipt_into_envelope(third.asset_id).unwrap();
    store.forget_viewing_key();
    world.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    assert_eq!(purge_all(&store).purged, 1);
}

fn read_all_after_unlock(world: &World, store: &Store, captured: &Captured) -> Vec<u8> {
    world.key_store.answer(KeyClass::Viewing, None);
    store.unlock().unwrap();
    read_all(store, captured.asset_id)
}

/// The store's folder as a kill would leave it now.
fn killed(world: &World, name: &str) -> PathBuf {
    let image = world.path.with_file_name(name);
    copy_folder(&world.path, &image);
    image
}

#[test]
fn killed_at_every_step_it_is_all_there_or_finished_at_the_next_opening() {
    let world = World::new();
    let store = world.create();
    let captured: Vec<Captured> = (1..=3).map(|number| verified(&store, &plain(number * 40_000))).collect();
    let waiting = capture(&store, &plain(5_000));
    // Keeps the chores of this store from doing what the next one's are to do.
    let alone = store.inner.files.remove_alone();
    let errand = Errand::new(DropRule::ByHand, None, u64::MAX, &|_| Ok(()));
    let found = store.read(|connection| candidates::verified(connection, super::Rendition::Original, None)).unwrap();
    let mut images = vec![(killed(&world, "before"), false)];
    for candidate in &found {
        assert_eq!(store.why_kept(&errand, candidate).unwrap(), None);
        images.push((killed(&world, &format!("receipt-{}", candidate.asset_id)), false));
    }
    let marked = mark::mark(&store, DropRule::ByHand, &found).unwrap();
    let doomed: Vec<removal::Doomed> = marked.into_iter().flat_map(Result::unwrap).collect();
    images.push((killed(&world, "marked"), true));
    for file in &doomed {
        removal::remove(&store.inner.files, &[*file]).unwrap();
        images.push((killed(&world, &format!("removed-{}", file.asset_id)), true));
    }
    store.write(move |transaction| removal::note_removed(transaction, &doomed)).unwrap();
    images.push((killed(&world, "noted"), true));
    drop(alone);
    drop(store);

    for (image, marked) in images {
        // Opened twice: what the first opening's chores finish stays finished.
        Store::open(&image, world.surroundings()).unwrap().close().unwrap();
        let store = Store::open(&image, world.surroundings()).unwrap();
        for one in &captured {
            if marked {
                assert!(matches!(store.reader(one.asset_id), Err(StoreError::Purged)), "{image:?}");
            } else {
                assert_eq!(read_all(&store, one.asset_id).len() as u64, one.bytes, "{image:?}");
            }
        }
        assert_eq!(read_all(&store, waiting.asset_id), plain(5_000));
        assert_eq!(pieces_on_disk(&store).len(), if marked { 1 } else { 4 }, "{image:?}");
        assert_eq!(tombstones(&store), if marked { vec![true; 3] } else { vec![] }, "{image:?}");
        assert_eq!(purge_all(&store).purged, if marked { 0 } else { 3 }, "{image:?}");
        assert_eq!(pieces_on_disk(&store).len(), 1);
    }
}

#[test]
fn a_reader_that_was_quicker_reads_to_its_end() {
    let world = World::new();
    let store = world.create();
    let captured = verified(&store, &plain(200_000));
    let found = store.read(|connection| candidates::verified(connection, super::Rendition::Original, None)).unwrap();
    let errand = Errand::new(DropRule::ByHand, None, u64::MAX, &|_| Ok(()));
    assert_eq!(store.why_kept(&errand, &found[0]).unwrap(), None);
    let marked = mark::mark(&store, DropRule::ByHand, &found).unwrap();
    let doomed: Vec<removal::Doomed> = marked.into_iter().flat_map(Result::unwrap).collect();
    // As if it had begun before the transaction: it was counted, and saw the rows of before.
    let reading = store.inner.files.in_use.enter(captured.asset_id);
    assert_eq!(removal::remove(&store.inner.files, &doomed).unwrap(), []);
    assert_eq!(pieces_on_disk(&store).len(), 1);
    drop(reading);
    store.close().unwrap();
    let store = world.open();
    assert_eq!((pieces_on_disk(&store).len(), tombstones(&store)), (0, vec![true]));
}

#[test]
fn the_quota_drops_the_oldest_that_nobody_wants_and_refuses_nothing() {
    let world = World::new();
    let store = world.create();
    let all: Vec<Captured> = (0..8)
        .map(|_| {
            world.clock.advance_ms(5);
            verified(&store, &plain(10_000))
        })
        .collect();
    let waiting = capture(&store, &plain(100_000));
    let one = store.local_bytes().unwrap() - store.show(waiting.capture_id).unwrap().assets[0].pieces[0].bytes;
    let one = one / 8;
    store.set_pinned(all[0].capture_id, true).unwrap();
    store.viewed(all[1].capture_id);
    let reader = store.reader(all[2].asset_id).unwrap();
    assert_eq!(store.drop_to_quota(u64::MAX, u64::MAX, &|_| Ok(())).unwrap(), PurgeReport::default());

    let quota = store.local_bytes().unwrap() - 2 * one;
    assert_eq!(store.drop_to_quota(quota, u64::MAX, &|_| Ok(())).unwrap().purged, 2);
    assert_eq!(store.local_bytes().unwrap(), quota);
    let purged = |store: &Store| {
        let page = store.list(Some(AssetState::Purged), None, 100).unwrap();
        page.captures.iter().map(|capture| capture.id).collect::<Vec<_>>()
    };
    assert_eq!(purged(&store), [all[3].capture_id, all[4].capture_id], "the oldest that may go");
    assert_eq!(store.drop_to_quota(quota, u64::MAX, &|_| Ok(())).unwrap().purged, 0, "the quota is kept");

    assert_eq!(store.drop_to_quota(0, 1, &|_| Ok(())).unwrap().purged, 1, "one at a time");
    store.drop_to_quota(0, u64::MAX, &|_| Ok(())).unwrap();
    assert_eq!(purged(&store).len(), 5, "pinned, viewed, open and not verified stay: {:?}", purged(&store));
    assert_eq!(read_all(&store, waiting.asset_id), plain(100_000));
    drop(reader);
    world.clock.advance_ms(snaptrak_domain::limits::VIEWED_KEPT_MS);
    store.drop_to_quota(0, u64::MAX, &|_| Ok(())).unwrap();
    assert_eq!(read_all(&store, all[0].asset_id), plain(10_000));
    assert_eq!(purged(&store).len(), 7, "a view is forgotten after a day, a pin never");
}

#[test]
fn a_view_is_written_once_an_hour() {
    let world = World::new();
    let store = world.create();
    let captured = verified(&store, &plain(1_000));
    let viewed = || {
        store.read(|connection| rows::first(connection, "SELECT viewed_ms FROM keep", [], |row| rows::unix_ms(row, 0)))
    };
    store.viewed(captured.capture_id);
    let first = viewed().unwrap();
    world.clock.advance_ms(59 * 60 * 1000);
    store.viewed(captured.capture_id);
    assert_eq!(viewed().unwrap(), first);
    world.clock.advance_ms(60 * 1000);
    store.viewed(captured.capture_id);
    assert!(viewed().unwrap() > first);
}
