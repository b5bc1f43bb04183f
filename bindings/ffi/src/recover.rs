//! Bringing a store back.

use crate::{
    Cancellation, Config, KeyStore, ProgressListener, SnapTrakError, cancellation::Waiting, progress,
    snaptrak::platform, threads::Threads,
};
use snaptrak::{CancelToken, ErrorCode, Secret};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// What was recovered, and what could not be read.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RecoverReport {
    /// Captures that could be read.
    pub readable: u64,
    /// Captures in the new store.
    pub recovered: u64,
    /// What could not be read, by its path in the folder.
    pub unreadable: Vec<Unreadable>,
    /// Whether the store keeps its keys, so that nobody has to enrol again.
    pub keys_kept: bool,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Unreadable {
    /// Where.
    pub path: String,
    /// Why, as a word.
    pub code: String,
}

/// Makes a new store in the configuration's folder of everything in `from` that can still be read, whatever became of the
/// database; `from` is never changed. Where its keyset does not open, `recovery_key` is the text of the organisation's private
/// key file. Broken off (`cancelled`), the same call goes on.
#[uniffi::export(default(recovery_key = None, progress = None, cancellation = None))]
pub async fn recover(
    from: String,
    config: Config,
    key_store: Arc<dyn KeyStore>,
    recovery_key: Option<String>,
    progress: Option<Arc<dyn ProgressListener>>,
    cancellation: Option<Arc<Cancellation>>,
) -> Result<RecoverReport, SnapTrakError> {
    let (from, key) = (PathBuf::from(from), recovery_key.map(|text| Secret::new(text.into_bytes())));
    let work = move |token: &CancelToken| {
        let _turn = Turn::wait_for(&config.store, token)?;
        let (config, platform, told) =
            (config.into(), platform(key_store, None, None)?, progress::Adapted::new(progress));
        Ok(snaptrak::SnapTrak::recover_until(&from, &config, &platform, key.as_ref(), &told, token)?.into())
    };
    Threads::new()?.run_while(Waiting::for_call(cancellation), work).await
}

/// The same in place, for what `open` answers with `damaged` or `keys_lost`: the folder is renamed and stays, and a new store takes
/// its place.
#[uniffi::export(default(recovery_key = None, progress = None, cancellation = None))]
pub async fn quarantine_and_recover(
    config: Config,
    key_store: Arc<dyn KeyStore>,
    recovery_key: Option<String>,
    progress: Option<Arc<dyn ProgressListener>>,
    cancellation: Option<Arc<Cancellation>>,
) -> Result<RecoverReport, SnapTrakError> {
    let key = recovery_key.map(|text| Secret::new(text.into_bytes()));
    let work = move |token: &CancelToken| {
        let _turn = Turn::wait_for(&config.store, token)?;
        let (config, platform, told) =
            (config.into(), platform(key_store, None, None)?, progress::Adapted::new(progress));
        Ok(snaptrak::SnapTrak::quarantine_and_recover_until(&config, &platform, key.as_ref(), &told, token)?.into())
    };
    Threads::new()?.run_while(Waiting::for_call(cancellation), work).await
}

/// The folders into which this process recovers now.
static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static FREED: Condvar = Condvar::new();

/// One recovery into a folder at a time. A call that nobody waits for any more needs a moment until it has ended, and the next one
/// waits for that instead of being refused with `in_use`.
struct Turn(PathBuf);

impl Turn {
    fn wait_for(store: &str, token: &CancelToken) -> Result<Self, SnapTrakError> {
        // What has no absolute path is refused later, by whoever needs the folder.
        let folder = std::path::absolute(store).unwrap_or_else(|_| Path::new(store).to_owned());
        let _wakes = token.on_cancel(|| {
            // Taken, so that it comes before someone waits or while he does.
            let _taken = TAKEN.lock();
            FREED.notify_all();
        });
        // What is done under the lock leaves it whole.
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while taken.contains(&folder) {
            if token.is_cancelled() {
                return Err(SnapTrakError::new(ErrorCode::Cancelled, "the call was broken off before its turn"));
            }
            taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.insert(folder.clone());
        Ok(Self(folder))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        FREED.notify_all();
    }
}

impl From<snaptrak::RecoverReport> for RecoverReport {
    fn from(report: snaptrak::RecoverReport) -> Self {
        let one = |one: snaptrak::Unreadable| Unreadable { path: one.path, code: one.code.as_str().to_owned() };
        Self {
            readable: report.readable,
            recovered: report.recovered,
            unreadable: report.unreadable.into_iter().map(one).collect(),
            keys_kept: report.keys_kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    #[test]
    fn the_next_recovery_into_a_folder_waits_for_the_one_that_ends() {
        let (here, elsewhere) = ("/recovered here", "/recovered elsewhere");
        let first = Turn::wait_for(here, &CancelToken::new()).unwrap();
        drop(Turn::wait_for(elsewhere, &CancelToken::new()).unwrap());
        let cancelled = CancelToken::new();
        let (began, begun) = mpsc::channel();
        thread::scope(|scope| {
            let given_up = scope.spawn(|| Turn::wait_for(here, &cancelled).map(drop));
            let next = scope.spawn(|| {
                let turn = Turn::wait_for(here, &CancelToken::new());
                began.send(()).unwrap();
                turn.map(drop)
            });
            cancelled.cancel();
            let refused = given_up.join().unwrap().unwrap_err().to_string();
            assert!(refused.starts_with("cancelled"), "{refused}");
            assert!(begun.try_recv().is_err(), "it did not wait");
            drop(first);
            next.join().unwrap().unwrap();
        });
    }
}
