//! A store with captures whose pieces are empty files of any size: sending looks at their names, lengths and states only.

use crate::{
    Store, Surroundings,
    capture_rows::{self, NewCapture, Place, Witness},
    layout,
    queue::step_row,
    sealing::SealedAsset,
};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, CaptureMetadata, Clock, Kind, Sha256Digest, StepKind, StepState, UnixMs,
    capture::EmbeddedMetadata, queue_store::QueueStore,
};
use snaptrak_seal::{DataKey, SealedPiece};
use snaptrak_testkit::{
    FakeClock, FakeDisk, FixedKeyStore, SeededRandom,
    queue_conformance::{Added, QueueUnderTest},
};
use std::{fs::File, path::Path, sync::Arc};
use tempfile::TempDir;

const PLAIN_DIGEST: Sha256Digest = Sha256Digest([3; 32]);
const SEALED_DIGEST: Sha256Digest = Sha256Digest([6; 32]);

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
            created: created.clone(),
            content_type: content_type.to_owned(),
            file_name: None,
            note: Some("what a person wrote".to_owned()),
            tags: vec!["tag".to_owned()],
            project: None,
            location: None,
            embedded: EmbeddedMetadata::default(),
            interrupted: false,
            interrupted_at_bytes: None,
            interrupted_at_ms: None,
            ended_because: None,
        };
        let folder = self.store.layout().incoming_asset(asset_id);
        layout::create_folder(&folder).unwrap();
        let pieces: Vec<SealedPiece> =
            (0..).zip(pieces).map(|(index, sealed)| piece(&folder, index, *sealed)).collect();
        let asset = SealedAsset { bytes: pieces.iter().map(|piece| piece.bytes).sum(), sha256: PLAIN_DIGEST, pieces };
        let data_key = DataKey::generate(random).unwrap();
        let envelope = self.store.inner.sealer.closed_envelope(&metadata, asset_id, &data_key, &asset).unwrap();
        std::fs::write(folder.join(layout::ENVELOPE_NAME), envelope).unwrap();
        let new = NewCapture {
            metadata,
            asset_id,
            place: Place::Incoming,
            pieces: asset.pieces,
            bytes: asset.bytes,
            sha256: asset.sha256,
            witness: Witness { instant: self.clock.instant(), hardware: false },
            now: created.unix_ms,
        };
        self.store.write(move |tx| capture_rows::insert(tx, &new).map(|_| ())).unwrap();
        Added { capture_id, asset_id }
    }

    /// Runs SQL that only a test would.
    pub(crate) fn run_sql(&self, sql: &'static str) {
        self.store.write(move |tx| Ok(tx.execute_batch(sql)?)).unwrap();
    }
}

/// A sealed piece whose file is a hole: nobody opens it here.
fn piece(folder: &Path, index: u32, sealed_bytes: u64) -> SealedPiece {
    File::create(folder.join(layout::piece_name(index))).unwrap().set_len(sealed_bytes).unwrap();
    let bytes = snaptrak_seal::piece::plain_bytes(sealed_bytes).unwrap();
    SealedPiece { index, bytes, sha256: PLAIN_DIGEST, sealed_bytes, sealed_sha256: SEALED_DIGEST }
}

fn surroundings(clock: &Arc<FakeClock>, key_store: &Arc<FixedKeyStore>, random: &Arc<SeededRandom>) -> Surroundings {
    Surroundings {
        clock: clock.clone(),
        random: random.clone(),
        key_store: key_store.clone(),
        signer: None,
        disk: Arc::new(FakeDisk::default()),
        ballast_bytes: 0,
    }
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
