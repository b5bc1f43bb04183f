//! A store with captures whose rows are written directly, so that a test can ask for pieces of any size.

use crate::{Store, Surroundings, queue::derive, queue::step_row, queue::steps, receipts, rows, sealing::SealedAsset};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, CaptureMetadata, Clock, Kind, Rendition, Sha256Digest, StepKind, StepState, UnixMs,
    capture::EmbeddedMetadata, queue_store::QueueStore,
};
use snaptrak_seal::{DataKey, PieceEntry, ReceiptClaims, SealedPiece, sha256};
use snaptrak_testkit::{
    FakeClock, FixedKeyStore, SeededRandom,
    queue_conformance::{Added, QueueUnderTest},
};
use std::{fs::File, sync::Arc};
use tempfile::TempDir;

/// Sealed bytes up to this are a row, more are a file with a hole.
const INLINE_BYTES_MAX: u64 = 65_536;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) key_store: Arc<FixedKeyStore>,
    random: Arc<SeededRandom>,
    folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::new());
        let key_store = Arc::new(FixedKeyStore::new([5; 32]));
        let random = Arc::new(SeededRandom::new(1));
        let store = Store::create(&folder.path().join("store"), surroundings(&clock, &key_store, &random)).unwrap();
        Self { store, clock, key_store, random, folder }
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Adds a complete capture.
    pub(crate) fn add_kind(&mut self, kind: Kind, content_type: &str, pieces: &[u64]) -> Added {
        self.clock.advance_ms(1);
        let created = self.clock.wall();
        let random = self.random.as_ref();
        let capture_id = CaptureId::new(created.unix_ms, random).unwrap();
        let asset_id = AssetId::new(created.unix_ms, random).unwrap();
        let metadata = CaptureMetadata {
            capture_id,
            kind,
            device_id: self.store.device_id(),
            created,
            content_type: content_type.to_owned(),
            file_name: None,
            note: Some("what a person wrote".to_owned()),
            tags: vec!["tag".to_owned()],
            project: None,
            location: None,
            embedded: EmbeddedMetadata::default(),
        };
        let asset = self.asset(asset_id, pieces);
        let data_key = DataKey::generate(random).unwrap();
        let envelope = self.store.closed_envelope(&metadata, asset_id, &data_key, &asset).unwrap();
        let store = self.store.clone();
        self.store.write(move |tx| Ok(insert(tx, &store, &metadata, asset_id, &asset, &envelope))).unwrap();
        Added { capture_id, asset_id }
    }

    fn asset(&self, asset_id: AssetId, pieces: &[u64]) -> SealedAsset {
        let pieces: Vec<SealedPiece> =
            (0..).zip(pieces).map(|(index, sealed_bytes)| self.piece(asset_id, index, *sealed_bytes)).collect();
        SealedAsset { bytes: pieces.iter().map(|piece| piece.bytes).sum(), sha256: Sha256Digest([4; 32]), pieces }
    }

    fn piece(&self, asset_id: AssetId, index: u32, sealed_bytes: u64) -> SealedPiece {
        let bytes = snaptrak_seal::piece::plain_bytes(sealed_bytes).unwrap();
        let sealed_sha256 = if sealed_bytes > INLINE_BYTES_MAX {
            let folder = self.store.layout().settled_asset(asset_id);
            std::fs::create_dir_all(&folder).unwrap();
            let file = File::create(folder.join(crate::layout::piece_name(index))).unwrap();
            file.set_len(sealed_bytes).unwrap();
            Sha256Digest([6; 32])
        } else {
            sha256(&inline(sealed_bytes))
        };
        SealedPiece { index, bytes, sha256: Sha256Digest([3; 32]), sealed_bytes, sealed_sha256 }
    }

    /// Runs SQL that only a test would.
    pub(crate) fn run_sql(&self, sql: &'static str) {
        self.store.write(move |tx| Ok(tx.execute_batch(sql)?)).unwrap();
    }
}

fn inline(sealed_bytes: u64) -> Vec<u8> {
    vec![0x5a; usize::try_from(sealed_bytes).unwrap()]
}

fn surroundings(clock: &Arc<FakeClock>, key_store: &Arc<FixedKeyStore>, random: &Arc<SeededRandom>) -> Surroundings {
    Surroundings { clock: clock.clone(), random: random.clone(), key_store: key_store.clone(), signer: None }
}

fn insert(
    tx: &Connection,
    store: &Store,
    metadata: &CaptureMetadata,
    asset_id: AssetId,
    asset: &SealedAsset,
    envelope: &[u8],
) {
    let (capture_id, now) = (metadata.capture_id, metadata.created.unix_ms);
    rows::change(
        tx,
        "INSERT INTO capture (id, number, kind, created_ms, metadata)
         VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM capture), ?2, ?3, ?4)",
        params![capture_id.as_bytes(), metadata.kind.as_str(), now.0, serde_json::to_string(metadata).unwrap()],
    )
    .unwrap();
    rows::change(
        tx,
        "INSERT INTO asset (id, capture_id, rendition, state, closed, bytes, sha256, state_since_ms, envelope)
         VALUES (?1, ?2, 'original', 'saved', 1, ?3, ?4, ?5, ?6)",
        params![
            asset_id.as_bytes(),
            capture_id.as_bytes(),
            rows::signed(asset.bytes).unwrap(),
            asset.sha256.as_bytes(),
            now.0,
            envelope
        ],
    )
    .unwrap();
    for piece in &asset.pieces {
        let sealed = (piece.sealed_bytes <= INLINE_BYTES_MAX).then(|| inline(piece.sealed_bytes));
        rows::change(
            tx,
            "INSERT INTO piece (asset_id, piece_index, state, bytes, sha256, sealed_bytes, sealed_sha256, sealed)
             VALUES (?1, ?2, 'sealed', ?3, ?4, ?5, ?6, ?7)",
            params![
                asset_id.as_bytes(),
                piece.index,
                rows::signed(piece.bytes).unwrap(),
                piece.sha256.as_bytes(),
                rows::signed(piece.sealed_bytes).unwrap(),
                piece.sealed_sha256.as_bytes(),
                sealed
            ],
        )
        .unwrap();
    }
    receipts::take_place(tx, |sequence, previous| ReceiptClaims {
        asset_id,
        capture_id,
        device_id: metadata.device_id,
        rendition: Rendition::Original,
        sequence,
        previous,
        sha256: asset.sha256,
        bytes: asset.bytes,
        pieces: asset.pieces.iter().map(PieceEntry::from).collect(),
        wall: metadata.created.clone(),
        instant: store.clock().instant(),
        server_offset_ms: None,
        hardware: false,
    })
    .unwrap();
    let sealed_bytes: Vec<u64> = asset.pieces.iter().map(|piece| piece.sealed_bytes).collect();
    let new = steps::NewSteps {
        capture_id,
        asset_id,
        kind: metadata.kind,
        content_type: &metadata.content_type,
        pieces: &sealed_bytes,
        now,
    };
    steps::insert(tx, new).unwrap();
    derive::derive_asset_state(tx, asset_id, now).unwrap();
}

impl QueueUnderTest for Fixture {
    fn queue(&self) -> &dyn QueueStore {
        &self.store
    }

    fn clock(&self) -> &FakeClock {
        &self.clock
    }

    fn add(&mut self, pieces: &[u64]) -> Added {
        self.add_kind(Kind::File, "application/octet-stream", pieces)
    }

    fn state(&self, capture_id: CaptureId) -> AssetState {
        self.store.show(capture_id).unwrap().assets[0].state
    }

    fn steps(&self, capture_id: CaptureId) -> Vec<(StepKind, Option<u32>, StepState)> {
        let steps = self.store.read(|connection| step_row::of_capture(connection, capture_id)).unwrap();
        steps.into_iter().map(|step| (step.kind, step.piece_index, step.state)).collect()
    }

    fn die_and_reopen(&mut self) {
        // The lock is one process's own, so this one must let go of it; leases stay as the dead one left them.
        self.store.clone().close().unwrap();
        let path = self.folder.path().join("store");
        self.store = Store::open(&path, surroundings(&self.clock, &self.key_store, &self.random)).unwrap();
    }
}
