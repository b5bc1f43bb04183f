#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accelerators;
mod analyse;
mod annotations;
mod calls;
mod capture;
mod config;
mod engine;
mod enrol;
mod error;
mod export_key;
mod fetch;
mod from_store;
mod from_sync;
mod look;
mod models;
#[cfg(test)]
mod models_tests;
mod models_update;
mod platform;
mod progress;
mod purge;
mod reader;
mod record;
mod recover;
mod room;
mod snaptrak;
mod sync;
mod thumbnail;
mod trust;
mod verify;
mod watch;

pub use accelerators::{AcceleratorsReport, TryAccelerators};
pub use analyse::{AnalyseOptions, AnalyseReport};
pub use capture::CaptureOptions;
pub use config::Config;
pub use enrol::{Enrol, Enrolled, SignIn, SignUp};
pub use error::{Cause, Error, ErrorCode};
pub use export_key::{ExportedKey, ExportedPiece};
pub use fetch::FetchReport;
pub use look::PictureFormat;
pub use models::{
    ActivateModels, ModelInUse, ModelsActivated, ModelsReport, ModelsVerified, ModelsVersion, PinnedTrust,
    VerifiedModels,
};
pub use models_update::{ModelsUpdated, UpdateModels, UpdateOutcome};
pub use platform::{Platform, SystemClock, SystemRandom};
pub use progress::{Phase, Progress, ProgressEvent, Quiet};
pub use purge::{KeptCapture, PurgeOptions, PurgeReport};
pub use reader::Reader;
pub use record::Recording;
pub use recover::{BundleReport, RecoverReport, Unreadable, UnreadableCode};
pub use room::Forecast;
pub use snaptrak::{RotateKeys, SnapTrak};
pub use sync::{Budget, StoppedBecause, SyncReport};
pub use verify::{VerifyFailure, VerifyReport};
pub use watch::{FindingsWatcher, QueueWatcher, Watcher};

pub use snaptrak_domain::{
    AccountId, Annotation, AssetId, AssetState, BootId, CancelToken, CaptureId, CaptureMetadata, Clock, Conditions,
    DeviceId, Disk, EndedBecause, EventKind, ExitReason, FieldName, FieldNameError, Finding, FindingBox, HybridTime,
    KeptCode, KeyClass, KeyStore, KeyStoreError, Kind, LastExit, Location, MonotonicMs, OrganisationId, PieceState,
    Place, Random, RandomError, Reason, ReasonCode, Rendition, Secret, Sha256Digest, Signer, SignerError, StageMs,
    StepKind, StepState, StoreEvent, Task, Thermal, TokenError, TokenProvider, UnixMs, WallTime,
    capture::CaptureSummary,
    engine::Accelerator,
    key_store::WrappedKeys,
    verdict::{Candidate, Circumstances, Standing, Verdict, VerdictCode},
};
pub use snaptrak_inference::{NpuOption, NpuPlugin, OrtProvider, selection::Note};
pub use snaptrak_store::{
    AssetDetail, Batch, CaptureDetail, Captured, Cursor, CursorError, Page, ParkedStep, PieceDetail, PieceDone,
    QueueHealth, RecordOptions, Recorded, StepDetail, StoreStatus, SystemDisk, Why,
};
