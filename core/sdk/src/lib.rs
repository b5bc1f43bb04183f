#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod analyse;
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

pub use analyse::{AnalyseOptions, AnalyseReport};
pub use capture::CaptureOptions;
pub use config::Config;
pub use enrol::{Enrolled, SignIn, SignUp};
pub use error::{Cause, Error, ErrorCode};
pub use export_key::{ExportedKey, ExportedPiece};
pub use fetch::FetchReport;
pub use look::PictureFormat;
pub use models::{
    ActivateModels, ModelInUse, ModelsActivated, ModelsReport, ModelsVerified, ModelsVersion, PinnedTrust,
    VerifiedModels,
};
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
    AccountId, AssetId, AssetState, BootId, CancelToken, CaptureId, CaptureMetadata, Clock, DeviceId, Disk,
    EndedBecause, EventKind, Finding, FindingBox, KeptCode, KeyClass, KeyStore, KeyStoreError, Kind, Location,
    MonotonicMs, OrganisationId, PieceState, Random, RandomError, Reason, ReasonCode, Rendition, Secret, Sha256Digest,
    Signer, SignerError, StageMs, StepKind, StepState, StoreEvent, Task, UnixMs, WallTime, capture::CaptureSummary,
    engine::Accelerator, key_store::WrappedKeys,
};
pub use snaptrak_inference::{NpuOption, NpuPlugin, OrtProvider};
pub use snaptrak_store::{
    AssetDetail, Batch, CaptureDetail, Captured, Cursor, CursorError, Page, ParkedStep, PieceDetail, PieceDone,
    QueueHealth, RecordOptions, Recorded, StepDetail, StoreStatus, SystemDisk, Why,
};
