//! Bringing a store back.

use crate::{
    Cancellation, Config, KeyStore, ProgressListener, SnapTrakError, cancellation::Waiting, progress,
    snaptrak::platform, threads::Threads,
};
use snaptrak::{CancelToken, Secret};
use std::{path::PathBuf, sync::Arc};

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
        let (config, platform, told) = (config.into(), platform(key_store, None)?, progress::Adapted::new(progress));
        Ok(snaptrak::SnapTrak::recover_until(&from, &config, &platform, key.as_ref(), &told, token)?.into())
    };
    Waiting::for_call(cancellation).run(&Threads::new()?, work).await
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
        let (config, platform, told) = (config.into(), platform(key_store, None)?, progress::Adapted::new(progress));
        Ok(snaptrak::SnapTrak::quarantine_and_recover_until(&config, &platform, key.as_ref(), &told, token)?.into())
    };
    Waiting::for_call(cancellation).run(&Threads::new()?, work).await
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
