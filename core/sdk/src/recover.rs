//! Bringing a store back: from a folder into a new one, in its own place, or from a bundle.

use crate::{
    Config, Error, ErrorCode, Platform, SnapTrak,
    progress::{Phase, Progress, ProgressEvent},
    snaptrak::{not_created, surroundings},
};
use snaptrak_domain::{CancelToken, Secret, Sha256Digest, UnixMs, queue_store::Recipient};
use snaptrak_seal::{RecipientPrivateKey, TrustAnchor, accept_trust_bundle};
use snaptrak_store::{InPlace, Recovery, Store, StoreError};
use std::{
    io::{Read, Write},
    path::Path,
};

pub use snaptrak_store::{BundleReport, RecoverReport, Unreadable, UnreadableCode};

impl SnapTrak {
    /// Makes a new store in the configuration's folder of everything in `from` that can still be read: envelopes, pieces and
    /// journal, whatever became of the database. `from` is never changed. Pieces are hard links where both folders are on one
    /// file system, so that their room is freed when both are gone.
    ///
    /// Where the keyset of `from` opens with the platform's key store, the new store keeps its keys. Otherwise it needs
    /// `recovery_key`: the text of the organisation's private key file. Ids, times, findings and receipts are what they were;
    /// the account has to sign in again. Interrupted, the same call goes on.
    pub fn recover(
        from: &Path,
        config: &Config,
        platform: &Platform,
        recovery_key: Option<&Secret>,
        progress: &dyn Progress,
    ) -> Result<RecoverReport, Error> {
        Self::recover_until(from, config, platform, recovery_key, progress, &CancelToken::new())
    }

    /// As [`SnapTrak::recover`], and ends early (`Cancelled`) when another thread cancels the token; the same call goes on.
    pub fn recover_until(
        from: &Path,
        config: &Config,
        platform: &Platform,
        recovery_key: Option<&Secret>,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<RecoverReport, Error> {
        config.validate()?;
        let recovery = Recovery {
            from,
            into: &config.store,
            recovery_key: recovery_key.map(private_key).transpose()?,
            without_keys: false,
            recipients: &recipients,
            progress: &|done, total| tell(progress, done, total),
            cancel,
        };
        let recovered = Store::recover(&recovery, surroundings(config, platform));
        finish(recovered.map_err(|error| not_recovered(error, &config.store, recovery_key.is_some()))?)
    }

    /// The same in place: the folder of the configuration is renamed to `NAME.quarantined-N` and stays beside it, and a new
    /// store takes its place. For what [`SnapTrak::open`] answers with `damaged` or `keys_lost`; with `keys_lost` and without
    /// a recovery key the new store is empty, and [`SnapTrak::export_bundle`] of the quarantined folder is what the
    /// organisation's recovery key holder needs. Killed at any point, the same call goes on.
    pub fn quarantine_and_recover(
        config: &Config,
        platform: &Platform,
        recovery_key: Option<&Secret>,
        progress: &dyn Progress,
    ) -> Result<RecoverReport, Error> {
        Self::quarantine_and_recover_until(config, platform, recovery_key, progress, &CancelToken::new())
    }

    /// As [`SnapTrak::quarantine_and_recover`], and ends early (`Cancelled`) when another thread cancels the token; the same call
    /// goes on.
    pub fn quarantine_and_recover_until(
        config: &Config,
        platform: &Platform,
        recovery_key: Option<&Secret>,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<RecoverReport, Error> {
        config.validate()?;
        let in_place = InPlace {
            folder: &config.store,
            recovery_key: recovery_key.map(private_key).transpose()?,
            recipients: &recipients,
            progress: &|done, total| tell(progress, done, total),
            cancel,
        };
        let recovered = Store::quarantine_and_recover(&in_place, surroundings(config, platform));
        finish(recovered.map_err(|error| not_recovered(error, &config.store, recovery_key.is_some()))?)
    }

    /// Writes everything of the store in `from` that the organisation's recovery key opens as one tar file: no key is needed
    /// and nothing in it is in clear but ids, sizes and times.
    pub fn export_bundle(from: &Path, writer: &mut dyn Write) -> Result<BundleReport, Error> {
        Ok(snaptrak_store::export_bundle(from, writer)?)
    }

    /// Recovers a bundle into the configuration's folder. It is unpacked beside it (`NAME.unpacked`) and removed from there
    /// afterwards; whatever is no bundle of ours is refused.
    pub fn import_bundle(
        bundle: &mut dyn Read,
        config: &Config,
        platform: &Platform,
        recovery_key: &Secret,
        progress: &dyn Progress,
    ) -> Result<RecoverReport, Error> {
        // Before anything is unpacked.
        private_key(recovery_key)?;
        let unpacked =
            snaptrak_store::unpack_bundle(bundle, &config.store).map_err(|error| not_created(error, &config.store))?;
        let recovered = Self::recover(unpacked.folder(), config, platform, Some(recovery_key), progress);
        let mut report = match recovered {
            Err(error) if error.code() == ErrorCode::WrongKey => {
                // Nothing was begun with it, and the bundle is still there for the right key.
                unpacked.remove()?;
                return Err(error);
            }
            other => other?,
        };
        if unpacked.torn {
            report.unreadable.push(Unreadable { path: String::new(), code: UnreadableCode::TornBundle });
        }
        unpacked.remove()?;
        Ok(report)
    }
}

fn finish((store, report): (Store, RecoverReport)) -> Result<RecoverReport, Error> {
    store.close()?;
    Ok(report)
}

fn private_key(text: &Secret) -> Result<RecipientPrivateKey, Error> {
    let text = std::str::from_utf8(text.expose()).ok();
    text.and_then(|text| RecipientPrivateKey::from_file(text).ok())
        .ok_or_else(|| Error::new(ErrorCode::InvalidArgument, "this is no private key of an organisation"))
}

/// Whom the stored trust bundle names. It was judged when it was stored; one that does not hold names nobody.
fn recipients(bundle: &[u8], root: Sha256Digest) -> Vec<Recipient> {
    let accepted = accept_trust_bundle(bundle, Some(&TrustAnchor::pin(root)), UnixMs(i64::MIN));
    accepted.map_or_else(|_| Vec::new(), |accepted| snaptrak_sync::recipients(&accepted.body))
}

fn tell(progress: &dyn Progress, done: u64, total: u64) {
    progress.update(ProgressEvent { phase: Phase::Recovering, done, total, bytes_done: 0, bytes_total: 0 });
}

fn not_recovered(error: StoreError, into: &Path, with_recovery_key: bool) -> Error {
    if with_recovery_key && matches!(error, StoreError::WrongKey) {
        return Error::new(ErrorCode::WrongKey, "nothing in this store is sealed for that recovery key");
    }
    if let StoreError::Refused { code: "same_folder" } = error {
        let message = "the new store can be neither the folder that is read nor a folder in it or around it";
        return Error::new(ErrorCode::InvalidArgument, message);
    }
    not_created(error, into)
}
