#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod api;
mod client;
mod countersign;
mod download;
mod enrol;
mod errand;
mod error;
mod fetch;
mod line;
mod models;
mod observer;
pub mod origin;
mod report;
pub mod reqwest_transport;
mod session;
mod token_source;
mod trust;
mod turn;
mod tus;
mod verdict;
mod window;

#[cfg(test)]
mod peer_tests;
#[cfg(test)]
mod testing;

pub use api::ApiError;
pub use api::devices::Device;
pub use client::{SyncClient, SyncParts};
pub use enrol::{Credentials, EnrolRequest, Enrolled};
pub use error::SyncError;
pub use fetch::{FetchProgress, Fetched};
pub use models::{ModelsErrand, ModelsFile, NewestModels};
pub use observer::{Quiet, SyncObserver, SyncPhase, SyncProgress};
pub use origin::{Origin, OriginError};
pub use report::{Budget, StoppedBecause, SyncReport};
pub use reqwest_transport::{ReqwestTransport, TransportError, TransportSettings};
pub use trust::{recipients, stored_recipients};
