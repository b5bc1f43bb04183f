#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adopt;
mod annotations;
mod ballast;
mod batch;
mod capture;
mod capture_rows;
mod chores;
mod connection;
mod content;
mod create;
mod crowd;
mod database_key;
mod derived;
mod envelopes;
mod error;
mod exif;
mod export;
mod fetch;
mod findings;
mod gate;
mod health;
mod in_use;
mod intake;
mod intake_row;
mod journal;
mod keep;
mod keys;
mod keyset;
mod layout;
mod list;
mod lock;
mod migrate;
mod open;
mod piece_file;
mod purge;
mod queue;
mod reader;
mod readers;
mod receipts;
mod recording;
mod recover;
mod request;
mod rotate;
mod rows;
mod salvage;
mod sealer;
mod sealing;
mod session;
mod setting;
mod settle;
mod shared_sync;
mod show;
mod source;
mod space;
mod status;
mod store;
mod store_file;
#[cfg(test)]
mod tests;
mod tidy;
mod watch;
mod why;
mod writer;

pub use derived::{Analysis, WaitingThumbnail};
pub use error::StoreError;
pub use export::{ExportedKey, ExportedPiece};
pub use health::QueueHealth;
pub use list::{Cursor, CursorError, Page};
pub use purge::{BeforePurge, KEPT_LISTED_MAX, KeptCapture, PurgeReport, PurgeRequest};
pub use receipts::StoredReceipt;
pub use recording::{PieceDone, RecordOptions, Recorded, Recording};
pub use recover::{
    BundleReport, InPlace, RecoverReport, Recovery, Unpacked, Unreadable, UnreadableCode, export_bundle, unpack_bundle,
};
pub use request::{CaptureRequest, Captured};
pub use show::{AssetDetail, CaptureDetail, PieceDetail, StepDetail};
pub use space::{Forecast, SystemDisk};
pub use status::{ParkedStep, StoreStatus};
pub use store::{Store, Surroundings};
pub use watch::{Batch, Interest, Next, Watcher};
pub use why::Why;
