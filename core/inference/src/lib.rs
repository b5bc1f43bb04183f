#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(any(feature = "ort", feature = "tflite"))]
mod bounds;
pub mod contract;
mod cores;
#[cfg(any(feature = "ort", feature = "tflite"))]
mod model_bytes;
#[cfg(feature = "ort")]
pub mod ort_engine;
pub mod pool;
pub mod registry;
pub mod selection;
#[cfg(feature = "tflite")]
pub mod tflite;

pub use contract::check_outputs;
#[cfg(feature = "ort")]
pub use ort_engine::{OrtEngine, OrtLibraries, OrtProvider};
pub use pool::{PoolOptions, SessionPool};
pub use registry::{Manifest, ManifestError, ModelEntry, Variant, VerifyError, verify};
pub use selection::{SelectingEngine, Selection, SelectionOptions};
#[cfg(feature = "tflite")]
pub use tflite::{NpuOption, NpuPlugin, TfliteEngine, TfliteLibraries};
