//! What the tests of this crate share: a store in a temporary folder, with time, chance and keys that a test controls.

use crate::{CaptureRequest, Captured, Store, StoreError, Surroundings};
use snaptrak_domain::AssetId;
use snaptrak_testkit::{FakeClock, FakeDisk, FixedKeyStore, SeededRandom};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A folder with the fakes around it; stores in it are opened and closed by the test.
pub(crate) struct World {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) key_store: Arc<FixedKeyStore>,
    pub(crate) disk: Arc<FakeDisk>,
    seed: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    /// Another seed gives other keys and ids.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().join("store"),
            _folder: folder,
            clock: Arc::new(FakeClock::new()),
            key_store: Arc::new(FixedKeyStore::new([7; 32])),
            disk: Arc::new(FakeDisk::default()),
            seed: AtomicU64::new(seed),
        }
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            clock: self.clock.clone(),
            // Each opening draws other bytes, as a real one would.
            random: Arc::new(SeededRandom::new(self.seed.fetch_add(1, Ordering::SeqCst))),
            key_store: self.key_store.clone(),
            signer: None,
            disk: self.disk.clone(),
            ballast_bytes: 0,
        }
    }

    pub(crate) fn create(&self) -> Store {
        Store::create(&self.path, self.surroundings()).unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.path, self.surroundings())
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open().unwrap()
    }
}

pub(crate) fn capture(store: &Store, bytes: &[u8]) -> Captured {
    store.capture(CaptureRequest::default(), &mut &bytes[..]).unwrap()
}

pub(crate) fn read_all(store: &Store, asset_id: AssetId) -> Vec<u8> {
    let mut reader = store.reader(asset_id).unwrap();
    let length = reader.bytes();
    reader.read_all(length).unwrap()
}

/// Bytes that do not repeat within a piece.
pub(crate) fn plain(length: usize) -> Vec<u8> {
    (0..length as u64 / 8 + 1)
        .flat_map(|word| (word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
        .take(length)
        .collect()
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
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

/// A copy of a folder, as a kill leaves it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file with its content, to see that nothing was touched.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(folder).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}
