#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod activation;
mod analyser;
pub mod annotate;
mod blazeface;
mod cover;
pub mod decode;
mod detector;
mod embedded;
mod error;
pub mod format;
mod nms;
mod placement;
mod resize;
mod ssd;
mod tensor;
mod thumbnail;
mod upright;

pub use analyser::{Analyser, AnalyserOptions, MonotonicMsFn, PICTURE_BYTES_MAX};
pub use annotate::{ANNOTATED_PIXELS_MAX, AnnotatedFormat, annotate};
pub use error::AnalyseError;
pub use thumbnail::{THUMBNAIL_SIDE_MAX, thumbnail, thumbnail_of_bytes};
pub use upright::upright_size;
