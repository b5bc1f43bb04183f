//! Thumbnails: kept once, staying here, and found again after a kill at every step of making one.

use super::world::{World, copy_folder, plain, read_all};
use crate::{Analysis, CaptureRequest, Store, StoreError, layout, rows};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, Kind, PieceState, Reason, ReasonCode, Rendition, StepKind, StepState, UnixMs,
    queue_store::QueueStore,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn photo(store: &Store) -> CaptureId {
    let request = CaptureRequest { kind: Some(Kind::Photo), ..CaptureRequest::default() };
    store.capture(request, &mut &plain(2_000)[..]).unwrap().capture_id
}

fn step(store: &Store, id: CaptureId) -> (StepState, Option<ReasonCode>) {
    let steps = store.show(id).unwrap().steps;
    let step = steps.into_iter().find(|step| step.step == StepKind::Thumbnail).unwrap();
    (step.state, step.reason.map(|reason| reason.code))
}

fn thumbnails(store: &Store, id: CaptureId) -> Vec<AssetId> {
    let assets = store.show(id).unwrap().assets;
    assets.into_iter().filter(|asset| asset.rendition == Rendition::Thumbnail).map(|asset| asset.asset_id).collect()
}

fn incoming(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("incoming")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn it_is_kept_once_beside_its_original_and_does_not_leave() {
    let world = World::new();
    let store = world.create();
    let id = photo(&store);
    let before = store.show(id).unwrap();
    assert_eq!(store.waiting_thumbnails(Analysis::Waiting, 0, 9).unwrap()[0].capture_id, id);
    assert_eq!(store.waiting_thumbnails(Analysis::Settled, 0, 9).unwrap(), [], "its analysis has not settled");
    let asset_id = store.add_derived(id, Rendition::Thumbnail, b"small").unwrap();
    assert_eq!(store.add_derived(id, Rendition::Thumbnail, b"another").unwrap(), asset_id);
    assert_eq!(read_all(&store, asset_id), b"small");
    assert_eq!(store.waiting_thumbnails(Analysis::Waiting, 0, 9).unwrap(), []);
    store.close().unwrap();

    let store = world.open();
    let shown = store.show(id).unwrap();
    assert_eq!(shown.assets[0].state, before.assets[0].state, "the original knows nothing of it");
    let small = &shown.assets[1];
    assert_eq!((small.asset_id, small.rendition, small.state), (asset_id, Rendition::Thumbnail, AssetState::Withheld));
    assert_eq!((small.bytes, small.pieces[0].state), (5, PieceState::Sealed));
    assert!(small.pieces[0].path.as_ref().unwrap().starts_with(store.layout().settled_asset(asset_id)));
    assert_eq!(step(&store, id), (StepState::Done, None));
    assert_eq!(read_all(&store, asset_id), b"small");
    assert_eq!(QueueStore::record(&store, id).unwrap().assets.len(), 1, "the API is not told");
    assert_eq!(store.receipts(0, 9).unwrap().len(), 1);
    store.enqueue(UnixMs(i64::MAX)).unwrap();
    assert_eq!(store.show(id).unwrap().assets[1].pieces[0].state, PieceState::Sealed);
    let steps = |kind| store.ready(kind, UnixMs(i64::MAX), 9).unwrap();
    assert!(
        [StepKind::SendPiece, StepKind::SendEnvelope]
            .iter()
            .all(|kind| { steps(*kind).iter().all(|step| step.asset_id != Some(asset_id)) })
    );
}

#[test]
fn what_cannot_be_seen_small_says_why_and_may_still_be_given() {
    let world = World::new();
    let store = world.create();
    let id = photo(&store);
    store.give_up_thumbnail(id, &Reason::new(ReasonCode::DecoderMissing)).unwrap();
    assert_eq!(step(&store, id), (StepState::Cancelled, Some(ReasonCode::DecoderMissing)));
    assert_eq!(store.status().unwrap().parked, []);
    assert_eq!(store.waiting_thumbnails(Analysis::Waiting, 0, 9).unwrap(), []);
    store.add_derived(id, Rendition::Thumbnail, b"given by the app").unwrap();
    assert_eq!(step(&store, id), (StepState::Done, None));
    store.give_up_thumbnail(id, &Reason::new(ReasonCode::DecoderMissing)).unwrap();
    assert_eq!(step(&store, id), (StepState::Done, None), "there is one");
}

#[test]
fn it_holds_up_neither_prepared_nor_sending() {
    let world = World::new();
    let store = world.create();
    let request = CaptureRequest { kind: Some(Kind::Video), ..CaptureRequest::default() };
    let video = store.capture(request, &mut &plain(2_000)[..]).unwrap();
    assert_eq!(video.state, AssetState::Prepared);
    assert_eq!(step(&store, video.capture_id).0, StepState::Waiting);
    let [waiting] = store.waiting_thumbnails(Analysis::Settled, 0, 9).unwrap()[..] else { panic!("one") };
    assert_eq!(store.waiting_thumbnails(Analysis::Settled, waiting.step_id, 9).unwrap(), [], "the page after it");
    store.give_up_thumbnail(video.capture_id, &Reason::new(ReasonCode::NotAPicture)).unwrap();
    assert_eq!(store.show(video.capture_id).unwrap().assets[0].state, AssetState::Prepared);
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let world = World::new();
    let store = world.create();
    let id = photo(&store);
    let nobody = CaptureId::from_bytes([9; 16]);
    let refused = |id, rendition, bytes: &[u8]| store.add_derived(id, rendition, bytes).unwrap_err();
    assert!(matches!(refused(id, Rendition::Original, b"x"), StoreError::Refused { code: "rendition" }));
    assert!(matches!(refused(id, Rendition::Thumbnail, b""), StoreError::Refused { code: "empty" }));
    assert!(matches!(refused(nobody, Rendition::Thumbnail, b"x"), StoreError::Missing { .. }));
    assert_eq!(thumbnails(&store, id), []);
    store.close().unwrap();
    assert_eq!(incoming(&world.path), [] as [PathBuf; 0]);
}

/// A closed store with the folder of a thumbnail in `incoming/` that its rows know nothing of, and with its capture's rows or
/// without them too.
fn killed_before_rows(with_capture: bool) -> (World, CaptureId, PathBuf) {
    let world = World::new();
    let before = world.path.with_file_name("before");
    let store = world.create();
    store.close().unwrap();
    if !with_capture {
        copy_folder(&world.path, &before);
    }
    let store = world.open();
    let id = photo(&store);
    store.close().unwrap();
    if with_capture {
        copy_folder(&world.path, &before);
    }
    let store = world.open();
    let asset_id = store.add_derived(id, Rendition::Thumbnail, b"small").unwrap();
    let settled = store.layout().settled_asset(asset_id);
    store.close().unwrap();
    let folder = world.path.with_file_name("asset");
    copy_folder(&settled, &folder);
    fs::remove_dir_all(&world.path).unwrap();
    fs::rename(before, &world.path).unwrap();
    let incoming = world.path.join("incoming").join(asset_id.to_string());
    fs::rename(folder, &incoming).unwrap();
    (world, id, incoming)
}

#[test]
fn killed_at_any_step_it_is_swept_or_adopted_and_made_again_without_harm() {
    for names in [&[][..], &["00000000.piece"], &["00000000.piece", "envelope.json.new"]] {
        let (world, id, folder) = killed_before_rows(true);
        for name in ["00000000.piece", "envelope.json"] {
            fs::remove_file(folder.join(name)).unwrap();
        }
        names.iter().for_each(|name| fs::write(folder.join(name), b"half").unwrap());
        let store = world.open();
        assert!(!folder.exists(), "without an envelope nothing can ever open it");
        assert_eq!(thumbnails(&store, id), []);
        assert_eq!(step(&store, id).0, StepState::Waiting);
        store.add_derived(id, Rendition::Thumbnail, b"again").unwrap();
    }
    let (world, id, folder) = killed_before_rows(true);
    for _ in 0..2 {
        let store = world.open();
        let [asset_id] = thumbnails(&store, id)[..] else { panic!("one thumbnail") };
        assert_eq!(read_all(&store, asset_id), b"small");
        assert_eq!(step(&store, id), (StepState::Done, None));
        assert_eq!(store.receipts(0, 9).unwrap().len(), 1, "the original's");
        let captures = store
            .read(|connection| rows::only(connection, "SELECT count(*) FROM capture", [], |row| rows::count(row, 0)));
        assert_eq!(captures.unwrap(), 1);
        store.close().unwrap();
        assert!(!folder.exists());
    }
}

#[test]
fn the_second_of_two_that_were_made_is_swept() {
    let (world, id, folder) = killed_before_rows(true);
    let aside = world.path.with_file_name("aside");
    fs::rename(&folder, &aside).unwrap();
    let store = world.open();
    let first = store.add_derived(id, Rendition::Thumbnail, b"first").unwrap();
    store.close().unwrap();
    fs::rename(&aside, &folder).unwrap();
    let store = world.open();
    assert_eq!(thumbnails(&store, id), [first]);
    assert!(!folder.exists());
    assert_eq!(read_all(&store, first), b"first");
}

#[test]
fn one_whose_capture_is_not_known_stays_where_it_is() {
    let (world, id, folder) = killed_before_rows(false);
    let store = world.open();
    assert!(matches!(store.show(id), Err(StoreError::Missing { .. })));
    store.close().unwrap();
    assert!(folder.join(layout::ENVELOPE_NAME).exists());
}
