//! The model registry: what models there are, and whether a file is the one that the manifest names.
//!
//! Owns the manifest's format, the check of digests, and the folder of versions on this device with its rule of activation.
//! Refuses to know engines, pictures, signatures and where files come from. A manifest that it does not fully understand is
//! an error, never a smaller list of models.

mod activation;
mod candidate;
mod decoder;
mod disk;
mod download;
mod golden;
mod manifest;
mod records;
mod rollout;
mod self_test;
mod staging;
mod state;
mod test_inputs;
mod validate;
mod verify;
mod versions;

#[cfg(test)]
mod activation_tests;
#[cfg(test)]
mod download_tests;
#[cfg(test)]
mod test_device;

pub use activation::{Activated, InUse, Registry, RegistryError, RegistryOptions, Release, Source};
pub use candidate::Candidate;
pub use decoder::{
    Activation, AnchorShape, BlazefaceDecoder, BlazefaceLayer, BoxOrder, BoxScales, Decoder, SsdAnchors, SsdDecoder,
};
pub use download::{ArrivingModel, MissingModel};
pub use manifest::{
    ColourOrder, DataType, InputContract, Layout, MANIFEST_SCHEMA, Manifest, ManifestError, ModelEntry, NmsRule,
    Normalisation, OutputContract, Resize, ResizeFilter, Thresholds, Tolerance, Variant, WaveAnswer,
};
pub use rollout::{SHARE_ALL, is_in_share, parse_for_device};
pub(crate) use self_test::TENSOR_ABS_DEFAULT;
pub use self_test::{EngineSelfTest, SelfTest, SelfTestFailure};
pub use state::{Accepted, Because, Refused};
pub use test_inputs::test_inputs;
pub use verify::{VerifyError, verify};
pub use versions::{QUOTA_BYTES, Version};
