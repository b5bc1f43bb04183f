//! Asking the organisation's server for its models: first for the signed manifest, then, once somebody else has judged it, for
//! files by their digest.
//!
//! Owns the turn at the server, from the first request to the last. Refuses to know what a manifest says and where files lie.

use snaptrak_domain::fetch_store::ArrivingFile;
use snaptrak_domain::{CancelToken, MonotonicMs, Sha256Digest};

use crate::api::models::{plan_file, plan_newest, read_file, read_newest};
use crate::api::trust::{plan_fetch, read_fetch};
use crate::client::SyncClient;
use crate::download::Download;
use crate::errand::Errand;
use crate::error::SyncError;
use crate::trust;
use crate::turn::Turn;
use crate::verdict::{self, Verdict};

/// A file that is to come.
pub struct ModelsFile<'a> {
    /// Its place on this device.
    pub file: &'a dyn ArrivingFile,
    /// Its digest, by which the server knows it.
    pub sha256: Sha256Digest,
    /// Its length; a longer answer is not taken.
    pub bytes: u64,
}

/// The organisation's newest signed manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewestModels {
    /// It is the one that is known, or there is none.
    NothingNew,
    /// Its bytes, of which nothing was judged yet.
    Signed(Vec<u8>),
}

/// One visit at the server for its models. Other operations wait, or are refused, until it is dropped.
pub struct ModelsErrand<'a> {
    errand: Errand<'a>,
    _turn: Turn<'a>,
}

impl<'a> ModelsErrand<'a> {
    pub(crate) fn open(
        client: &'a SyncClient,
        turn: Turn<'a>,
        cancel: &'a CancelToken,
        deadline: Option<MonotonicMs>,
    ) -> Result<Self, SyncError> {
        Ok(Self { errand: Errand::open(client, cancel, deadline)?, _turn: turn })
    }

    /// Fetches the organisation's trust bundle, judges it and keeps it: the key that signed a manifest may be younger than the
    /// bundle that is stored. A server that cannot give it now leaves the one that is stored.
    pub fn renew_trust(&mut self) -> Result<(), SyncError> {
        let client = self.errand.client;
        let store = client.parts.store.as_ref();
        let response = self.errand.request_open(&plan_fetch)?;
        let bundle = match read_fetch(&response) {
            Ok(bundle) => bundle,
            Err(error) => {
                return match verdict::of_error(&error) {
                    Verdict::Later { .. } => Ok(()),
                    Verdict::Refused(_) | Verdict::Session => Err(error.into()),
                };
            }
        };
        let stored = store.trust_bundle()?;
        let now = client.parts.clock.now();
        let accepted = trust::judge(&self.errand.enrolment, stored.as_deref(), bundle, now)?;
        if stored.as_deref() != Some(bundle) {
            store.save_trust_bundle(bundle, accepted.anchor.root)?;
            self.errand.enrolment.trust_root = accepted.anchor.root;
            tracing::info!(version = accepted.body.version, rotated = accepted.rotated, "trust bundle accepted");
        }
        Ok(())
    }

    /// Asks for the newest signed manifest; `known` is the digest of the one that need not come again.
    pub fn newest(&mut self, known: Option<&Sha256Digest>) -> Result<NewestModels, SyncError> {
        let response = self.errand.request(&|call| plan_newest(call, known))?;
        Ok(match read_newest(&response)? {
            Some(signed) => NewestModels::Signed(signed.to_vec()),
            None => NewestModels::NothingNew,
        })
    }

    /// Brings a file into its place; the bytes that it took, `None` if it was there. What has arrived when it ends early waits
    /// for the next call.
    pub fn bring(&mut self, wanted: &ModelsFile<'_>) -> Result<Option<u64>, SyncError> {
        let download = Download {
            file: wanted.file,
            bytes: wanted.bytes,
            plan: &|call, into| plan_file(call, &wanted.sha256, into),
            read: read_file,
            refused: &SyncError::from,
        };
        download.bring(&mut self.errand)
    }
}
