//! A store comes back from envelopes, pieces and journal alone, and its folder stays as it was.

use super::world::{World, capture, contents, copy_folder, files, plain};
use crate::{CaptureRequest, InPlace, RecoverReport, Recovery, Store, StoreError, StoredReceipt, UnreadableCode, rows};
use snaptrak_domain::{
    AccountId, AssetId, AssetState, CaptureId, CaptureMetadata, Finding, KeyClass, KeyStoreError, Kind, OrganisationId,
    Rendition, Sha256Digest, StageMs, StepKind, Task,
    queue_store::{Enrolment, QueueStore, Recipient, RecipientRole},
};
use snaptrak_seal::{
    CountersignClaims, KemAlgorithm, RecipientPrivateKey, SoftwareSigner, UntrustedReceipt, countersign,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const NOTE: &str = "what a person saw";
const ORGANISATION: [u8; 16] = [4; 16];

type Asset = (AssetId, Rendition, AssetState, u64, Option<Sha256Digest>, Vec<Sha256Digest>);

/// A damage with its name.
type Damage<'a> = (&'a str, Box<dyn Fn() + 'a>);

/// What of a capture must come back.
#[derive(Debug, PartialEq)]
struct Seen {
    metadata: CaptureMetadata,
    assets: Vec<Asset>,
    findings: Vec<Finding>,
    original: Option<Vec<u8>>,
}

fn seen(store: &Store) -> Vec<Seen> {
    let ids: Vec<CaptureId> = store.list(None, None, 100).unwrap().captures.iter().map(|one| one.id).collect();
    let one = |id: CaptureId| {
        let detail = store.show(id).unwrap();
        let original = detail.assets[0].asset_id;
        let mut reader = store.reader(original).unwrap();
        let bytes = reader.bytes();
        Seen {
            original: reader.read_all(bytes).ok(),
            metadata: detail.metadata,
            assets: detail
                .assets
                .iter()
                .map(|asset| {
                    let pieces = asset.pieces.iter().map(|piece| piece.sha256).collect();
                    (asset.asset_id, asset.rendition, asset.state, asset.bytes, asset.sha256, pieces)
                })
                .collect(),
            findings: detail.findings,
        }
    };
    ids.into_iter().map(one).collect()
}

fn receipts(store: &Store) -> Vec<StoredReceipt> {
    store.receipts(0, 100).unwrap()
}

fn numbers(store: &Store) -> Vec<(i64, CaptureId)> {
    let sql = "SELECT number, id FROM capture ORDER BY number";
    store.read(|connection| rows::all(connection, sql, [], |row| Ok((row.get(0)?, rows::capture_id(row, 1)?)))).unwrap()
}

fn finding() -> Finding {
    Finding {
        task: Task::Detect,
        model_id: "model".into(),
        model_sha256: Sha256Digest([8; 32]),
        engine: "engine".into(),
        accelerator_asked: "cpu".into(),
        accelerator_ran: "cpu".into(),
        ms: StageMs::default(),
        boxes: Vec::new(),
        text: Some("a sign".into()),
    }
}

/// The organisation's key, for which everything is wrapped once the store knows it.
fn organisation_key() -> RecipientPrivateKey {
    RecipientPrivateKey::from_bytes(KemAlgorithm::X25519, &[9; 32]).unwrap()
}

fn recipients() -> Vec<Recipient> {
    vec![Recipient {
        role: RecipientRole::Recovery,
        organisation_id: OrganisationId::from_bytes(ORGANISATION),
        algorithm: "x25519".into(),
        public: organisation_key().public_key().as_bytes().to_vec(),
    }]
}

/// The server's signed answer for an asset.
fn countersigned(store: &Store, asset_id: AssetId) -> Vec<u8> {
    store.sign_pending().unwrap();
    let receipt = receipts(store).into_iter().find(|receipt| receipt.asset_id == asset_id).unwrap();
    let signed = UntrustedReceipt::parse(receipt.signed.as_ref().unwrap()).unwrap();
    let claims = signed.claims();
    let said = CountersignClaims {
        organisation_id: OrganisationId::from_bytes(ORGANISATION),
        asset_id,
        receipt: signed.payload_sha256(),
        sha256: Some(claims.sha256),
        bytes: claims.bytes,
        pieces: claims.pieces.clone(),
        wrap_key_id: Sha256Digest([2; 32]),
        verified_ms: claims.wall.unix_ms,
        server_id: "server".into(),
    };
    let signer = SoftwareSigner::from_pkcs8(SoftwareSigner::generate_pkcs8().unwrap().expose()).unwrap();
    countersign(&said, &signer).unwrap()
}

/// Brings one asset through the queue to `verified`.
fn verify(store: &Store, world: &World, asset_id: AssetId) {
    use snaptrak_domain::{Clock, outcome::Outcome, piece::PieceEvent, queue_store::AttemptEnd};
    let now = world.clock.now();
    store.enqueue(now).unwrap();
    for kind in [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece, StepKind::FetchReceipt] {
        for step in store.ready(kind, now, 100).unwrap() {
            let mine = store.show(step.capture_id).unwrap().assets[0].asset_id == asset_id;
            if !mine {
                continue;
            }
            store.begin(step.step_id, now, 1_000).unwrap();
            if kind == StepKind::FetchReceipt {
                store.save_countersigned(step.step_id, &countersigned(store, asset_id), now).unwrap();
            } else {
                let piece_event = (kind == StepKind::SendPiece).then_some(PieceEvent::Arrived);
                let end = AttemptEnd { step_id: step.step_id, outcome: Outcome::Done, piece_event, now, jitter: 0 };
                store.end(end).unwrap();
            }
        }
    }
}

fn enrol(store: &Store) {
    let enrolment = Enrolment {
        server: "https://api.example".into(),
        account_id: AccountId::from_bytes([3; 16]),
        organisation_id: OrganisationId::from_bytes(ORGANISATION),
        device_id: store.device_id(),
        trust_root: Sha256Digest([5; 32]),
        trust_root_given: true,
    };
    store.save_enrolment(&enrolment, b"trust bundle").unwrap();
    store.set_recipients(recipients());
}

/// A store with two photos (one of them found in and verified), a note, a long note as a file, a recording of two pieces.
fn filled() -> World {
    let world = World::new();
    let store = world.create();
    enrol(&store);
    let photo = capture(&store, b"\xff\xd8\xff\xe0 the first photo");
    world.clock.advance_ms(1_000);
    // The clock goes back: ids and times are what they were, and the order of arrival too.
    world.clock.set_wall_ms(snaptrak_testkit::FAKE_START_MS - 86_400_000);
    store.note(CaptureRequest { tags: vec!["tag".into()], ..CaptureRequest::default() }, NOTE).unwrap();
    capture(&store, &[b"\xff\xd8\xff\xe0".as_slice(), &plain(300_000)].concat());
    let mut recording = store.record(CaptureRequest { kind: Some(Kind::Audio), ..Default::default() }).unwrap();
    recording.write(&plain(33_554_432 + 70_000)).unwrap();
    recording.finish().unwrap();
    let analyse = store.ready(StepKind::Analyse, snaptrak_domain::Clock::now(world.clock.as_ref()), 1).unwrap();
    let (step, now) = (&analyse[0], snaptrak_domain::Clock::now(world.clock.as_ref()));
    store.save_findings(step.step_id, step.capture_id, photo.asset_id, &[finding()], now).unwrap();
    verify(&store, &world, photo.asset_id);
    store.sign_pending().unwrap();
    store.close().unwrap();
    world
}

fn into(world: &World) -> PathBuf {
    world.path.with_file_name("again")
}

fn recover_with(world: &World, key: Option<RecipientPrivateKey>) -> Result<(Store, RecoverReport), StoreError> {
    let recovery = Recovery {
        from: &world.path,
        into: &into(world),
        recovery_key: key,
        without_keys: false,
        recipients: &|_, _| recipients(),
        progress: &|_, _| {},
    };
    Store::recover(&recovery, world.surroundings())
}

/// Recovers without the database, and sees to it that the folder stays as it is.
fn recover(world: &World) -> (Store, RecoverReport) {
    let before = contents(&world.path);
    let answer = recover_with(world, None).unwrap();
    assert_eq!(before, contents(&world.path), "the folder was changed");
    answer
}

fn before(world: &World) -> (Vec<Seen>, Vec<StoredReceipt>, Vec<(i64, CaptureId)>) {
    let store = world.open();
    let answer = (seen(&store), receipts(&store), numbers(&store));
    store.close().unwrap();
    answer
}

#[test]
fn a_store_without_its_database_comes_back_complete() {
    let world = filled();
    let (captures, chain, order) = before(&world);
    assert_eq!(captures.len(), 4);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!(report, RecoverReport { readable: 4, recovered: 4, keys_kept: true, ..Default::default() });
    assert_eq!(seen(&store), captures.iter().map(queued_is_prepared).collect::<Vec<_>>());
    assert_eq!(receipts(&store), chain);
    assert_eq!(numbers(&store), order);
    assert_eq!(store.enrolment().unwrap().unwrap().device_id, store.device_id());
    assert!(store.tokens().unwrap().is_none());
    // The store goes on, in the same chain, and can be recovered in its turn.
    capture(&store, b"after");
    store.sign_pending().unwrap();
    assert_eq!(receipts(&store).len(), chain.len() + 1);
    let again = seen(&store);
    store.close().unwrap();
    let second = into(&world);
    fs::remove_dir_all(second.join("database")).unwrap();
    let recovery = Recovery {
        from: &second,
        into: &second.with_file_name("third"),
        recovery_key: None,
        without_keys: false,
        recipients: &|_, _| Vec::new(),
        progress: &|_, _| {},
    };
    let (third, report) = Store::recover(&recovery, world.surroundings()).unwrap();
    assert_eq!((report.recovered, report.unreadable), (5, vec![]));
    assert_eq!(seen(&third), again);
}

/// What was on its way waits again: the server knows what it has.
fn queued_is_prepared(before: &Seen) -> Seen {
    let waits = |state: AssetState, kind: Kind| {
        let on_its_way = [AssetState::Queued, AssetState::Sending, AssetState::Received].contains(&state);
        let again = if kind == Kind::Photo { AssetState::Saved } else { AssetState::Prepared };
        if on_its_way { again } else { state }
    };
    let asset =
        |asset: &Asset| (asset.0, asset.1, waits(asset.2, before.metadata.kind), asset.3, asset.4, asset.5.clone());
    Seen {
        metadata: before.metadata.clone(),
        assets: before.assets.iter().map(asset).collect(),
        findings: before.findings.clone(),
        original: before.original.clone(),
    }
}

#[test]
fn whatever_became_of_the_database_makes_no_difference() {
    let world = filled();
    let (captures, chain, _) = before(&world);
    let database = world.path.join("database/store.sqlite3");
    let whole = fs::read(&database).unwrap();
    let damages: [Damage<'_>; 4] = [
        (
            "a damaged page",
            Box::new(|| fs::write(&database, [&whole[..5_000], &[0x5a; 9_000], &whole[14_000..]].concat()).unwrap()),
        ),
        ("cut short", Box::new(|| fs::write(&database, &whole[..whole.len() / 2]).unwrap())),
        ("of another session", Box::new(|| fs::write(world.path.join("session.json"), b"?").unwrap())),
        ("gone", Box::new(|| fs::remove_file(&database).unwrap())),
    ];
    for (name, damage) in damages {
        damage();
        let (store, report) = recover(&world);
        assert_eq!((report.recovered, report.unreadable.len()), (4, 0), "{name}");
        assert_eq!((seen(&store).len(), receipts(&store)), (captures.len(), chain.clone()), "{name}");
        store.close().unwrap();
        fs::remove_dir_all(into(&world)).unwrap();
    }
}

#[test]
fn what_is_missing_or_damaged_is_told_and_everything_else_comes_back() {
    let world = filled();
    let (captures, ..) = before(&world);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let sealed = |asset: usize, name: &str| {
        let id = captures[asset].assets[0].0;
        crate::layout::Layout::new(&world.path).settled_asset(id).join(name)
    };
    let by = |kind: Kind, large: bool| {
        let found = |seen: &Seen| seen.metadata.kind == kind && (seen.assets[0].3 > 1_000) == large;
        captures.iter().position(found).unwrap()
    };
    let (verified, large, audio) = (by(Kind::Photo, false), by(Kind::Photo, true), by(Kind::Audio, true));
    // The verified photo's only piece is missing, the recording's second is damaged, the other photo's envelope too.
    fs::remove_file(sealed(verified, "00000000.piece")).unwrap();
    let mut piece = fs::read(sealed(audio, "00000001.piece")).unwrap();
    piece[100] ^= 1;
    fs::write(sealed(audio, "00000001.piece"), piece).unwrap();
    fs::write(sealed(large, "envelope.json"), b"{").unwrap();
    // A line that a kill cut short, and one that is none.
    let journal = files(&world.path.join("journal")).pop().unwrap();
    let mut text = fs::read(&journal).unwrap();
    text.extend_from_slice(b"\x00\x01\n{\"type\":\"sealed\",\"key\":\"0193");
    fs::write(&journal, text).unwrap();

    let (store, report) = recover(&world);
    let mut codes: Vec<UnreadableCode> = report.unreadable.iter().map(|one| one.code).collect();
    codes.sort_unstable_by_key(|code| code.as_str());
    let expected = [
        UnreadableCode::DamagedEnvelope,
        UnreadableCode::DamagedLine,
        UnreadableCode::DamagedPiece,
        UnreadableCode::MissingPiece,
        UnreadableCode::TornLine,
    ];
    assert_eq!(codes, expected, "{:?}", report.unreadable);
    for one in report.unreadable {
        let there = world.path.join(&one.path).exists();
        assert_eq!(there, one.code != UnreadableCode::MissingPiece, "{}", one.path);
    }
    assert_eq!((report.readable, report.recovered), (3, 1));
    let state = |place: usize| store.show(captures[place].metadata.capture_id).map(|detail| detail.assets[0].state);
    assert_eq!(state(verified).unwrap(), AssetState::Purged, "the server holds it");
    assert_eq!(state(audio).unwrap(), AssetState::Parked);
    assert!(state(large).is_err());
    let mut reader = store.reader(captures[audio].assets[0].0).unwrap();
    let mut first = vec![0; 33_554_432];
    assert_eq!(reader.read_at(0, &mut first).unwrap(), first.len());
    assert!(first == captures[audio].original.as_ref().unwrap()[..first.len()]);
}

#[test]
fn the_recovery_key_brings_everything_back_without_the_devices_keys() {
    let world = filled();
    let (captures, chain, _) = before(&world);
    let old_key = world.open().signing_public_key();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    fs::remove_dir_all(world.path.join("keyset")).unwrap();
    assert!(matches!(recover_with(&world, None), Err(StoreError::KeysetMissing)));
    assert!(!into(&world).exists(), "nothing was begun");

    let (store, report) = recover_with(&world, Some(organisation_key())).unwrap();
    assert_eq!((report.readable, report.recovered, &report.unreadable), (4, 4, &vec![]));
    assert!(!report.keys_kept);
    assert_eq!(seen(&store), captures.iter().map(queued_is_prepared).collect::<Vec<_>>());
    assert_eq!(receipts(&store), chain);
    assert_ne!(store.signing_public_key(), old_key);
    assert_eq!(store.device_keys().unwrap(), [old_key, store.signing_public_key()]);
    assert_eq!(store.device_id(), captures[0].metadata.device_id);
    store.close().unwrap();
    // The new keys alone open it from now on.
    let store = Store::open(&into(&world), world.surroundings()).unwrap();
    assert_eq!(seen(&store).len(), 4);
}

#[test]
fn a_lost_platform_key_is_no_wrong_answer() {
    let world = filled();
    for answer in [KeyStoreError::NotYet, KeyStoreError::NeedsUser { wrong_answer: false }] {
        world.key_store.answer(KeyClass::Viewing, Some(answer));
        assert!(recover_with(&world, Some(organisation_key())).is_err());
        assert!(!into(&world).exists());
    }
    world.key_store.answer(KeyClass::Viewing, None);
    let mut surroundings = world.surroundings();
    surroundings.key_store = Arc::new(snaptrak_testkit::FixedKeyStore::new([1; 32]));
    let recovery = |key| Recovery {
        from: &world.path,
        into: Path::new("/nowhere/at/all"),
        recovery_key: key,
        without_keys: false,
        recipients: &|_, _| Vec::new(),
        progress: &|_, _| {},
    };
    assert!(matches!(Store::recover(&recovery(None), surroundings), Err(StoreError::WrongKey)));
}

#[test]
fn an_interrupted_recovery_goes_on() {
    let world = filled();
    let (captures, ..) = before(&world);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    store.close().unwrap();
    // As after a kill before `store.json`: everything else may be there, in any state.
    for damage in 0..3 {
        let target = into(&world);
        fs::rename(target.join("store.json"), target.join("recovering")).unwrap();
        assert!(matches!(Store::open(&target, world.surroundings()), Err(StoreError::NotAStore)));
        assert!(matches!(Store::create(&target, world.surroundings()), Err(StoreError::NotEmpty)));
        let pieces = files(&target.join("assets"));
        match damage {
            0 => fs::remove_file(&pieces[0]).unwrap(),
            1 => fs::remove_dir_all(target.join("assets")).unwrap(),
            _ => {
                let half = pieces.iter().find(|path| path.extension().is_some_and(|ext| ext == "piece")).unwrap();
                let bytes = fs::read(half).unwrap();
                fs::remove_file(half).unwrap();
                fs::write(half, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
        let (store, again) = recover(&world);
        assert_eq!(again, report);
        assert_eq!(seen(&store).len(), captures.len());
        store.close().unwrap();
    }
    // Killed after the last step and before the answer: it is told by the next run.
    fs::write(
        into(&world).join("recovered.json"),
        br#"{"incomplete":1,"unreadable":[],"unlisted":0,"keys_kept":true}"#,
    )
    .unwrap();
    let (store, told) = recover(&world);
    assert_eq!((told.readable, told.recovered), (4, 3));
    store.close().unwrap();
    assert!(matches!(recover_with(&world, None), Err(StoreError::NotEmpty)));
}

#[test]
fn a_recording_that_was_going_on_is_closed_with_what_it_has() {
    let world = World::new();
    let store = world.create();
    let mut recording = store.record(CaptureRequest { kind: Some(Kind::Video), ..Default::default() }).unwrap();
    let bytes = plain(33_554_432 + 200_000);
    recording.write(&bytes).unwrap();
    let killed = world.path.with_file_name("killed");
    copy_folder(&world.path, &killed);
    drop(recording);
    store.close().unwrap();
    fs::remove_dir_all(&world.path).unwrap();
    fs::rename(&killed, &world.path).unwrap();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!((report.recovered, report.unreadable), (1, vec![]));
    let all = seen(&store);
    assert!(all[0].metadata.interrupted);
    let original = all[0].original.as_ref().unwrap();
    assert!(original.len() > 33_554_432 + 100_000 && *original == bytes[..original.len()]);
}

#[test]
fn a_note_that_was_acknowledged_and_not_settled_is_there() {
    let world = World::new();
    let store = world.create();
    capture(&store, b"before");
    let first = store.note(CaptureRequest::default(), NOTE).unwrap();
    let second = store.note(CaptureRequest::default(), "and another").unwrap();
    let killed = world.path.with_file_name("killed");
    copy_folder(&world.path, &killed);
    store.close().unwrap();
    fs::remove_dir_all(&world.path).unwrap();
    fs::rename(&killed, &world.path).unwrap();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!((report.readable, report.recovered, report.unreadable), (3, 3, vec![]));
    let texts: Vec<_> = [first, second].map(|note| (note.capture_id, note.asset_id, note.sha256)).into();
    let found: Vec<_> = seen(&store)
        .into_iter()
        .filter(|seen| seen.metadata.kind == Kind::Note)
        .map(|seen| (seen.metadata.capture_id, seen.assets[0].0, seen.assets[0].4.unwrap()))
        .collect();
    assert_eq!(found, texts);
}

#[test]
fn folders_that_are_none_are_refused_and_nothing_is_begun() {
    let world = filled();
    let nested = world.path.join("inside");
    let try_into = |from: &Path, into: &Path| {
        let recovery = Recovery {
            from,
            into,
            recovery_key: None,
            without_keys: false,
            recipients: &|_, _| Vec::new(),
            progress: &|_, _| {},
        };
        Store::recover(&recovery, world.surroundings()).err().unwrap()
    };
    assert!(matches!(try_into(&world.path, &nested), StoreError::Refused { code: "same_folder" }));
    assert!(matches!(try_into(&world.path, &world.path), StoreError::Refused { code: "same_folder" }));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(try_into(empty.path(), &into(&world)), StoreError::NotAStore));
    fs::write(empty.path().join("holiday.txt"), b"x").unwrap();
    assert!(matches!(try_into(&world.path, empty.path()), StoreError::NotEmpty));
    let open = world.open();
    assert!(matches!(try_into(&world.path, &into(&world)), StoreError::InUse));
    open.close().unwrap();
    assert!(!into(&world).exists() && !nested.exists());
}

fn in_place(world: &World, key: Option<RecipientPrivateKey>) -> Result<(Store, RecoverReport), StoreError> {
    let in_place =
        InPlace { folder: &world.path, recovery_key: key, recipients: &|_, _| Vec::new(), progress: &|_, _| {} };
    Store::quarantine_and_recover(&in_place, world.surroundings())
}

fn aside(world: &World, number: u32) -> PathBuf {
    world.path.with_file_name(format!("store.quarantined-{number}"))
}

#[test]
fn in_place_the_folder_is_set_aside_and_a_kill_between_is_gone_on_from() {
    let world = filled();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let before = contents(&world.path).len();
    let (store, report) = in_place(&world, None).unwrap();
    assert_eq!((report.readable, report.recovered, report.unreadable.len()), (4, 4, 0));
    store.close().unwrap();
    assert_eq!(contents(&aside(&world, 1)).len(), before);
    assert_eq!(world.open().list(None, None, 10).unwrap().captures.len(), 4);
    // Killed after the rename, and in the middle of the recovery.
    for half_done in [false, true] {
        fs::remove_dir_all(&world.path).unwrap();
        if half_done {
            fs::create_dir(&world.path).unwrap();
            fs::write(world.path.join("recovering"), b"").unwrap();
        }
        let (store, report) = in_place(&world, None).unwrap();
        assert_eq!(report.recovered, 4);
        store.close().unwrap();
        assert!(!aside(&world, 2).exists());
    }
    // Another time, another folder.
    fs::remove_dir_all(world.path.join("database")).unwrap();
    in_place(&world, None).unwrap().0.close().unwrap();
    assert!(aside(&world, 2).exists());
}

#[test]
fn only_a_lost_platform_key_sets_a_store_aside_without_its_keys() {
    let world = filled();
    for (answer, lost) in [
        (KeyStoreError::NotYet, false),
        (KeyStoreError::NeedsUser { wrong_answer: false }, false),
        (KeyStoreError::NeedsUser { wrong_answer: true }, false),
        (KeyStoreError::Damaged, false),
        (KeyStoreError::Lost, true),
    ] {
        assert!(!aside(&world, 1).exists());
        let key_store = Arc::new(LosingKeyStore(world.key_store.clone(), answer));
        let surroundings = crate::Surroundings { key_store, ..world.surroundings() };
        let asked =
            InPlace { folder: &world.path, recovery_key: None, recipients: &|_, _| Vec::new(), progress: &|_, _| {} };
        let result = Store::quarantine_and_recover(&asked, surroundings);
        assert_eq!(result.is_ok(), lost);
        if let Ok((store, report)) = result {
            assert_eq!((report.readable, report.keys_kept), (0, false));
            assert!(report.unreadable.iter().all(|one| one.code == UnreadableCode::NoKey));
            store.note(CaptureRequest::default(), "life goes on").unwrap();
        }
    }
    // The organisation's key brings back what was set aside.
    let from = aside(&world, 1);
    let into = world.path.with_file_name("back");
    let recovery = Recovery {
        from: &from,
        into: &into,
        recovery_key: Some(organisation_key()),
        without_keys: false,
        recipients: &|_, _| recipients(),
        progress: &|_, _| {},
    };
    fs::remove_dir_all(from.join("keyset")).unwrap();
    let (_, report) = Store::recover(&recovery, world.surroundings()).unwrap();
    assert_eq!((report.readable, report.recovered), (4, 4));
}

/// A key store whose key is gone: it opens nothing that was wrapped, and wraps with a new one.
struct LosingKeyStore(Arc<snaptrak_testkit::FixedKeyStore>, KeyStoreError);

impl snaptrak_domain::KeyStore for LosingKeyStore {
    fn wrap(
        &self,
        class: KeyClass,
        keys: &snaptrak_domain::Secret,
        associated_data: &[u8],
    ) -> Result<snaptrak_domain::key_store::WrappedKeys, KeyStoreError> {
        let mut wrapped = self.0.wrap(class, keys, associated_data)?;
        wrapped.parameters = serde_json::json!({"kind": "fixed", "new": true});
        Ok(wrapped)
    }

    fn unwrap(
        &self,
        class: KeyClass,
        wrapped: &snaptrak_domain::key_store::WrappedKeys,
        associated_data: &[u8],
    ) -> Result<snaptrak_domain::Secret, KeyStoreError> {
        if wrapped.parameters.get("new").is_none() {
            return Err(self.1.clone());
        }
        self.0.unwrap(class, wrapped, associated_data)
    }
}

#[test]
fn a_bundle_is_enough_for_the_organisations_key() {
    let world = filled();
    let (captures, chain, _) = before(&world);
    let mut bundle = Vec::new();
    let report = crate::export_bundle(&world.path, &mut bundle).unwrap();
    assert_eq!((report.captures, report.unreadable.len()), (4, 0));
    assert!(report.bytes > 33_554_432 && bundle.len() as u64 > report.bytes);
    let into = into(&world);
    let unpacked = crate::unpack_bundle(&mut bundle.as_slice(), &into).unwrap();
    assert!(!unpacked.torn && !unpacked.folder().join("keyset").exists());
    let recovery = Recovery {
        from: unpacked.folder(),
        into: &into,
        recovery_key: Some(organisation_key()),
        without_keys: false,
        recipients: &|_, _| recipients(),
        progress: &|_, _| {},
    };
    let (store, report) = Store::recover(&recovery, world.surroundings()).unwrap();
    assert_eq!((report.readable, report.recovered, report.unreadable), (4, 4, vec![]));
    assert_eq!(seen(&store), captures.iter().map(queued_is_prepared).collect::<Vec<_>>());
    assert_eq!(receipts(&store), chain);
    store.close().unwrap();
    unpacked.remove().unwrap();
    assert!(read_all_of(&into, &world).iter().all(Option::is_some), "nothing of it is needed any more");
}

fn read_all_of(folder: &Path, world: &World) -> Vec<Option<Vec<u8>>> {
    let store = Store::open(folder, world.surroundings()).unwrap();
    seen(&store).into_iter().map(|seen| seen.original).collect()
}
