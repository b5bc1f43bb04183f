//! A store comes back from envelopes, pieces and journal alone, and its folder stays as it was.

use crate::tests::world::{World, capture, contents, copy_folder, files, plain, read_all};
use crate::{CaptureRequest, InPlace, RecoverReport, Recovery, Store, StoreError, StoredReceipt, UnreadableCode, rows};
use snaptrak_domain::{
    AccountId, Annotation, AssetId, AssetState, CancelToken, CaptureId, CaptureMetadata, Finding, KeyClass,
    KeyStoreError, Kind, OrganisationId, Rendition, Sha256Digest, StageMs, StepKind, Task,
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

mod keys;
mod whole;

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
    annotations: Vec<Annotation>,
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
            annotations: detail.annotations,
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

/// A store with two photos (one of them found in and verified), a note, a recording of two pieces; photo and note are annotated.
fn filled() -> World {
    let world = World::new();
    let store = world.create();
    enrol(&store);
    let photo = capture(&store, b"\xff\xd8\xff\xe0 the first photo");
    world.clock.advance_ms(1_000);
    // The clock goes back: ids and times are what they were, and the order of arrival too.
    world.clock.set_wall_ms(snaptrak_testkit::FAKE_START_MS - 86_400_000);
    let note = store.note(CaptureRequest { tags: vec!["tag".into()], ..CaptureRequest::default() }, NOTE).unwrap();
    capture(&store, &[b"\xff\xd8\xff\xe0".as_slice(), &plain(300_000)].concat());
    let mut recording = store.record(CaptureRequest { kind: Some(Kind::Audio), ..Default::default() }).unwrap();
    recording.write(&plain(33_554_432 + 70_000)).unwrap();
    recording.finish().unwrap();
    let analyse = store.ready(StepKind::Analyse, snaptrak_domain::Clock::now(world.clock.as_ref()), 1).unwrap();
    let (step, now) = (&analyse[0], snaptrak_domain::Clock::now(world.clock.as_ref()));
    store.save_findings(step.step_id, step.capture_id, photo.asset_id, &[finding()], now).unwrap();
    verify(&store, &world, photo.asset_id);
    let field = |name: &str, value: Option<&str>| vec![(name.parse().unwrap(), value.map(str::to_owned))];
    for id in [photo.capture_id, note.capture_id] {
        store.annotate(id, field("room", Some("12"))).unwrap();
        store.annotate(id, field("room", Some("what a person says later"))).unwrap();
        store.annotate(id, field("gone", Some("said"))).unwrap();
        store.annotate(id, field("gone", None)).unwrap();
    }
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
        cancel: &CancelToken::new(),
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
        annotations: before.annotations.clone(),
        original: before.original.clone(),
    }
}
