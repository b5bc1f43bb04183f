#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod active_uploads;
mod app;
mod at_rest;
pub mod config;
pub mod data_key;
mod database;
mod edge;
pub mod error;
pub mod faults;
mod finish_upload;
mod folder;
mod http;
mod linger;
mod listener;
mod organisation;
mod password;
mod publish;
mod server;
mod takeaway;
mod throttle;
mod tls;
mod token;
mod verifier;
mod verify;

pub use config::{Encryption, ServerConfig};
pub use data_key::{DATA_KEY_VARIABLE, DataKeySource};
pub use edge::{TimeSource, system_time};
pub use error::Error;
pub use faults::{FaultAction, FaultRule, FaultRules, Faults};
pub use publish::{PublishedModels, publish_models};
pub use server::{RunningServer, Server};
pub use takeaway::{TrustRoot, add_models_key, export_upload_key, make_recovery_key, rotate_upload_key, trust_root};
