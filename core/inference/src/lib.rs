#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod contract;
#[cfg(feature = "ort")]
pub mod ort_engine;
pub mod registry;

pub use contract::check_outputs;
#[cfg(feature = "ort")]
pub use ort_engine::OrtEngine;
pub use registry::{Manifest, ManifestError, ModelEntry, Variant, VerifyError, verify};
