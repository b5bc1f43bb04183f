//! Recordings: safe piece by piece, closed by whoever comes next.

use super::world::{World, files, plain, read_all};
use crate::{CaptureRequest, PieceDone, RecordOptions, Recording, Store, StoreError, layout, rows};
use snaptrak_domain::{AssetState, CaptureMetadata, EndedBecause, Kind};
use snaptrak_seal::{
    piece::{FIRST_SEGMENT_PLAIN_BYTES, HEADER_BYTES, LATER_SEGMENT_PLAIN_BYTES, SEGMENT_BYTES},
    sha256,
};

const PIECE: usize = 33_554_432;

fn video() -> CaptureRequest {
    CaptureRequest { kind: Some(Kind::Video), ..CaptureRequest::default() }
}

fn metadata(store: &Store) -> CaptureMetadata {
    let text: String = store
        .read(|connection| rows::only(connection, "SELECT metadata FROM capture", [], |row| Ok(row.get(0)?)))
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

/// As a kill leaves it: nothing of the recording runs any more, and its destructor did not either.
fn kill(recording: Recording, store: Store, world: &World) -> std::path::PathBuf {
    let copy = world.path.with_file_name("killed");
    super::world::copy_folder(&world.path, &copy);
    drop(recording);
    store.close().unwrap();
    copy
}

#[test]
fn pieces_are_durable_as_they_fill_and_the_whole_comes_back() {
    let world = World::new();
    let store = world.create();
    let bytes = plain(PIECE + 100_000);
    let mut recording = store.record(video()).unwrap();
    let asset_id = recording.asset_id();
    let mut done = Vec::new();
    for chunk in bytes.chunks(1_000_003) {
        done.extend(recording.write(chunk).unwrap());
    }
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].index, done[0].bytes), (0, PIECE as u64));
    let recorded = recording.finish().unwrap();
    assert_eq!(recorded.last_pieces, [PieceDone { index: 1, bytes: 100_000 }]);
    assert_eq!((recorded.pieces, recorded.ended_because), (2, EndedBecause::InputEnded));
    let captured = recorded.captured;
    assert_eq!((captured.bytes, captured.sha256), (bytes.len() as u64, sha256(&bytes)));
    assert_eq!((captured.kind, captured.state), (Kind::Video, AssetState::Prepared));
    assert!(read_all(&store, asset_id) == bytes);
    store.close().unwrap();
    let store = world.open();
    assert!(read_all(&store, asset_id) == bytes);
    assert_eq!(store.receipts(0, 10).unwrap().len(), 1);
    assert!(!metadata(&store).interrupted);
}

#[test]
fn a_killed_recording_keeps_its_pieces_and_its_complete_segments() {
    let world = World::new();
    let store = world.create();
    let bytes = plain(PIECE + 300_000);
    let mut recording = store.record(video()).unwrap();
    let asset_id = recording.asset_id();
    recording.write(&bytes).unwrap();
    let killed = kill(recording, store, &world);
    let store = Store::open(&killed, world.surroundings()).unwrap();
    let kept = read_all(&store, asset_id);
    // Five segments of the second piece hold 300,000 bytes; the fifth was still open.
    assert_eq!(kept.len(), PIECE + 65_480 + 3 * 65_520);
    assert!(bytes.starts_with(&kept));
    assert!(metadata(&store).interrupted, "the capture says so");
    let receipts = store.receipts(0, 10).unwrap();
    assert_eq!(receipts.len(), 1);
    store.close().unwrap();
    let store = Store::open(&killed, world.surroundings()).unwrap();
    assert_eq!(store.receipts(0, 10).unwrap().len(), 1);
    assert!(read_all(&store, asset_id) == kept);
    assert_eq!(files(&killed.join("incoming")).len(), 0);
}

fn captures(store: &Store) -> u64 {
    store
        .read(|connection| rows::only(connection, "SELECT count(*) FROM capture", [], |row| rows::count(row, 0)))
        .unwrap()
}

/// Lengths of a file around each of its edges: of its header, and of so many segments.
fn lengths_around_edges(segments: usize) -> Vec<usize> {
    let edges = (1..=segments).map(|number| number * SEGMENT_BYTES);
    let around = std::iter::once(HEADER_BYTES).chain(edges).flat_map(|edge| [edge - 1, edge, edge + 1]);
    std::iter::once(0).chain(around).collect()
}

#[test]
fn wherever_the_open_piece_breaks_off_its_complete_segments_are_kept() {
    let open = FIRST_SEGMENT_PLAIN_BYTES + 3 * LATER_SEGMENT_PLAIN_BYTES + 5_000;
    for finished in [0, 100_000] {
        let world = World::new();
        let store = world.create();
        let bytes = plain(finished + open);
        // The first piece is finished by time, so that the next one has room for all the rest.
        let options = RecordOptions { piece_ms: 1_000, ..RecordOptions::default() };
        let mut recording = store.record_with(video(), options).unwrap();
        let asset_id = recording.asset_id();
        recording.write(&bytes[..finished]).unwrap();
        world.clock.advance_ms(1_000);
        let done = recording.tick().unwrap();
        assert_eq!(done.len(), usize::from(finished > 0));
        recording.write(&bytes[finished..]).unwrap();
        let killed = kill(recording, store, &world);
        for length in lengths_around_edges(4) {
            let cut = world.path.with_file_name(format!("cut at {length}"));
            super::world::copy_folder(&killed, &cut);
            let name = layout::piece_name(done.len() as u32);
            let piece = cut.join("incoming").join(asset_id.to_string()).join(name);
            let file = std::fs::OpenOptions::new().write(true).open(&piece).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 4 * SEGMENT_BYTES as u64, "the fifth segment is open");
            // One byte more than there is reads as zero, as after a power cut.
            file.set_len(length as u64).unwrap();
            let kept = finished
                + match length / SEGMENT_BYTES {
                    0 => 0,
                    segments => FIRST_SEGMENT_PLAIN_BYTES + (segments - 1) * LATER_SEGMENT_PLAIN_BYTES,
                };
            for _ in 0..2 {
                let store = Store::open(&cut, world.surroundings()).unwrap();
                assert_eq!(captures(&store), u64::from(kept > 0), "{length}");
                if kept > 0 {
                    assert!(read_all(&store, asset_id) == bytes[..kept], "{length}");
                    let metadata = metadata(&store);
                    assert!(metadata.interrupted && metadata.interrupted_at_bytes == Some(kept as u64), "{length}");
                    assert_eq!(metadata.ended_because, Some(EndedBecause::Interrupted));
                }
                assert_eq!(store.receipts(0, 10).unwrap().len(), usize::from(kept > 0));
                store.close().unwrap();
            }
            assert_eq!(files(&cut.join("incoming")).len(), 0, "{length}");
        }
    }
}

#[test]
fn killed_between_a_finished_piece_and_its_envelope() {
    let world = World::new();
    let store = world.create();
    let bytes = plain(200_000);
    let mut recording = store.record(video()).unwrap();
    let asset_id = recording.asset_id();
    recording.write(&bytes).unwrap();
    let incoming = store.layout().incoming_asset(asset_id);
    let envelope = std::fs::read(incoming.join("envelope.json")).unwrap();
    let copy = world.path.with_file_name("killed");
    super::world::copy_folder(&world.path, &copy);
    recording.finish().unwrap();
    let folder = store.layout().find_in_asset(asset_id, "00000000.piece");
    let target = copy.join("incoming").join(asset_id.to_string());
    std::fs::copy(folder, target.join("00000000.piece")).unwrap();
    std::fs::write(target.join("envelope.json"), envelope).unwrap();
    store.close().unwrap();
    let store = Store::open(&copy, world.surroundings()).unwrap();
    assert!(read_all(&store, asset_id) == bytes, "the piece was whole");
}

#[test]
fn a_recording_without_a_byte_leaves_nothing() {
    let world = World::new();
    let store = world.create();
    let empty = store.record(video()).unwrap().finish();
    assert!(matches!(empty, Err(StoreError::Refused { code: "empty" })));
    let killed = kill(store.record(video()).unwrap(), store, &world);
    for store in [world.open(), Store::open(&killed, world.surroundings()).unwrap()] {
        assert_eq!(captures(&store), 0);
        assert_eq!(std::fs::read_dir(store.layout().incoming()).unwrap().count(), 0);
    }
}

#[test]
fn a_dropped_recording_is_closed_with_what_it_has() {
    let world = World::new();
    let store = world.create();
    let mut recording = store.record(CaptureRequest::default()).unwrap();
    let asset_id = recording.asset_id();
    recording.write(b"OggS and so on").unwrap();
    drop(recording);
    assert_eq!(read_all(&store, asset_id), b"OggS and so on");
    assert_eq!((metadata(&store).kind, metadata(&store).content_type.as_str()), (Kind::Audio, "audio/ogg"));
}

#[test]
fn no_other_owner_comes_while_a_recording_may_still_write() {
    let world = World::new();
    let store = world.create();
    let mut recording = store.record(video()).unwrap();
    let asset_id = recording.asset_id();
    recording.write(&plain(100_000)).unwrap();
    store.close().unwrap();
    assert!(matches!(world.try_open(), Err(StoreError::InUse)));
    assert!(matches!(recording.finish(), Err(StoreError::Closed)));
    let store = world.open();
    assert!(read_all(&store, asset_id) == plain(100_000), "closed by the next opening");
}
