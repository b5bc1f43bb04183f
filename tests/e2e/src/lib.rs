#![doc = include_str!("../README.md")]
#![allow(clippy::unwrap_used, reason = "scenario code: what does not go as written is the test's failure")]

mod canary;
mod fields;
mod folder;
mod newer;
mod picture;
mod recorder;
mod small_disk;

pub use canary::{Canary, traces};
pub use fields::lacking;
pub use folder::{Contents, contents, open_to_others, sha256_of};
pub use newer::raise_schema_version;
pub use picture::jpeg_with_text;
pub use recorder::{Ended, Recorder};
pub use small_disk::SmallDisk;
