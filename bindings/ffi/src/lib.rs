#![doc = include_str!("../README.md")]

mod accelerators;
mod analyse;
mod cancellation;
mod capture;
mod config;
mod enrol;
mod error;
mod ids;
mod key_store;
mod log;
mod look;
mod models;
mod progress;
mod purge;
mod record;
mod recover;
mod signer;
mod snaptrak;
mod states;
mod sync;
mod threads;
mod token_provider;
mod verify;
mod version;
mod watch;
#[doc(hidden)]
pub mod window;

pub use accelerators::{AcceleratorVerdict, AcceleratorsReport, Conditions, LastExit, TryAccelerators};
pub use analyse::{AnalyseOptions, AnalyseReport};
pub use cancellation::Cancellation;
pub use capture::{CaptureOptions, Captured, Location};
pub use config::{Config, NpuOption, NpuPlugin, OrtProvider};
pub use enrol::{Enrol, Enrolled, SignIn, SignUp};
pub use error::SnapTrakError;
pub use key_store::{KeyClass, KeyStore, KeyStoreFailure, WrappedKeys};
pub use log::{LogLevel, LogSink, set_log_sink};
pub use look::{
    Asset, Box2d, CaptureDetail, CaptureSummary, Finding, Page, ParkedStep, Piece, StageMs, Status, Step, Viewed, Why,
};
pub use models::{
    ActivateModels, ModelInUse, ModelsActivated, ModelsReport, ModelsUpdated, ModelsVersion, PinnedTrust,
    RefusedModels, UpdateModels, UpdateOutcome, VerifiedModels,
};
pub use progress::{Phase, Progress, ProgressListener};
pub use purge::{FetchReport, Forecast, Kept, PurgeReport};
pub use record::{PieceDone, RecordOptions, Recorded, Recording};
pub use recover::{RecoverReport, Unreadable, quarantine_and_recover, recover};
pub use signer::{Signer, SignerFailure};
pub use snaptrak::{RotateKeys, SnapTrak};
pub use states::{Accelerator, AssetState, EventKind, ExitReason, Kind, Place, Rendition, StepState, Thermal};
pub use sync::{Budget, SyncReport};
pub use token_provider::{TokenFailure, TokenProvider};
pub use verify::{VerifyFailure, VerifyReport};
pub use version::{library_version, require_version};
pub use watch::{EventBatch, EventWatcher, FindingsWatcher, QueueHealth, QueueWatcher, StoreEvent};

uniffi::setup_scaffolding!();
