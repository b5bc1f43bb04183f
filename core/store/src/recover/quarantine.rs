//! Recovery in place: the damaged folder is set aside under another name and a new store takes its own.
//!
//! Order of events: see that there are keys; rename `NAME` to `NAME.quarantined-N`; recover from there into `NAME`. Killed
//! between the two, there is no store in its place, and the next call goes on from the folder that was set aside last. What was
//! set aside stays until someone removes it: it holds what could not be read.

use super::{Recovery, go_on, old_keys::OldKeys, report::RecoverReport, source::Source, target};
use crate::{Store, StoreError, Surroundings, layout};
use snaptrak_domain::{CancelToken, Sha256Digest, queue_store};
use snaptrak_seal::RecipientPrivateKey;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders that can be set aside beside one store.
const QUARANTINED_MAX: u32 = 1_000;

/// What is recovered in its own place.
pub struct InPlace<'a> {
    /// The folder of the store.
    pub folder: &'a Path,
    /// As in [`Recovery::recovery_key`].
    pub recovery_key: Option<RecipientPrivateKey>,
    /// As in [`Recovery::recipients`].
    pub recipients: &'a dyn Fn(&[u8], Sha256Digest) -> Vec<queue_store::Recipient>,
    /// As in [`Recovery::progress`].
    pub progress: &'a dyn Fn(u64, u64),
    /// As in [`Recovery::cancel`].
    pub cancel: &'a CancelToken,
}

impl Store {
    /// Sets the folder aside and makes a new store of it in its place. Where the platform key is lost for good and no recovery
    /// key is given, the new store is empty and has new keys; what was set aside waits for the organisation's recovery key.
    /// No other failure of the keys sets anything aside.
    pub fn quarantine_and_recover(
        in_place: &InPlace<'_>,
        surroundings: Surroundings,
    ) -> Result<(Self, RecoverReport), StoreError> {
        go_on(in_place.cancel)?;
        let folder = in_place.folder;
        let begun = layout::Layout::new(folder).recovering().exists() || is_absent_or_empty(folder);
        let from = match quarantined(folder).last() {
            Some(last) if begun => last.clone(),
            Some(last) if target::untold(folder)?.is_some() => last.clone(),
            Some(_) | None => set_aside(in_place, &surroundings)?,
        };
        let recovery = Recovery {
            from: &from,
            into: folder,
            recovery_key: in_place.recovery_key.clone(),
            without_keys: true,
            recipients: in_place.recipients,
            progress: in_place.progress,
            cancel: in_place.cancel,
        };
        Self::recover(&recovery, surroundings)
    }
}

/// Renames the folder, once it is certain that recovery will not be refused for want of keys.
fn set_aside(in_place: &InPlace<'_>, surroundings: &Surroundings) -> Result<PathBuf, StoreError> {
    let folder = in_place.folder;
    let source = Source::open(folder)?;
    source.store_file(&mut super::report::Findings::default())?;
    OldKeys::open(source.layout(), surroundings.key_store.as_ref(), in_place.recovery_key.as_ref(), true)?
        .refuse_wrong_key(&source)?;
    let taken = quarantined(folder).len() as u32;
    let aside = (taken + 1..QUARANTINED_MAX).map(|number| name(folder, number)).find(|path| !path.exists());
    let aside = aside.ok_or(StoreError::Refused { code: "too_many_quarantined" })?;
    fs::rename(folder, &aside).map_err(|error| StoreError::io("set the folder aside", error))?;
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        layout::sync_folder(parent)?;
    }
    tracing::warn!("a store was set aside");
    Ok(aside)
}

fn name(folder: &Path, number: u32) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(format!(".quarantined-{number}"));
    folder.with_file_name(name)
}

/// The folders that were set aside, the last one last.
fn quarantined(folder: &Path) -> Vec<PathBuf> {
    (1..QUARANTINED_MAX).map(|number| name(folder, number)).take_while(|path| path.exists()).collect()
}

fn is_absent_or_empty(folder: &Path) -> bool {
    match folder.read_dir() {
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == "lock"),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
