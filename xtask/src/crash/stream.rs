//! A long source of known bytes, made as it is read: fed into a pipe, and compared with what a store kept of it.
//!
//! Owns what stands at which place of the source. Refuses to know recordings. The pipe's end is not an error here: whoever
//! reads was killed, which is the trial.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::ground::Chance;
use crate::error::{AtPath, Result};

/// The block that repeats, each time with its number at its front. A prime: no pipe, segment or piece has its length, so that
/// bytes at a wrong place differ.
const BLOCK_BYTES: usize = 1_048_583;
/// One write: more than a pipe takes at once, and no multiple of what lies in it.
const WRITE_BYTES: usize = 200_003;

/// The source.
pub(super) struct Stream {
    block: Arc<Vec<u8>>,
}

impl Stream {
    /// Its bytes are drawn.
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let words = BLOCK_BYTES.div_ceil(size_of::<u64>());
        let mut block: Vec<u8> = (0..words).flat_map(|_| chance.next().to_le_bytes()).collect();
        block.truncate(BLOCK_BYTES);
        Self { block: Arc::new(block) }
    }

    /// Writes so many bytes into a pipe, on a thread of its own.
    pub(super) fn feed(&self, mut pipe: ChildStdin, bytes: u64, at_end: AtEnd) -> Feeding {
        let (source, fed) = (Self { block: Arc::clone(&self.block) }, Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&fed);
        let thread = std::thread::spawn(move || {
            let mut blocks = Blocks::of(source, bytes);
            while let Some(block) = blocks.next() {
                for chunk in block.chunks(WRITE_BYTES) {
                    if pipe.write_all(chunk).is_err() {
                        return None;
                    }
                    count.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                }
            }
            match at_end {
                AtEnd::Close => None,
                AtEnd::Hold => Some(pipe),
            }
        });
        Feeding { fed, _thread: thread }
    }

    /// Whether a file has the first bytes of the source, at most so many; its length if it has.
    pub(super) fn prefix_bytes(&self, file: &Path, bytes_max: u64) -> Result<Option<u64>> {
        let mut reader = BufReader::new(File::open(file).at(file)?);
        let mut blocks = Blocks::of(Self { block: Arc::clone(&self.block) }, bytes_max);
        let (mut length, mut found) = (0, Vec::with_capacity(BLOCK_BYTES));
        loop {
            found.clear();
            (&mut reader).take(BLOCK_BYTES as u64).read_to_end(&mut found).at(file)?;
            if found.is_empty() {
                return Ok(Some(length));
            }
            if !blocks.next().is_some_and(|block| block.starts_with(&found)) {
                return Ok(None);
            }
            length += found.len() as u64;
        }
    }
}

/// What becomes of the pipe after the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// The input ends.
    Close,
    /// Nothing more comes, and nothing ends.
    Hold,
}

/// A source that flows into a pipe; dropping it closes a pipe that was held.
pub(super) struct Feeding {
    fed: Arc<AtomicU64>,
    /// Holds the pipe that its thread gave back.
    _thread: JoinHandle<Option<ChildStdin>>,
}

impl Feeding {
    /// Bytes that the pipe has taken.
    pub(super) fn bytes(&self) -> u64 {
        self.fed.load(Ordering::SeqCst)
    }
}

/// The blocks of a source one after the other.
struct Blocks {
    source: Stream,
    block: Vec<u8>,
    number: u64,
    left: u64,
}

impl Blocks {
    fn of(source: Stream, bytes: u64) -> Self {
        let block = source.block.to_vec();
        Self { source, block, number: 0, left: bytes }
    }

    fn next(&mut self) -> Option<&[u8]> {
        let length = self.left.min(BLOCK_BYTES as u64);
        if length == 0 {
            return None;
        }
        let number = self.number.to_le_bytes();
        let front = self.block.iter_mut().zip(self.source.block.iter());
        front.zip(number).for_each(|((to, drawn), number)| *to = drawn ^ number);
        self.number += 1;
        self.left -= length;
        Some(&self.block[..length as usize])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs;

    #[test]
    fn a_prefix_is_known_and_nothing_else_is_one() {
        let source = Stream::draw(&mut Chance::new(3));
        let (mut bytes, length) = (Vec::new(), 2 * BLOCK_BYTES as u64 + 9);
        let mut blocks = Blocks::of(Stream { block: Arc::clone(&source.block) }, length);
        while let Some(block) = blocks.next() {
            bytes.extend_from_slice(block);
        }
        assert_eq!(bytes.len() as u64, length);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept");
        let prefix = |kept: &[u8], bytes_max| {
            fs::write(&file, kept).unwrap();
            source.prefix_bytes(&file, bytes_max).unwrap()
        };
        for cut in [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, bytes.len()] {
            assert_eq!(prefix(&bytes[..cut], length), Some(cut as u64));
        }
        assert_eq!(prefix(&bytes, length - 1), None, "longer than it can be");
        assert_eq!(prefix(&bytes[BLOCK_BYTES..], length), None, "a block that is missing");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(prefix(&bytes, length), None);
    }
}
