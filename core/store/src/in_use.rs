//! Which assets somebody reads at this moment: their files are not removed under the reader.
//!
//! Only in memory: a reader ends with its process. A reader is counted before it looks at the rows, and files are removed after
//! their rows say `purged`, under the same lock: whoever is not seen here reads `purged` there.

use snaptrak_domain::AssetId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The assets with readers.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    readers: Mutex<BTreeMap<AssetId, usize>>,
}

impl InUse {
    /// Counts a reader until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>, asset_id: AssetId) -> Reading {
        *self.lock().entry(asset_id).or_default() += 1;
        Reading { in_use: Arc::clone(self), asset_id }
    }

    /// Whether somebody reads the asset.
    pub(crate) fn is_open(&self, asset_id: AssetId) -> bool {
        self.lock().contains_key(&asset_id)
    }

    /// How many assets are read.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Does `work` while no reader can begin, unless somebody reads the asset already.
    pub(crate) fn unless_open<T>(&self, asset_id: AssetId, work: impl FnOnce() -> T) -> Option<T> {
        let readers = self.lock();
        if readers.contains_key(&asset_id) { None } else { Some(work()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AssetId, usize>> {
        self.readers.lock().expect("no one panics while holding this lock")
    }
}

/// One reader of one asset.
#[derive(Debug)]
pub(crate) struct Reading {
    in_use: Arc<InUse>,
    asset_id: AssetId,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut readers = self.in_use.lock();
        if let Some(count) = readers.get_mut(&self.asset_id) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.asset_id);
            }
        }
    }
}
