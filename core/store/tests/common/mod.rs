//! What the tests of this crate share: a store in a temporary folder, with time, chance and keys that a test controls.
#![allow(dead_code, clippy::unwrap_used)]

use snaptrak_domain::{AssetId, UnixMs};
use snaptrak_store::{CaptureRequest, Captured, Store, StoreError, Surroundings};
use snaptrak_testkit::{FakeClock, FixedKeyStore, SeededRandom};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A folder with the fakes around it; stores in it are opened and closed by the test.
pub struct World {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
    pub clock: Arc<FakeClock>,
    pub key_store: Arc<FixedKeyStore>,
    seed: AtomicU64,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().join("store"),
            _folder: folder,
            clock: Arc::new(FakeClock::new()),
            key_store: Arc::new(FixedKeyStore::new([7; 32])),
            seed: AtomicU64::new(1),
        }
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            clock: self.clock.clone(),
            // Each opening draws other bytes, as a real one would.
            random: Arc::new(SeededRandom::new(self.seed.fetch_add(1, Ordering::SeqCst))),
            key_store: self.key_store.clone(),
            signer: None,
        }
    }

    pub fn create(&self) -> Store {
        Store::create(&self.path, self.surroundings()).unwrap()
    }

    pub fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.path, self.surroundings())
    }

    pub fn open(&self) -> Store {
        self.try_open().unwrap()
    }
}

pub fn now() -> UnixMs {
    UnixMs(snaptrak_testkit::FAKE_START_MS)
}

pub fn capture(store: &Store, bytes: &[u8]) -> Captured {
    store.capture(CaptureRequest::default(), &mut &bytes[..]).unwrap()
}

pub fn read_all(store: &Store, asset_id: AssetId) -> Vec<u8> {
    let mut reader = store.reader(asset_id).unwrap();
    let length = reader.bytes();
    reader.read_all(length).unwrap()
}

/// Bytes that do not repeat within a piece.
pub fn plain(length: usize) -> Vec<u8> {
    (0..length as u64 / 8 + 1)
        .flat_map(|word| (word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
        .take(length)
        .collect()
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
