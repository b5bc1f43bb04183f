//! The models of this device: which are in use, and how the organisation's newer ones come into use.

use crate::{Budget, Cancellation, ProgressListener, SnapTrak, SnapTrakError, cancellation::Waiting, progress};
use snaptrak::ErrorCode;
use std::sync::Arc;

/// An organisation's trust bundle with the root that it must chain to, for a device that belongs to no account yet.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PinnedTrust {
    /// The bundle.
    pub bundle: Vec<u8>,
    /// SHA-256 of the organisation's raw root key, as hexadecimal digits.
    pub root: String,
}

/// What to activate.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ActivateModels {
    /// The signed manifest.
    pub signed: Vec<u8>,
    /// Folder with the files that it names.
    pub files: String,
    /// Whose word counts; the organisation of this device's account otherwise.
    #[uniffi(default = None)]
    pub trust: Option<PinnedTrust>,
}

/// How to look for newer models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, uniffi::Record)]
pub struct UpdateModels {
    /// What the download may use. Bytes: a version of which more is missing is left for another time, so that an app on a metered
    /// network asks with 0 what there is. Time: what has arrived by then waits for the next call.
    #[uniffi(default = None)]
    pub budget: Option<Budget>,
    /// Whether a version that this device has refused before is tried again.
    #[uniffi(default = false)]
    pub again: bool,
}

/// One model in use.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ModelInUse {
    /// Its name in findings.
    pub id: String,
    /// What it is asked, as a word: `detect`, `find_faces`, ...
    pub task: String,
    /// Its own version.
    pub version: String,
}

/// A version of the organisation's models on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
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

/// A version that this device has refused.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RefusedModels {
    /// Its number.
    pub version: u64,
    /// Why, as a word: `self_test_failed`, `broke_off` (the process died in its self-test), `rolled_back`.
    pub because: String,
}

/// What models there are.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ModelsReport {
    /// The version in use; nothing for the packaged models.
    pub in_use: Option<u64>,
    /// The models in use.
    pub models: Vec<ModelInUse>,
    /// The versions on this device, oldest first.
    pub versions: Vec<ModelsVersion>,
    /// The version that was accepted last: an older one is refused.
    pub newest: Option<u64>,
    /// The version that was refused last, until another one is activated.
    pub refused: Option<RefusedModels>,
}

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ModelsActivated {
    /// The version that was to be activated.
    pub version: u64,
    /// Why it is not in use, in words for a developer: its self-test failed, and what was in use before still is.
    pub rolled_back: Option<String>,
    /// What is in use now.
    pub report: ModelsReport,
}

/// How a look for newer models ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum UpdateOutcome {
    /// The organisation's newest models are in use, or it has published none.
    UpToDate,
    /// Newer models came and are in use.
    Activated,
    /// Newer models came and do not work on this device: what was in use still is.
    RolledBack,
    /// This device has refused the organisation's newest models before; nothing was downloaded.
    RefusedBefore,
    /// Staged rollout keeps the organisation's newest models from this device; nothing was downloaded.
    NotForThisDevice,
    /// More bytes are missing than the budget grants; nothing was downloaded.
    BudgetBytes,
    /// The budget's time was over; what has arrived waits.
    BudgetTime,
}

/// What a look for newer models found and did.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ModelsUpdated {
    /// How it ended.
    pub outcome: UpdateOutcome,
    /// The version that the server has; nothing if it is the one with which nothing is to be done, or if there is none.
    pub version: Option<u64>,
    /// Files that came in this call.
    pub files: u64,
    /// Their bytes, without what an earlier call had brought.
    pub bytes: u64,
    /// Bytes that are still missing.
    pub left_bytes: u64,
    /// Why the version is not in use, in words for a developer, where its self-test failed.
    pub rolled_back: Option<String>,
    /// What is in use now.
    pub report: ModelsReport,
}

/// What the check of one version found.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct VerifiedModels {
    /// Its number; nothing for the packaged models.
    pub version: Option<u64>,
    /// Whether the organisation's signature holds; nothing where there is none to check, or no key to check it with.
    pub signature_ok: Option<bool>,
    /// What is wrong, in words for a developer; nothing: it is whole.
    pub failure: Option<String>,
}

#[uniffi::export]
impl SnapTrak {
    /// What models are in use on this device, and what versions lie here.
    pub async fn models(&self) -> Result<ModelsReport, SnapTrakError> {
        self.run(|core| Ok(core.models()?.into())).await
    }

    /// Asks the organisation's server for newer models, downloads what of them is not on this device, tests each model once, and
    /// uses them from then on; where the test fails, what was in use before still is. Broken off, what has arrived waits for the
    /// next call.
    ///
    /// A manifest that this device does not accept is `models_refused`, one that does not fit into the quota for models
    /// `storage_full`, and under keys that have run out nothing new is taken (`trust_expired`).
    #[uniffi::method(default(what = None, progress = None, cancellation = None))]
    pub async fn update_models(
        &self,
        what: Option<UpdateModels>,
        progress: Option<Arc<dyn ProgressListener>>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<ModelsUpdated, SnapTrakError> {
        let UpdateModels { budget, again } = what.unwrap_or_default();
        let Budget { time_ms, bytes } = budget.unwrap_or_default();
        let what = snaptrak::UpdateModels { budget: snaptrak::Budget { time_ms, bytes }, again };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| {
            Ok(core.update_models_until(what, &progress::Adapted::new(progress), token)?.into())
        })
        .await
    }

    /// Takes in a signed manifest with its files from a folder, as `SnapTrak::update_models` does from the server: for devices
    /// that are given their models by hand. Broken off before its self-test, it changes nothing.
    #[uniffi::method(default(cancellation = None))]
    pub async fn activate_models(
        &self,
        what: ActivateModels,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<ModelsActivated, SnapTrakError> {
        let ActivateModels { signed, files, trust } = what;
        let what = snaptrak::ActivateModels { signed, files: files.into(), trust: trust.map(pinned).transpose()? };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| Ok(core.activate_models_until(&what, token)?.into())).await
    }

    /// Uses the version before again, or the packaged models where there is none. Without those there are none then.
    pub async fn rollback_models(&self) -> Result<ModelsReport, SnapTrakError> {
        self.run(|core| Ok(core.rollback_models()?.into())).await
    }

    /// Checks the active version, the one before and the packaged models: every file by its digest, and the organisation's
    /// signature where its keys are known. It can be broken off.
    #[uniffi::method(default(trust = None, cancellation = None))]
    pub async fn verify_models(
        &self,
        trust: Option<PinnedTrust>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Vec<VerifiedModels>, SnapTrakError> {
        let trust = trust.map(pinned).transpose()?;
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| {
            let verified = core.verify_models_until(trust.as_ref(), token)?;
            Ok(verified.versions.into_iter().map(Into::into).collect())
        })
        .await
    }
}

fn pinned(trust: PinnedTrust) -> Result<snaptrak::PinnedTrust, SnapTrakError> {
    let PinnedTrust { bundle, root } = trust;
    let root = root.parse::<snaptrak::Sha256Digest>();
    let root = root.map_err(|error| SnapTrakError::new(ErrorCode::InvalidArgument, &error.to_string()))?;
    Ok(snaptrak::PinnedTrust { bundle, root })
}

impl From<snaptrak::ModelsReport> for ModelsReport {
    fn from(report: snaptrak::ModelsReport) -> Self {
        let snaptrak::ModelsReport { in_use, models, versions, newest, refused } = report;
        Self {
            in_use,
            models: models.into_iter().map(Into::into).collect(),
            versions: versions.into_iter().map(Into::into).collect(),
            newest,
            refused: refused.map(|(version, because)| RefusedModels { version, because: because.to_owned() }),
        }
    }
}

impl From<snaptrak::ModelInUse> for ModelInUse {
    fn from(model: snaptrak::ModelInUse) -> Self {
        let snaptrak::ModelInUse { id, task, version } = model;
        Self { id, task: task.as_str().to_owned(), version }
    }
}

impl From<snaptrak::ModelsVersion> for ModelsVersion {
    fn from(one: snaptrak::ModelsVersion) -> Self {
        let snaptrak::ModelsVersion { version, bytes, active, previous } = one;
        Self { version, bytes, active, previous }
    }
}

impl From<snaptrak::ModelsActivated> for ModelsActivated {
    fn from(activated: snaptrak::ModelsActivated) -> Self {
        let snaptrak::ModelsActivated { version, rolled_back, report } = activated;
        Self { version, rolled_back, report: report.into() }
    }
}

impl From<snaptrak::ModelsUpdated> for ModelsUpdated {
    fn from(updated: snaptrak::ModelsUpdated) -> Self {
        let snaptrak::ModelsUpdated { outcome, version, files, bytes, left_bytes, rolled_back, report } = updated;
        Self { outcome: outcome.into(), version, files, bytes, left_bytes, rolled_back, report: report.into() }
    }
}

impl From<snaptrak::UpdateOutcome> for UpdateOutcome {
    fn from(outcome: snaptrak::UpdateOutcome) -> Self {
        match outcome {
            snaptrak::UpdateOutcome::UpToDate => Self::UpToDate,
            snaptrak::UpdateOutcome::Activated => Self::Activated,
            snaptrak::UpdateOutcome::RolledBack => Self::RolledBack,
            snaptrak::UpdateOutcome::RefusedBefore => Self::RefusedBefore,
            snaptrak::UpdateOutcome::NotForThisDevice => Self::NotForThisDevice,
            snaptrak::UpdateOutcome::BudgetBytes => Self::BudgetBytes,
            snaptrak::UpdateOutcome::BudgetTime => Self::BudgetTime,
        }
    }
}

impl From<snaptrak::VerifiedModels> for VerifiedModels {
    fn from(verified: snaptrak::VerifiedModels) -> Self {
        let snaptrak::VerifiedModels { version, signature_ok, failure } = verified;
        Self { version, signature_ok, failure }
    }
}
