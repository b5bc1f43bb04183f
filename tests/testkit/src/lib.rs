#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod fakes;
pub mod memory_queue;
pub mod models;
pub mod queue_conformance;

pub use fakes::{FAKE_START_MS, FakeClock, FakeDisk, FixedKeyStore, SeededRandom};
