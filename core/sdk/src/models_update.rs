//! Fetching the organisation's newest models from its server.
//!
//! Owns the order: keys, signed manifest, what it means for this device, room, files, self-test. Nothing of a version is
//! downloaded before all that can be known of it without its files is known, and nothing is used before each file is what was
//! signed and each model works here. What has arrived when it ends early waits in the store's folder for the next call.

use crate::models::{not_activated, report};
use crate::progress::{Phase, Progress, ProgressEvent};
use crate::{Budget, Error, ErrorCode, ModelsReport, SnapTrak, engine};
use snaptrak_domain::fetch_store::{ArrivingFile, FetchTarget};
use snaptrak_domain::queue_store::QueueError;
use snaptrak_domain::transport::TransferError;
use snaptrak_domain::{CancelToken, MonotonicMs, Sha256Digest};
use snaptrak_inference::registry::{Activated, ArrivingModel, Registry, RegistryError, Release};
use snaptrak_seal::TrustBody;
use snaptrak_sync::{ModelsErrand, ModelsFile, NewestModels, SyncError};
use std::io;

/// How to look for newer models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpdateModels {
    /// What the download may use. Bytes: a version of which more is missing is left for another time, so that an app on a metered
    /// network asks with 0 what there is. Time: what has arrived by then waits for the next call.
    pub budget: Budget,
    /// Whether a version that this device has refused before is tried again.
    pub again: bool,
}

/// How a look for newer models ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl UpdateOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::UpToDate,
        Self::Activated,
        Self::RolledBack,
        Self::RefusedBefore,
        Self::NotForThisDevice,
        Self::BudgetBytes,
        Self::BudgetTime,
    ];

    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Activated => "activated",
            Self::RolledBack => "rolled_back",
            Self::RefusedBefore => "refused_before",
            Self::NotForThisDevice => "not_for_this_device",
            Self::BudgetBytes => "budget_bytes",
            Self::BudgetTime => "budget_time",
        }
    }
}

/// What a look for newer models found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsUpdated {
    /// How it ended.
    pub outcome: UpdateOutcome,
    /// The version that the server has; `None` if it is the one with which nothing is to be done, or if there is none.
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

/// The files of a version on their way.
struct Arriving<'a> {
    progress: &'a dyn Progress,
    files: Vec<(Sha256Digest, u64, ArrivingModel)>,
    came_files: u64,
    came_bytes: u64,
}

impl SnapTrak {
    /// Asks the organisation's server for newer models, downloads what of them is not on this device, tests each model once, and
    /// uses them from then on; where the test fails, what was in use before still is.
    ///
    /// A manifest that this device does not accept is `models_refused`, one that does not fit into the quota for models
    /// `storage_full`: of neither is anything downloaded. Captures and analyses go on meanwhile; an analysis takes the models that
    /// are in use when it begins. A sync waits until the download has ended (`in_use`).
    pub fn update_models(&self, what: UpdateModels, progress: &dyn Progress) -> Result<ModelsUpdated, Error> {
        self.update_models_until(what, progress, &CancelToken::new())
    }

    /// As [`SnapTrak::update_models`], and ends early when another thread cancels the token; what has arrived waits for the next
    /// call.
    pub fn update_models_until(
        &self,
        what: UpdateModels,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<ModelsUpdated, Error> {
        let call = self.inner.calls.begin(cancel)?;
        let token = call.token();
        let clock = &self.inner.platform.clock;
        let in_ms = |ms: u64| MonotonicMs(clock.monotonic().0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
        let over = || self.ended(UpdateOutcome::BudgetTime, None, None);
        let client = self.sync_client()?;
        let Some(mut errand) = in_time(client.models(token, what.budget.time_ms.map(in_ms)), token)? else {
            return over();
        };
        let Some(asked) = in_time(self.ask(&mut errand, what.again), token)? else { return over() };
        // The keys may be younger than those that captures were wrapped for so far.
        self.use_recipients_of_stored_trust()?;
        let trust = self.trust_in_force(None)?;
        let NewestModels::Signed(signed) = asked else { return self.ended(self.known_outcome()?, None, None) };
        let release = self.judge(&trust, &signed)?;
        let version = Some(release.accepted.version);
        if !what.again && self.is_settled(&release)? {
            return self.ended(self.known_outcome()?, version, None);
        }
        let files = match self.missing(&release) {
            Err(RegistryError::NotForThisDevice) => return self.ended(UpdateOutcome::NotForThisDevice, version, None),
            other => other.map_err(not_activated)?,
        };
        // Without it nothing could be tested: said before the download.
        let engine = engine::open(&self.inner.config, None)?;
        let mut arriving = Arriving { progress, files, came_files: 0, came_bytes: 0 };
        if what.budget.bytes.is_some_and(|granted| granted < arriving.left_bytes()) {
            return self.ended(UpdateOutcome::BudgetBytes, version, Some(&arriving));
        }
        let brought = arriving.bring(&mut errand);
        // The self-test needs no server: others may go there.
        drop(errand);
        if matches!(brought, Err(SyncError::OtherBytes)) {
            let message = "the server gave other bytes than the signed manifest names; nothing was replaced";
            return Err(Error::new(ErrorCode::ModelDamaged, message));
        }
        if in_time(brought, token)?.is_none() {
            return self.ended(UpdateOutcome::BudgetTime, version, Some(&arriving));
        }
        call.go_on()?;
        let activated = {
            let _models = self.hold_models();
            let mut registry = self.registry()?.until(token);
            // Others may have been activated meanwhile.
            let release = self.judge_models(&registry, &trust, &signed)?;
            registry.activate_downloaded(&release, &self.self_test(&engine)).map_err(not_activated)?
        };
        let (outcome, rolled_back) = match activated {
            Activated::Confirmed => (UpdateOutcome::Activated, None),
            Activated::RolledBack { failure } => (UpdateOutcome::RolledBack, Some(failure.to_string())),
        };
        Ok(ModelsUpdated { rolled_back, left_bytes: 0, ..self.ended(outcome, version, Some(&arriving))? })
    }

    /// The organisation's keys first, then its newest manifest, if it is another one than that with which nothing is to be done.
    fn ask(&self, errand: &mut ModelsErrand<'_>, again: bool) -> Result<NewestModels, SyncError> {
        errand.renew_trust()?;
        let known = if again { None } else { self.settled_signed() };
        errand.newest(known.as_ref())
    }

    fn settled_signed(&self) -> Option<Sha256Digest> {
        let _models = self.hold_models();
        // Not knowing it costs one answer of the server.
        let registry = self.registry().ok()?;
        let newest = registry.newest().filter(|_| registry.is_settled())?;
        Some(snaptrak_seal::sha256(&registry.signed(newest.version).ok()?))
    }

    /// What it means that the newest version is known and settled.
    fn known_outcome(&self) -> Result<UpdateOutcome, Error> {
        let _models = self.hold_models();
        let registry = self.registry()?;
        let refused = registry.refused().is_some_and(|refused| Some(refused.version) == newest(&registry));
        Ok(if refused { UpdateOutcome::RefusedBefore } else { UpdateOutcome::UpToDate })
    }

    fn judge(&self, trust: &TrustBody, signed: &[u8]) -> Result<Release, Error> {
        let _models = self.hold_models();
        self.judge_models(&self.registry()?, trust, signed)
    }

    fn is_settled(&self, release: &Release) -> Result<bool, Error> {
        let _models = self.hold_models();
        let registry = self.registry()?;
        let refused = registry.refused().is_some_and(|refused| refused.version == release.accepted.version);
        // A version in use whose envelope is damaged is put together anew; a refused one may have been removed to make room.
        let same = || registry.signed(release.accepted.version).is_ok_and(|signed| signed == release.signed);
        Ok(registry.newest() == Some(release.accepted) && registry.is_settled() && (refused || same()))
    }

    fn missing(&self, release: &Release) -> Result<Vec<(Sha256Digest, u64, ArrivingModel)>, RegistryError> {
        let _models = self.hold_models();
        let registry = self.open_registry()?;
        let missing = registry.missing(release)?;
        Ok(missing.iter().map(|file| (file.sha256, file.bytes, registry.arriving(file))).collect())
    }

    fn models_report(&self) -> Result<ModelsReport, Error> {
        let _models = self.hold_models();
        report(&self.registry()?)
    }

    fn ended(
        &self,
        outcome: UpdateOutcome,
        version: Option<u64>,
        arriving: Option<&Arriving<'_>>,
    ) -> Result<ModelsUpdated, Error> {
        let (files, bytes, left_bytes) =
            arriving.map_or((0, 0, 0), |it| (it.came_files, it.came_bytes, it.left_bytes()));
        let report = self.models_report()?;
        Ok(ModelsUpdated { outcome, version, files, bytes, left_bytes, rolled_back: None, report })
    }
}

/// What came of it, `None` if the budget's time was over: only that ends a request as cancelled while nobody has cancelled.
fn in_time<T>(result: Result<T, SyncError>, token: &CancelToken) -> Result<Option<T>, Error> {
    match result {
        Err(SyncError::Transfer(TransferError::Cancelled)) if !token.is_cancelled() => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn newest(registry: &Registry) -> Option<u64> {
    registry.newest().map(|newest| newest.version)
}

impl Arriving<'_> {
    fn left_bytes(&self) -> u64 {
        self.files.iter().fold(0, |left, (_, bytes, file)| left.saturating_add(bytes.saturating_sub(file.held_bytes())))
    }

    fn bring(&mut self, errand: &mut ModelsErrand<'_>) -> Result<(), SyncError> {
        let mut event = ProgressEvent {
            phase: Phase::Fetching,
            done: 0,
            total: self.files.len() as u64,
            bytes_done: 0,
            bytes_total: self.files.iter().fold(0, |sum, (_, bytes, _)| sum.saturating_add(*bytes)),
        };
        for (sha256, bytes, file) in &self.files {
            self.progress.update(event);
            let wanted = ModelsFile { file: &Place(file), sha256: *sha256, bytes: *bytes };
            let came = errand.bring(&wanted)?;
            self.came_files += u64::from(came.is_some());
            self.came_bytes += came.unwrap_or(0);
            event.done += 1;
            event.bytes_done += bytes;
        }
        self.progress.update(event);
        Ok(())
    }
}

/// A file's place in the registry, as the download knows places.
struct Place<'a>(&'a ArrivingModel);

impl ArrivingFile for Place<'_> {
    fn target(&self) -> Result<Option<FetchTarget>, QueueError> {
        let target = self.0.target().map_err(not_kept)?;
        Ok(target.map(|(path, held_bytes)| FetchTarget { path, held_bytes }))
    }

    fn accept(&self) -> Result<bool, QueueError> {
        self.0.accept().map_err(not_kept)
    }

    fn discard(&self) -> Result<(), QueueError> {
        self.0.discard().map_err(not_kept)
    }
}

fn not_kept(error: io::Error) -> QueueError {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if full { QueueError::Full } else { QueueError::Unavailable { detail: format!("the folder of models: {error}") } }
}
