//! A repeatable stand-in for chance in this crate's unit tests: SHA-256 in counter mode over a seed.

use std::sync::atomic::{AtomicU64, Ordering};

use snaptrak_domain::{Random, RandomError};

pub(crate) struct CountingRandom {
    seed: u64,
    drawn: AtomicU64,
}

impl CountingRandom {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Random for CountingRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for block in buffer.chunks_mut(32) {
            let count = self.drawn.fetch_add(1, Ordering::Relaxed);
            let input = [self.seed.to_be_bytes(), count.to_be_bytes()].concat();
            let digest = ring::digest::digest(&ring::digest::SHA256, &input);
            block.copy_from_slice(&digest.as_ref()[..block.len()]);
        }
        Ok(())
    }
}

/// A source that has nothing to give.
pub(crate) struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}
