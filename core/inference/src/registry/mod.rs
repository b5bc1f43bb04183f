//! The model registry: what models there are, and whether a file is the one that the manifest names.
//!
//! Owns the manifest's format and the check of digests. Refuses to know engines, pictures and where files come from. A
//! manifest that it does not fully understand is an error, never a smaller list of models.

mod decoder;
mod manifest;
mod rollout;
mod validate;
mod verify;

pub use decoder::{
    Activation, AnchorShape, BlazefaceDecoder, BlazefaceLayer, BoxOrder, BoxScales, Decoder, SsdAnchors, SsdDecoder,
};
pub use manifest::{
    ColourOrder, DataType, InputContract, Layout, MANIFEST_SCHEMA, Manifest, ManifestError, ModelEntry, NmsRule,
    Normalisation, OutputContract, Resize, ResizeFilter, Thresholds, Tolerance, Variant,
};
pub use rollout::{SHARE_ALL, is_in_share, parse_for_device};
pub use verify::{VerifyError, verify};
