#![doc = include_str!("../README.md")]
#![allow(clippy::unwrap_used, reason = "scenario code: what does not go as written is the test's failure")]

mod peak;
mod running;
mod wired;

pub use peak::peak_bytes;
pub use running::Running;
pub use wired::{sealed_bytes, sent_bytes, wired};
