//! Which models are in use on this device, and the one way in which that changes.
//!
//! Owns a folder: `VERSION/` with a signed manifest and its files for each version, `incoming/` while one is put together,
//! `downloads/` while its files arrive, `active.json` and `newest.json`. Refuses to know signatures (a [`Release`] was accepted before it comes here), engines (the self-test is an
//! argument) and where files come from. Starts without a network; where nothing was activated, or nothing that was is whole any
//! more, the models that were packaged with the app are in use; so they are while they are newer than what was activated, which is
//! what an update of the app brings.
//!
//! Order: copy into `incoming/`, sync, verify, rename to `VERSION/`, sync; record the trial; self-test; record the
//! confirmation. Until the last step the version that was in use is still in use, so a process that dies anywhere leaves one that
//! works; a trial that is found when the folder is opened again is over, and its version refused. Only versions that are neither
//! in use nor the one before are ever removed.

use super::candidate::Candidate;
use super::disk::{DeviceDisk, Disk};
use super::manifest::{Manifest, ManifestError};
use super::records::Records;
use super::self_test::{SelfTest, SelfTestFailure};
use super::staging::Files;
use super::state::{Accepted, Because, Confirmed, Refused, State};
use super::verify::VerifyError;
use snaptrak_domain::{CancelToken, DeviceId, Sha256Digest};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub(super) const MANIFEST_FILE: &str = "manifest.json";
pub(super) const SIGNED_FILE: &str = "signed.json";

/// Why the models did not change, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nothing was activated and nothing is packaged: name a folder of models.
    #[error("there are no models on this device")]
    NoModels,
    /// The manifest breaks a rule, or is newer than this software.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file is not what the manifest says: fetch it again.
    #[error(transparent)]
    File(#[from] VerifyError),
    /// The version does not fit beside those that must stay: raise the quota.
    #[error("the models take {bytes} bytes, which do not fit into the quota of {quota_bytes} beside those in use")]
    OverQuota {
        /// What the version takes.
        bytes: u64,
        /// What all may take.
        quota_bytes: u64,
    },
    /// Staged rollout gives this device none of its models: what is in use stays in use.
    #[error("the manifest has no models for this device")]
    NotForThisDevice,
    /// The app's package has newer models: the organisation has to publish its own anew.
    #[error("the manifest's own version is {version}; the app was packaged with version {packaged}")]
    OlderThanPackaged {
        /// The manifest's own version, apart from the one that was signed with it.
        version: u64,
        /// That of the packaged manifest.
        packaged: u64,
    },
    /// The folder was written by newer software: update.
    #[error("the folder of models was written by newer software")]
    Newer,
    /// Somebody broke the activation off before its self-test; whatever was in use still is.
    #[error("the activation was broken off")]
    Cancelled,
    /// The disk failed; whatever was in use still is.
    #[error("the folder of models: cannot {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl RegistryError {
    pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Where a registry lies and for whom it decides.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Its folder; made when a version is activated.
    pub folder: PathBuf,
    /// The folder that came with the app: `manifest.json` and the models that it names. Never written to.
    pub packaged: Option<PathBuf>,
    /// For staged rollout.
    pub device_id: DeviceId,
    /// Whose files are kept ([`snaptrak_domain::engine::Engine::id`]).
    pub engines: Vec<String>,
    /// Room for all versions together; old ones go, the active one and the one before never.
    pub quota_bytes: u64,
}

/// A signed manifest that was accepted, ready to be activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What is remembered, so that no older one is accepted after it.
    pub accepted: Accepted,
    /// The manifest, byte for byte as it was signed.
    pub manifest: Vec<u8>,
    /// The envelope; kept beside the files and never read here.
    pub signed: Vec<u8>,
}

/// How an activation ended.
#[derive(Debug)]
pub enum Activated {
    /// It is in use.
    Confirmed,
    /// Its self-test failed: what was in use before still is.
    RolledBack {
        /// What a model did not do.
        failure: SelfTestFailure,
    },
}

/// Where the models in use come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An activated version.
    Version(u64),
    /// The app's package.
    Packaged,
}

/// The models in use.
#[derive(Debug, Clone, PartialEq)]
pub struct InUse {
    /// Where they come from.
    pub source: Source,
    /// Where their files lie.
    pub folder: PathBuf,
    /// What they are.
    pub manifest: Manifest,
}

/// The registry of one device.
pub struct Registry {
    options: RegistryOptions,
    records: Records,
    disk: Box<dyn Disk>,
    cancel: CancelToken,
}

impl Registry {
    /// Reads what is there, and ends a trial that a process did not live to end. A record that cannot be read is set aside,
    /// and the packaged models are in use until a version is activated.
    pub fn open(options: RegistryOptions) -> Result<Self, RegistryError> {
        Self::open_on(options, Box::new(DeviceDisk))
    }

    pub(super) fn open_on(options: RegistryOptions, disk: Box<dyn Disk>) -> Result<Self, RegistryError> {
        let records = Records::read(&options.folder, disk.as_ref())?;
        let mut registry = Self { options, records, disk, cancel: CancelToken::new() };
        if let Some(version) = registry.state().trial {
            tracing::warn!(version, "the process died while these models were tested: they are not used");
            registry.save(registry.state().refuse(Because::BrokeOff))?;
        }
        Ok(registry)
    }

    /// The same registry, whose activations end early once the token is cancelled: before the next file, and not in the self-test,
    /// whose end decides.
    #[must_use]
    pub fn until(self, cancel: &CancelToken) -> Self {
        Self { cancel: cancel.clone(), ..self }
    }

    pub(super) fn go_on(&self) -> Result<(), RegistryError> {
        if self.cancel.is_cancelled() { Err(RegistryError::Cancelled) } else { Ok(()) }
    }

    /// The models to use: the active version, else the one before, whichever is the first that is whole and not older than the
    /// packaged models; else those.
    pub fn in_use(&self) -> Result<InUse, RegistryError> {
        let packaged = self.packaged();
        for confirmed in self.confirmed() {
            match self.whole(confirmed) {
                Ok(candidate) if self.packaged_wins(packaged.as_ref(), &candidate.manifest) => break,
                Ok(candidate) => {
                    let folder = self.version_folder(confirmed.version);
                    let source = Source::Version(confirmed.version);
                    return Ok(InUse { source, folder, manifest: candidate.manifest });
                }
                Err(error) => tracing::warn!(version = confirmed.version, %error, "these models are not used"),
            }
        }
        let folder = self.options.packaged.clone().ok_or(RegistryError::NoModels)?;
        Ok(InUse { source: Source::Packaged, folder, manifest: packaged.ok_or(RegistryError::NoModels)?? })
    }

    /// Takes a version in from a folder that holds its files, tests it, and uses it from then on. Files that are here already
    /// and whole are not copied again.
    pub fn activate(
        &mut self,
        release: &Release,
        from: &Path,
        self_test: &dyn SelfTest,
    ) -> Result<Activated, RegistryError> {
        self.activate_from(release, Files::In(from), self_test)
    }

    /// The same for a version whose files are all on this device ([`Registry::missing`]); what was downloaded is cleared away.
    pub fn activate_downloaded(
        &mut self,
        release: &Release,
        self_test: &dyn SelfTest,
    ) -> Result<Activated, RegistryError> {
        let activated = self.activate_from(release, Files::OnThisDevice, self_test)?;
        self.clear_downloads();
        Ok(activated)
    }

    fn activate_from(
        &mut self,
        release: &Release,
        files: Files<'_>,
        self_test: &dyn SelfTest,
    ) -> Result<Activated, RegistryError> {
        let version = release.accepted.version;
        let candidate = self.candidate(release)?;
        let folder = self.version_folder(version);
        if !self.is_staged(release, &candidate) {
            self.stage(release, &candidate, files)?;
        }
        self.go_on()?;
        self.save(self.state().begin(release.accepted))?;
        if let Err(failure) = self_test.check(&folder, &candidate) {
            tracing::warn!(version, %failure, "these models failed their self-test: they are not used");
            self.save(self.state().refuse(Because::SelfTestFailed))?;
            return Ok(Activated::RolledBack { failure });
        }
        let manifest_sha256 = sha256(&release.manifest);
        self.save(self.state().confirm(Confirmed { version, manifest_sha256 }))?;
        tracing::info!(version, "these models are in use");
        if let Err(error) = self.make_room(0) {
            // Nothing depends on it: the next activation tries again.
            tracing::warn!(%error, "old models could not be removed");
        }
        Ok(Activated::Confirmed)
    }

    /// What a release is for this device.
    pub(super) fn candidate(&self, release: &Release) -> Result<Candidate, RegistryError> {
        let candidate = Candidate::read(&release.manifest, self.options.device_id, &self.options.engines)?;
        if candidate.manifest.models.is_empty() {
            return Err(RegistryError::NotForThisDevice);
        }
        let version = candidate.manifest.version;
        match self.packaged() {
            // It would never be used.
            Some(Ok(Manifest { version: packaged, .. })) if packaged > version => {
                Err(RegistryError::OlderThanPackaged { version, packaged })
            }
            Some(_) | None => Ok(candidate),
        }
    }

    /// Uses the version before again, or the packaged models where there is none that is whole. The version that was in use
    /// can be activated again.
    pub fn rollback(&mut self) -> Result<InUse, RegistryError> {
        let whole = self.state().previous.is_some_and(|previous| self.whole(previous).is_ok());
        if self.state().active.is_some() {
            self.save(self.state().roll_back(whole))?;
        }
        self.in_use()
    }

    /// Whether there is nothing to do for the version that was accepted last: it is in use and whole, or it was refused for
    /// good. One that broke off once may have been none of the models' doing, and is tried once more.
    pub fn is_settled(&self) -> bool {
        let Some(newest) = self.newest() else { return false };
        let active = self.state().active.filter(|active| active.version == newest.version);
        let refused = self.refused().filter(|refused| refused.version == newest.version);
        active.is_some_and(|active| self.whole(active).is_ok()) || refused.is_some_and(|refused| refused.is_final())
    }

    /// Whether a version that was activated is whole on this device, file by file.
    pub fn verify(&self, version: u64) -> Result<(), RegistryError> {
        match self.confirmed().find(|confirmed| confirmed.version == version) {
            Some(confirmed) => self.whole(confirmed).map(drop),
            None => Err(RegistryError::NoModels),
        }
    }

    /// Whether the packaged models are whole, file by file.
    pub fn verify_packaged(&self) -> Result<(), RegistryError> {
        let folder = self.options.packaged.as_deref().ok_or(RegistryError::NoModels)?;
        let manifest = Manifest::read_bytes(folder)?;
        let candidate = Candidate::read(&manifest, self.options.device_id, &self.options.engines)?;
        Ok(candidate.verify(folder)?)
    }

    /// Whether a version's manifest is these bytes.
    pub fn manifest_is(&self, version: u64, bytes: &[u8]) -> bool {
        Manifest::read_bytes(&self.version_folder(version)).is_ok_and(|found| found == bytes)
    }

    /// The envelope of a version, for whoever checks signatures.
    pub fn signed(&self, version: u64) -> Result<Vec<u8>, RegistryError> {
        fs::read(self.version_folder(version).join(SIGNED_FILE)).map_err(RegistryError::io("read a signed manifest"))
    }

    /// The signed manifest that was accepted last: no older one may be accepted.
    pub fn newest(&self) -> Option<Accepted> {
        self.records.newest
    }

    /// The version that was refused last.
    pub fn refused(&self) -> Option<Refused> {
        self.state().refused
    }

    pub(super) fn state(&self) -> &State {
        &self.records.state
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    pub(super) fn options(&self) -> &RegistryOptions {
        &self.options
    }

    pub(super) fn version_folder(&self, version: u64) -> PathBuf {
        self.options.folder.join(version.to_string())
    }

    fn confirmed(&self) -> impl Iterator<Item = Confirmed> {
        [self.state().active, self.state().previous].into_iter().flatten()
    }

    fn packaged(&self) -> Option<Result<Manifest, ManifestError>> {
        let folder = self.options.packaged.as_deref()?;
        let manifest = Manifest::read_bytes(folder);
        Some(manifest.and_then(|manifest| super::rollout::parse_for_device(&manifest, self.options.device_id)))
    }

    /// Whether the packaged models stand before a version: they are newer, and whole.
    fn packaged_wins(&self, packaged: Option<&Result<Manifest, ManifestError>>, other: &Manifest) -> bool {
        let newer = packaged.is_some_and(|packaged| packaged.as_ref().is_ok_and(|it| it.version > other.version));
        newer && self.verify_packaged().is_ok()
    }

    fn whole(&self, confirmed: Confirmed) -> Result<Candidate, RegistryError> {
        let folder = self.version_folder(confirmed.version);
        let manifest = Manifest::read_bytes(&folder)?;
        if sha256(&manifest) != confirmed.manifest_sha256 {
            return Err(VerifyError::WrongDigest { model_id: MANIFEST_FILE.to_owned() }.into());
        }
        let candidate = Candidate::read(&manifest, self.options.device_id, &self.options.engines)?;
        candidate.verify(&folder)?;
        Ok(candidate)
    }

    fn save(&mut self, state: State) -> Result<(), RegistryError> {
        self.records.save(state, &self.options.folder, self.disk.as_ref())
    }
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut value = [0; 32];
    value.copy_from_slice(digest.as_ref());
    Sha256Digest(value)
}
