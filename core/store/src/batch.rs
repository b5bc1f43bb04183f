//! A few segments of a piece on their way from plaintext to the file.
//!
//! Owns the buffer: where each segment's plaintext lies, so that sealed in place all of them lie as in the file, header and
//! tags included, and are written at once. Plaintext that was not sealed is wiped when the batch is dropped; ciphertext is not.

use crate::{StoreError, piece_file::DIRECT_BLOCK_BYTES};
use snaptrak_domain::limits::SEGMENT_BYTES;
use snaptrak_seal::piece::{HEADER_BYTES, TAG_BYTES};
use std::ops::Range;
use zeroize::Zeroize;

/// Segments of a batch: what lies between reading and sealing stays in a core's second-level cache, and a direct write is long
/// enough that the disk is not asked too often.
const SEGMENTS: usize = 4;

/// Bytes of a full batch in the file.
const BATCH_BYTES: usize = SEGMENTS * SEGMENT_BYTES;

/// Up to 256 KiB of a piece.
pub(crate) struct Batch {
    buffer: Vec<u8>,
    /// Where in the buffer the batch begins: at an address that a direct write takes.
    origin: usize,
    /// Plaintext of each segment, relative to the origin.
    plain: [Range<usize>; SEGMENTS],
    segments: usize,
    /// Where what was sealed ends, relative to the origin.
    end: usize,
    /// Nothing of the piece follows.
    pub(crate) last: bool,
    sealed: bool,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let buffer = vec![0; BATCH_BYTES + DIRECT_BLOCK_BYTES];
        // An address that cannot be aligned is no error here: direct writes are refused then, and the cache is used.
        let origin = buffer.as_ptr().align_offset(DIRECT_BLOCK_BYTES).min(DIRECT_BLOCK_BYTES);
        Self { buffer, origin, plain: [const { 0..0 }; SEGMENTS], segments: 0, end: 0, last: false, sealed: true }
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.segments = 0;
        self.end = 0;
        self.last = false;
    }

    pub(crate) fn has_room(&self) -> bool {
        self.segments < SEGMENTS
    }

    /// Room for the next segment's plaintext, `start` bytes after the segment's place in the file.
    pub(crate) fn next_segment(&mut self, start: usize, bytes: usize) -> &mut [u8] {
        self.sealed = false;
        let first = self.origin + self.segments * SEGMENT_BYTES + start;
        &mut self.buffer[first..first + bytes]
    }

    /// As many bytes were put into [`Batch::next_segment`].
    pub(crate) fn took(&mut self, start: usize, bytes: usize) {
        let first = self.segments * SEGMENT_BYTES + start;
        self.plain[self.segments] = first..first + bytes;
        self.segments += 1;
    }

    /// Where the header of a piece's first batch lies.
    pub(crate) fn header(&mut self) -> &mut [u8] {
        &mut self.buffer[self.origin..self.origin + HEADER_BYTES]
    }

    /// Lets `seal` encrypt each segment in place and tell its tag.
    pub(crate) fn seal(
        &mut self,
        mut seal: impl FnMut(&mut [u8], bool) -> Result<[u8; TAG_BYTES], StoreError>,
    ) -> Result<(), StoreError> {
        let batch = &mut self.buffer[self.origin..];
        let mut end = 0;
        for (number, plain) in self.plain[..self.segments].iter().enumerate() {
            let last = self.last && number + 1 == self.segments;
            let tag = seal(&mut batch[plain.clone()], last)?;
            end = plain.end + TAG_BYTES;
            batch[plain.end..end].copy_from_slice(&tag);
        }
        self.end = end;
        self.sealed = true;
        Ok(())
    }

    /// What is to be written, once it is sealed.
    pub(crate) fn sealed(&self) -> &[u8] {
        &self.buffer[self.origin..self.origin + self.end]
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.sealed {
            self.buffer.zeroize();
        }
    }
}
