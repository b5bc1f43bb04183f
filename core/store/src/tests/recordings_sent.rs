//! A recording leaves while it goes on: steps, envelope, the end, and being taken back.

use super::world::{World, plain, read_all};
use crate::{CaptureRequest, RecordOptions, Recording, Store, StoreError, rows};
use snaptrak_domain::{
    AccountId, AssetState, DeviceId, Kind, OrganisationId, PieceState, Reason, ReasonCode, Sha256Digest, StepKind,
    StepState,
    outcome::Outcome,
    queue_store::{AttemptEnd, Enrolment, PieceBytes, QueueStore, ReadyStep},
};
use snaptrak_seal::UntrustedEnvelope;

const PIECE_BYTES: usize = 100_000;
const LEASE_MS: i64 = 60_000;

fn enrolled(world: &World) -> Store {
    let store = world.create();
    let enrolment = Enrolment {
        server: "http://127.0.0.1:1".to_owned(),
        account_id: AccountId::from_bytes([1; 16]),
        organisation_id: OrganisationId::from_bytes([2; 16]),
        device_id: DeviceId::from_bytes([3; 16]),
        trust_root: Sha256Digest([4; 32]),
        trust_root_given: true,
    };
    store.save_enrolment(&enrolment, b"bundle").unwrap();
    store
}

fn begin(store: &Store) -> Recording {
    let request = CaptureRequest { kind: Some(Kind::Video), ..CaptureRequest::default() };
    let options = RecordOptions { piece_bytes: PIECE_BYTES as u64, ..RecordOptions::default() };
    store.record_with(request, options).unwrap()
}

fn ready(world: &World, store: &Store, kind: StepKind) -> Vec<ReadyStep> {
    use snaptrak_domain::Clock;
    store.enqueue(world.clock.now()).unwrap();
    store.ready(kind, world.clock.now(), 100).unwrap()
}

fn take(world: &World, store: &Store, step: &ReadyStep) {
    use snaptrak_domain::Clock;
    store.begin(step.step_id, world.clock.now(), LEASE_MS).unwrap();
}

fn end(world: &World, store: &Store, step: &ReadyStep, outcome: Outcome) -> StepState {
    use snaptrak_domain::Clock;
    let end = AttemptEnd { step_id: step.step_id, outcome, piece_event: None, now: world.clock.now(), jitter: 0 };
    store.end(end).unwrap().state
}

/// Does everything of a kind that is ready; how many steps that were.
fn send(world: &World, store: &Store, kind: StepKind) -> usize {
    let steps = ready(world, store, kind);
    for step in &steps {
        take(world, store, step);
        assert_eq!(end(world, store, step, Outcome::Done), StepState::Done);
    }
    steps.len()
}

fn pieces_of_envelope(store: &Store, recording: &Recording) -> (usize, bool) {
    let sent = store.envelope(recording.asset_id(), &[]).unwrap();
    let parsed = UntrustedEnvelope::parse(&sent.bytes).unwrap();
    (parsed.claims().pieces.len(), parsed.claims().closed)
}

#[test]
fn finished_pieces_leave_before_the_end_and_the_receipt_comes_after_it() {
    let world = World::new();
    let store = enrolled(&world);
    let bytes = plain(2 * PIECE_BYTES + 5);
    let mut recording = begin(&store);
    recording.write(&bytes[..PIECE_BYTES - 1]).unwrap();
    for kind in StepKind::ALL {
        assert_eq!(ready(&world, &store, kind), vec![], "nothing leaves before the first piece is finished: {kind:?}");
    }
    recording.write(&bytes[PIECE_BYTES - 1..2 * PIECE_BYTES]).unwrap();
    let (capture_id, asset_id) = (recording.capture_id(), recording.asset_id());
    assert_eq!(send(&world, &store, StepKind::SendRecord), 1);
    assert_eq!(pieces_of_envelope(&store, &recording), (2, false));
    assert_eq!(send(&world, &store, StepKind::SendEnvelope), 1);
    assert_eq!(send(&world, &store, StepKind::SendPiece), 2);
    assert_eq!(ready(&world, &store, StepKind::FetchReceipt), vec![]);
    let why = || store.why(capture_id, snaptrak_domain::Clock::now(&*world.clock)).unwrap();
    assert_eq!((why().state, why().reason.code), (AssetState::Recording, ReasonCode::Recording));

    recording.write(&bytes[2 * PIECE_BYTES..]).unwrap();
    let recorded = recording.finish().unwrap();
    assert_eq!((recorded.pieces, recorded.captured.state), (3, AssetState::Prepared));
    assert_eq!(ready(&world, &store, StepKind::FetchReceipt), vec![], "it waits for the last piece and the envelope");
    assert_eq!((send(&world, &store, StepKind::SendRecord), send(&world, &store, StepKind::SendEnvelope)), (0, 1));
    assert_eq!(send(&world, &store, StepKind::SendPiece), 1);
    assert_eq!(why().reason.code, ReasonCode::VerificationPending);
    let receipt = ready(&world, &store, StepKind::FetchReceipt);
    store.save_countersigned(receipt[0].step_id, b"signed", snaptrak_domain::Clock::now(&*world.clock)).unwrap();
    assert_eq!(why().state, AssetState::Verified);
    assert!(read_all(&store, asset_id) == bytes);
    store.close().unwrap();
    assert!(read_all(&world.open(), asset_id) == bytes);
}

#[test]
fn an_envelope_is_sent_again_once_for_many_pieces_and_at_once_at_the_end() {
    let world = World::new();
    let store = enrolled(&world);
    let bytes = plain(PIECE_BYTES);
    let mut recording = begin(&store);
    recording.write(&bytes).unwrap();
    send(&world, &store, StepKind::SendRecord);
    assert_eq!(send(&world, &store, StepKind::SendEnvelope), 1);
    for _ in 0..5 {
        recording.write(&bytes).unwrap();
        assert_eq!(ready(&world, &store, StepKind::SendEnvelope), vec![], "a burst of pieces waits together");
    }
    world.clock.advance_ms(2_000);
    assert_eq!(send(&world, &store, StepKind::SendEnvelope), 1);
    recording.write(&bytes).unwrap();
    recording.finish().unwrap();
    assert_eq!(send(&world, &store, StepKind::SendEnvelope), 1, "the end does not wait");
}

#[test]
fn an_answer_to_an_older_envelope_settles_nothing() {
    let world = World::new();
    let store = enrolled(&world);
    let bytes = plain(PIECE_BYTES);
    let mut recording = begin(&store);
    recording.write(&bytes).unwrap();
    send(&world, &store, StepKind::SendRecord);
    let step = ready(&world, &store, StepKind::SendEnvelope).remove(0);
    take(&world, &store, &step);
    recording.write(&bytes).unwrap();
    assert_eq!(end(&world, &store, &step, Outcome::Done), StepState::Waiting, "it lists a piece less");
    world.clock.advance_ms(2_000);
    let step = ready(&world, &store, StepKind::SendEnvelope).remove(0);
    take(&world, &store, &step);
    recording.finish().unwrap();
    assert_eq!(end(&world, &store, &step, Outcome::Done), StepState::Waiting, "it was not closed");
    send(&world, &store, StepKind::SendPiece);
    assert_eq!(ready(&world, &store, StepKind::FetchReceipt), vec![]);
    send(&world, &store, StepKind::SendEnvelope);
    assert_eq!(ready(&world, &store, StepKind::FetchReceipt).len(), 1);
}

#[test]
fn a_file_that_is_being_sent_stays_where_it_is() {
    let world = World::new();
    let store = enrolled(&world);
    let mut recording = begin(&store);
    recording.write(&plain(2 * PIECE_BYTES)).unwrap();
    let asset_id = recording.asset_id();
    send(&world, &store, StepKind::SendRecord);
    let steps = ready(&world, &store, StepKind::SendPiece);
    let path = |index| match store.piece(asset_id, index).unwrap().source {
        PieceBytes::File(path) => path,
        PieceBytes::Inline(_) => panic!("a file"),
    };
    take(&world, &store, &steps[0]);
    let first = path(0);
    recording.finish().unwrap();
    take(&world, &store, &steps[1]);
    let second = path(1);
    store.sign_pending().unwrap();
    assert!(first.exists() && second.exists() && first.parent() == second.parent());
    for step in &steps {
        end(&world, &store, step, Outcome::Done);
    }
    store.close().unwrap();
    assert!(!first.exists(), "moved once nobody sends");
    assert_eq!(read_all(&world.open(), asset_id).len(), 2 * PIECE_BYTES);
}

#[test]
fn what_a_kill_left_goes_on_where_the_server_is() {
    let world = World::new();
    let store = enrolled(&world);
    let bytes = plain(2 * PIECE_BYTES + 70_000);
    let mut recording = begin(&store);
    recording.write(&bytes).unwrap();
    let (capture_id, asset_id) = (recording.capture_id(), recording.asset_id());
    send(&world, &store, StepKind::SendRecord);
    send(&world, &store, StepKind::SendEnvelope);
    let first = ready(&world, &store, StepKind::SendPiece).remove(0);
    take(&world, &store, &first);
    end(&world, &store, &first, Outcome::Done);
    let copy = world.path.with_file_name("killed");
    super::world::copy_folder(&world.path, &copy);
    drop(recording);
    store.close().unwrap();
    let store = Store::open(&copy, world.surroundings()).unwrap();
    assert_eq!(send(&world, &store, StepKind::SendEnvelope), 1, "closed, and with one piece more");
    assert_eq!(send(&world, &store, StepKind::SendPiece), 2, "the one that was sent is not sent again");
    assert_eq!(ready(&world, &store, StepKind::FetchReceipt).len(), 1);
    let detail = store.show(capture_id).unwrap();
    assert!(detail.metadata.interrupted);
    assert_eq!(detail.metadata.interrupted_at_bytes, Some(2 * PIECE_BYTES as u64 + 65_480));
    assert!(detail.metadata.interrupted_at_ms.is_some());
    assert!(bytes.starts_with(&read_all(&store, asset_id)));
}

fn rows_of(store: &Store, table: &'static str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    store.read(|connection| rows::only(connection, &sql, [], |row| rows::count(row, 0))).unwrap()
}

#[test]
fn taken_back_before_anything_left_nothing_remains() {
    for pieces in [0, 2] {
        let world = World::new();
        let store = enrolled(&world);
        let mut recording = begin(&store);
        recording.write(&plain(pieces * PIECE_BYTES + 10)).unwrap();
        recording.cancel().unwrap();
        for table in ["capture", "asset", "piece", "step", "receipt"] {
            assert_eq!(rows_of(&store, table), 0, "{table}");
        }
        assert_eq!(std::fs::read_dir(world.path.join("incoming")).unwrap().count(), 0);
        store.close().unwrap();
        assert_eq!(rows_of(&world.open(), "capture"), 0);
    }
}

#[test]
fn taken_back_after_something_left_it_says_so() {
    let world = World::new();
    let store = enrolled(&world);
    let mut recording = begin(&store);
    recording.write(&plain(3 * PIECE_BYTES)).unwrap();
    let capture_id = recording.capture_id();
    send(&world, &store, StepKind::SendRecord);
    let steps = ready(&world, &store, StepKind::SendPiece);
    take(&world, &store, &steps[0]);
    end(&world, &store, &steps[0], Outcome::Done);
    take(&world, &store, &steps[1]);
    recording.cancel().unwrap();
    // The answer of the transfer that was under way changes nothing any more.
    assert_eq!(end(&world, &store, &steps[1], Outcome::Done), StepState::Cancelled);
    let why = store.why(capture_id, snaptrak_domain::Clock::now(&*world.clock)).unwrap();
    assert_eq!((why.state, why.reason.code), (AssetState::Cancelled, ReasonCode::Cancelled));
    assert_eq!(why.reason.parameters.get("pieces_at_server").map(String::as_str), Some("1"));
    for kind in [StepKind::SendEnvelope, StepKind::SendPiece, StepKind::FetchReceipt] {
        assert_eq!(ready(&world, &store, kind), vec![], "{kind:?}");
    }
    let detail = store.show(capture_id).unwrap();
    assert!(detail.assets[0].pieces.iter().all(|piece| piece.state == PieceState::Cancelled));
    assert_eq!(std::fs::read_dir(world.path.join("incoming")).unwrap().count(), 0);
    store.close().unwrap();
    assert_eq!(world.open().show(capture_id).unwrap().assets[0].state, AssetState::Cancelled);
}

#[test]
fn killed_while_it_is_taken_back_the_next_opening_does_the_rest() {
    for rows_are_settled in [false, true] {
        let world = World::new();
        let store = enrolled(&world);
        let mut recording = begin(&store);
        recording.write(&plain(PIECE_BYTES + 10)).unwrap();
        let (asset_id, layout) = (recording.asset_id(), store.layout().clone());
        let kept = world.path.with_file_name("kept");
        super::world::copy_folder(&layout.incoming_asset(asset_id), &kept);
        if rows_are_settled {
            recording.cancel().unwrap();
        } else {
            let copy = world.path.with_file_name("copy");
            super::world::copy_folder(&world.path, &copy);
            drop(recording);
            store.clone().close().unwrap();
            std::fs::remove_dir_all(&world.path).unwrap();
            std::fs::rename(copy, &world.path).unwrap();
            std::fs::remove_dir_all(layout.incoming_asset(asset_id)).unwrap();
        }
        drop(store);
        std::fs::rename(&kept, layout.cancelled_asset(asset_id)).unwrap();
        let store = world.open();
        assert_eq!((rows_of(&store, "capture"), rows_of(&store, "piece")), (0, 0), "{rows_are_settled}");
        assert_eq!(std::fs::read_dir(world.path.join("incoming")).unwrap().count(), 0);
    }
}

#[test]
fn one_that_broke_off_and_cannot_be_closed_says_so_until_it_can() {
    use snaptrak_domain::{KeyClass, KeyStoreError};
    let world = World::new();
    let store = enrolled(&world);
    let mut recording = begin(&store);
    recording.write(&plain(PIECE_BYTES + 70_000)).unwrap();
    let (capture_id, asset_id) = (recording.capture_id(), recording.asset_id());
    let copy = world.path.with_file_name("killed");
    super::world::copy_folder(&world.path, &copy);
    drop(recording);
    store.close().unwrap();
    world.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    let store = Store::open(&copy, world.surroundings()).unwrap();
    let why = store.why(capture_id, snaptrak_domain::Clock::now(&*world.clock)).unwrap();
    assert_eq!(why.reason, Reason::new(ReasonCode::RecordingBrokeOff));
    assert_eq!(why.unblocked_by(), "unlock");
    world.key_store.answer(KeyClass::Viewing, None);
    store.unlock().unwrap();
    assert_eq!(store.show(capture_id).unwrap().assets[0].state, AssetState::Prepared);
    assert_eq!(read_all(&store, asset_id).len(), PIECE_BYTES + 65_480);
}

#[test]
fn an_ended_recording_is_not_taken_back() {
    let world = World::new();
    let store = enrolled(&world);
    let request = CaptureRequest { kind: Some(Kind::Audio), ..CaptureRequest::default() };
    let options = RecordOptions { max_bytes: Some(10), ..RecordOptions::default() };
    let mut recording = store.record_with(request.clone(), options).unwrap();
    recording.write(&plain(100)).unwrap();
    assert!(matches!(recording.cancel(), Err(StoreError::Refused { code: "recording_ended" })));
    assert_eq!(rows_of(&store, "receipt"), 1);

    // The piece with which it ends is told once.
    let mut recording = store.record_with(request, options).unwrap();
    assert_eq!(recording.write(&plain(100)).unwrap().len(), 1);
    assert_eq!(recording.finish().unwrap().last_pieces, []);
}

#[test]
fn a_disk_that_fills_up_ends_it_while_there_is_room_to_end_well() {
    let world = World::new();
    let store = enrolled(&world);
    world.disk.set_free_bytes(Some(1 << 30));
    let mut recording = begin(&store);
    let asset_id = recording.asset_id();
    recording.write(&plain(PIECE_BYTES)).unwrap();
    world.disk.set_free_bytes(Some(0));
    recording.write(&plain(PIECE_BYTES)).unwrap();
    let recorded = recording.finish().unwrap();
    assert_eq!((recorded.ended_because, recorded.pieces), (snaptrak_domain::EndedBecause::LowSpace, 1));
    assert!(read_all(&store, asset_id) == plain(PIECE_BYTES));
    let request = CaptureRequest { kind: Some(Kind::Video), ..CaptureRequest::default() };
    assert!(matches!(store.record(request), Err(StoreError::Full)), "refused before anything is written");
}
