#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connection;
mod error;
mod findings;
mod journal;
mod layout;
mod list;
mod migrate;
mod queue;
mod readers;
mod show;
mod status;
mod store;
mod why;
mod writer;

pub use error::StoreError;
pub use store::{Store, Surroundings};
