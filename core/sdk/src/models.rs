//! The models of this device: which are in use, and how the organisation's newer ones come into use.
//!
//! Owns the wiring: the organisation's keys judge a signed manifest, the registry activates it, an engine tests it. Versions lie
//! in the store's folder `models`; the folder of the configuration is what was packaged with the app. All of it works offline.

use crate::{Error, ErrorCode, SnapTrak, engine};
use snaptrak_domain::{
    CancelToken, Sha256Digest, Task,
    engine::{Accelerator, Engine, LoadOptions},
};
use snaptrak_inference::{
    VerifyError,
    registry::{
        Accepted, Activated, EngineSelfTest, InUse, Registry, RegistryError, RegistryOptions, Release, Source, Version,
    },
};
use snaptrak_seal::{
    SignedModelsError, TrustAnchor, TrustBody, TrustError, accept_models, accept_trust_bundle, open_models,
    trust::AcceptedVersion,
};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError},
};

/// The folder of versions in the store's.
const FOLDER: &str = "models";

/// An organisation's trust bundle with the root that it must chain to, for a device that belongs to no account yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedTrust {
    /// The bundle.
    pub bundle: Vec<u8>,
    /// SHA-256 of the organisation's raw root key.
    pub root: Sha256Digest,
}

/// What to activate.
#[derive(Debug, Clone)]
pub struct ActivateModels {
    /// The signed manifest.
    pub signed: Vec<u8>,
    /// Folder with the files that it names.
    pub files: PathBuf,
    /// Whose word counts; the organisation of this device's account otherwise.
    pub trust: Option<PinnedTrust>,
}

/// One model in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInUse {
    /// Its name in findings.
    pub id: String,
    /// What it is asked.
    pub task: Task,
    /// Its own version.
    pub version: String,
}

/// A version of the organisation's models on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsVersion {
    /// Its number.
    pub version: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// In use, if it is whole and the app's package has no newer models.
    pub active: bool,
    /// What a rollback leads to, if it is whole.
    pub previous: bool,
}

/// What models there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsReport {
    /// The version in use; `None` for the packaged models.
    pub in_use: Option<u64>,
    /// The models in use.
    pub models: Vec<ModelInUse>,
    /// The versions on this device, oldest first.
    pub versions: Vec<ModelsVersion>,
    /// The version that was accepted last: an older one is refused.
    pub newest: Option<u64>,
    /// The version that was refused last, and why as a word, until another one is activated.
    pub refused: Option<(u64, &'static str)>,
}

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsActivated {
    /// The version that was to be activated.
    pub version: u64,
    /// Why it is not in use, in words for a developer: its self-test failed, and what was in use before still is.
    pub rolled_back: Option<String>,
    /// What is in use now.
    pub report: ModelsReport,
}

/// What the check of one version found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedModels {
    /// Its number; `None` for the packaged models.
    pub version: Option<u64>,
    /// Whether the organisation's signature holds; `None` where there is none to check, or no key to check it with.
    pub signature_ok: Option<bool>,
    /// What is wrong, in words for a developer.
    pub failure: Option<String>,
}

/// What the check of all versions that may be used found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelsVerified {
    /// The active version, the one before and the packaged models, as far as there are any.
    pub versions: Vec<VerifiedModels>,
}

impl SnapTrak {
    /// What models are in use on this device, and what versions lie here.
    pub fn models(&self) -> Result<ModelsReport, Error> {
        let _call = self.inner.calls.begin(&CancelToken::new())?;
        let _models = self.hold_models();
        report(&self.registry()?)
    }

    /// Takes in the organisation's signed manifest with its files, tests each model once on this device, and uses them from then
    /// on; where the test fails, what was in use before still is. A manifest that this device does not accept is
    /// `models_refused`, a file that is not the manifest's `model_damaged`, one that does not fit into
    /// [`Config::models_quota_bytes`](crate::Config::models_quota_bytes) `storage_full`; none of them changes anything. Once the
    /// organisation's keys have run out (`trust_expired`) nothing new is taken.
    pub fn activate_models(&self, request: &ActivateModels) -> Result<ModelsActivated, Error> {
        self.activate_models_until(request, &CancelToken::new())
    }

    /// As [`SnapTrak::activate_models`], and ends before the next file when another thread cancels the token; a self-test that has
    /// begun goes on to its end.
    pub fn activate_models_until(
        &self,
        request: &ActivateModels,
        cancel: &CancelToken,
    ) -> Result<ModelsActivated, Error> {
        let call = self.inner.calls.begin(cancel)?;
        let _models = self.hold_models();
        let mut registry = self.registry()?.until(call.token());
        let trust = self.trust_in_force(request.trust.as_ref())?;
        let release = self.judge_models(&registry, &trust, &request.signed)?;
        let engine = engine::open(&self.inner.config, None)?;
        let activated = registry.activate(&release, &request.files, &self.self_test(&engine)).map_err(not_activated)?;
        let rolled_back = match activated {
            Activated::Confirmed => None,
            Activated::RolledBack { failure } => Some(failure.to_string()),
        };
        Ok(ModelsActivated { version: release.accepted.version, rolled_back, report: report(&registry)? })
    }

    /// Uses the version before again, or the packaged models where there is none. Without those there are none then.
    pub fn rollback_models(&self) -> Result<ModelsReport, Error> {
        let _call = self.inner.calls.begin(&CancelToken::new())?;
        let _models = self.hold_models();
        let mut registry = self.registry()?;
        match registry.rollback() {
            // Having none is what was asked for.
            Ok(_) | Err(RegistryError::NoModels) => report(&registry),
            Err(error) => Err(failed(error)),
        }
    }

    /// Checks what may be used: every file by its digest, and the organisation's signature where its keys are known.
    pub fn verify_models(&self, trust: Option<&PinnedTrust>) -> Result<ModelsVerified, Error> {
        self.verify_models_until(trust, &CancelToken::new())
    }

    /// As [`SnapTrak::verify_models`], and ends before the next version when another thread cancels the token.
    pub fn verify_models_until(
        &self,
        trust: Option<&PinnedTrust>,
        cancel: &CancelToken,
    ) -> Result<ModelsVerified, Error> {
        let call = self.inner.calls.begin(cancel)?;
        let _models = self.hold_models();
        let registry = self.registry()?;
        let trust = self.trust_for_models(trust)?;
        let mut verified = ModelsVerified::default();
        let versions = registry.versions().map_err(failed)?;
        for Version { version, .. } in versions.into_iter().filter(|version| version.active || version.previous) {
            call.go_on()?;
            let whole = registry.verify(version).map_err(|error| error.to_string());
            let signature = trust.as_ref().map(|trust| signature(&registry, version, trust));
            let failure = whole.err().or_else(|| signature.clone()?.err());
            let signature_ok = signature.map(|signature| signature.is_ok());
            verified.versions.push(VerifiedModels { version: Some(version), signature_ok, failure });
        }
        call.go_on()?;
        if self.inner.config.models.is_some() {
            let failure = registry.verify_packaged().err().map(|error| error.to_string());
            verified.versions.push(VerifiedModels { version: None, signature_ok: None, failure });
        }
        Ok(verified)
    }

    /// The models to use.
    pub(crate) fn models_in_use(&self) -> Result<InUse, Error> {
        let _models = self.hold_models();
        self.registry()?.in_use().map_err(failed)
    }

    /// What this device takes from its organisation: signed by a key for models, not older than what it has seen, in its time.
    pub(crate) fn judge_models(&self, registry: &Registry, trust: &TrustBody, signed: &[u8]) -> Result<Release, Error> {
        let known =
            registry.newest().map(|newest| AcceptedVersion { version: newest.version, body_sha256: newest.sha256 });
        let now = self.inner.platform.clock.now();
        let models = accept_models(signed, trust, known.as_ref(), now).map_err(refused)?;
        Ok(Release {
            accepted: Accepted { version: models.accepted.version, sha256: models.accepted.body_sha256 },
            manifest: models.manifest,
            signed: signed.to_vec(),
        })
    }

    pub(crate) fn self_test<'a>(&self, engine: &'a Arc<dyn Engine>) -> EngineSelfTest<'a> {
        let options = LoadOptions { accelerator: Accelerator::Cpu, threads: self.inner.config.threads };
        EngineSelfTest { engine: engine.as_ref(), options }
    }

    pub(crate) fn hold_models(&self) -> MutexGuard<'_, ()> {
        // Nothing is in memory that a panic could have left half done: the folder is read anew.
        self.inner.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registry(&self) -> Result<Registry, Error> {
        self.open_registry().map_err(failed)
    }

    pub(crate) fn open_registry(&self) -> Result<Registry, RegistryError> {
        let config = &self.inner.config;
        let options = RegistryOptions {
            folder: config.store.join(FOLDER),
            packaged: config.models.clone(),
            device_id: self.inner.store.device_id(),
            // All of them: whoever configures another engine later finds its files.
            engines: engine::ids(config),
            quota_bytes: config.models_quota_bytes,
        };
        Registry::open(options)
    }

    /// The keys by which something new is judged. Those whose time is over judge what is in use, and nothing new.
    pub(crate) fn trust_in_force(&self, pinned: Option<&PinnedTrust>) -> Result<TrustBody, Error> {
        let trust = self.trust_for_models(pinned)?.ok_or_else(|| {
            Error::new(ErrorCode::NotEnrolled, "this device belongs to no account, and no trust bundle was given")
        })?;
        if self.inner.platform.clock.now() >= trust.expires_ms {
            let message =
                "the organisation's keys ran out, so that nothing new is taken: the models in use stay in use";
            return Err(Error::new(ErrorCode::TrustExpired, message));
        }
        Ok(trust)
    }

    fn trust_for_models(&self, pinned: Option<&PinnedTrust>) -> Result<Option<TrustBody>, Error> {
        let Some(pinned) = pinned else { return self.stored_trust() };
        let now = self.inner.platform.clock.now();
        let accepted = accept_trust_bundle(&pinned.bundle, Some(&TrustAnchor::pin(pinned.root)), now);
        let code = |error| match error {
            TrustError::Expired => ErrorCode::TrustExpired,
            TrustError::Newer { .. } => ErrorCode::NewerVersion,
            TrustError::UntrustedRoot
            | TrustError::BadSignature
            | TrustError::VersionRollback { .. }
            | TrustError::Malformed { .. }
            | TrustError::WrongOrganisation => ErrorCode::TrustNotChained,
        };
        accepted.map(|accepted| Some(accepted.body)).map_err(|error| Error::new(code(error), error.to_string()))
    }
}

fn signature(registry: &Registry, version: u64, trust: &TrustBody) -> Result<(), String> {
    let signed = registry.signed(version).map_err(|error| error.to_string())?;
    let models = open_models(&signed, trust).map_err(|error| error.to_string())?;
    let same = models.claims.version == version && registry.manifest_is(version, &models.manifest);
    if same { Ok(()) } else { Err("the signed manifest is not the one in use".to_owned()) }
}

pub(crate) fn report(registry: &Registry) -> Result<ModelsReport, Error> {
    let (in_use, models) = match registry.in_use() {
        Ok(in_use) => (Some(in_use.source), in_use.manifest.models),
        // Having none is an answer to what there is.
        Err(RegistryError::NoModels) => (None, Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let versions = registry.versions().map_err(failed)?.into_iter().map(|version| ModelsVersion {
        version: version.version,
        bytes: version.bytes,
        active: version.active,
        previous: version.previous,
    });
    Ok(ModelsReport {
        in_use: match in_use {
            Some(Source::Version(version)) => Some(version),
            Some(Source::Packaged) | None => None,
        },
        models: models
            .into_iter()
            .map(|model| ModelInUse { id: model.id, task: model.task, version: model.version })
            .collect(),
        versions: versions.collect(),
        newest: registry.newest().map(|newest| newest.version),
        refused: registry.refused().map(|refused| (refused.version, refused.because.as_str())),
    })
}

fn refused(error: SignedModelsError) -> Error {
    let code = match error {
        SignedModelsError::Newer { .. } => ErrorCode::NewerVersion,
        SignedModelsError::UnknownKey { .. }
        | SignedModelsError::RevokedKey { .. }
        | SignedModelsError::BadSignature
        | SignedModelsError::WrongOrganisation
        | SignedModelsError::VersionRollback { .. }
        | SignedModelsError::Expired
        | SignedModelsError::Malformed { .. } => ErrorCode::ModelsRefused,
    };
    Error::new(code, format!("{error}: {}", error.next()))
}

pub(crate) fn not_activated(error: RegistryError) -> Error {
    match error {
        RegistryError::Manifest(error) => Error::new(ErrorCode::ModelsRefused, error.to_string()),
        RegistryError::NotForThisDevice | RegistryError::OlderThanPackaged { .. } => {
            Error::new(ErrorCode::ModelsRefused, error.to_string())
        }
        RegistryError::NoModels
        | RegistryError::File(_)
        | RegistryError::OverQuota { .. }
        | RegistryError::Newer
        | RegistryError::Cancelled
        | RegistryError::Io { .. } => failed(error),
    }
}

pub(crate) fn failed(error: RegistryError) -> Error {
    let full = |source: &io::Error| matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = match &error {
        RegistryError::NoModels => return Error::new(ErrorCode::ModelMissing, "no models folder was configured"),
        RegistryError::Manifest(_) | RegistryError::File(VerifyError::Missing { .. }) => ErrorCode::ModelMissing,
        RegistryError::File(
            VerifyError::Unreadable { .. } | VerifyError::WrongLength { .. } | VerifyError::WrongDigest { .. },
        ) => ErrorCode::ModelDamaged,
        RegistryError::NotForThisDevice | RegistryError::OlderThanPackaged { .. } => ErrorCode::ModelsRefused,
        RegistryError::OverQuota { .. } => ErrorCode::StorageFull,
        RegistryError::Newer => ErrorCode::NewerVersion,
        RegistryError::Cancelled => ErrorCode::Cancelled,
        RegistryError::Io { source, .. } if full(source) => ErrorCode::StorageFull,
        RegistryError::Io { .. } => ErrorCode::Internal,
    };
    Error::new(code, error.to_string())
}
