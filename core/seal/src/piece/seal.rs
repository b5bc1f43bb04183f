//! Sealing one piece: plaintext goes in as it comes, ciphertext goes to a writer, digests of both fall out at the end.
//!
//! Memory is one segment. A sealer draws its own header and cannot be rewound or cloned, so nothing is ever sealed twice
//! under one header; after a failed write it refuses to go on, because the segment in its buffer is ciphertext by then.
//! It neither flushes nor syncs the writer: durability is its owner's.

use std::io::{Read, Write};

use ring::digest;
use snaptrak_domain::{Random, Sha256Digest};
use zeroize::Zeroizing;

use super::cipher::{Header, PieceAddress, SegmentCipher};
use super::error::PieceError;
use super::layout::{HEADER_BYTES, PIECE_PLAIN_BYTES_MAX, SEGMENT_BYTES, TAG_BYTES, segment_plain_bytes};
use crate::data_key::DataKey;

/// What is known of a piece once it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedPiece {
    /// Place in the asset's list, from 0.
    pub index: u32,
    /// Length of the plaintext.
    pub bytes: u64,
    /// SHA-256 of the plaintext. It confirms a known file, so it leaves the device only inside sealed metadata and
    /// signed receipts.
    pub sha256: Sha256Digest,
    /// Length of the sealed file.
    pub sealed_bytes: u64,
    /// SHA-256 of the sealed file.
    pub sealed_sha256: Sha256Digest,
}

/// Seals segment by segment and does nothing else: for callers that hash and write on threads of their own.
pub struct SegmentSealer {
    cipher: SegmentCipher,
    header: Header,
    next_segment: u32,
    plain_bytes: u64,
    finished: bool,
}

impl SegmentSealer {
    /// Draws a header and derives the piece's file key.
    pub fn start(data_key: &DataKey, address: PieceAddress, random: &dyn Random) -> Result<Self, PieceError> {
        let header = Header::generate(random)?;
        let cipher = SegmentCipher::derive(data_key, &address, &header);
        Ok(Self { cipher, header, next_segment: 0, plain_bytes: 0, finished: false })
    }

    /// The 40 bytes that precede the first segment's ciphertext in the file.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_BYTES] {
        self.header.as_bytes()
    }

    /// Plaintext bytes of the next segment: exactly as many, unless it is the last.
    #[must_use]
    pub fn next_segment_bytes(&self) -> usize {
        let room = PIECE_PLAIN_BYTES_MAX - self.plain_bytes;
        segment_plain_bytes(self.next_segment).min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Encrypts the next segment in place; its tag follows it in the file. `last` ends the piece, whose last segment is
    /// empty only where the whole piece is.
    pub fn seal_in_place(&mut self, plain: &mut [u8], last: bool) -> Result<[u8; TAG_BYTES], PieceError> {
        if self.finished {
            return Err(PieceError::Finished);
        }
        let room = self.next_segment_bytes();
        if plain.len() > room {
            return Err(PieceError::TooLong { plain_bytes_max: PIECE_PLAIN_BYTES_MAX });
        }
        let full = plain.len() == segment_plain_bytes(self.next_segment);
        let empty_tail = plain.is_empty() && self.next_segment > 0;
        if (!last && !full) || empty_tail {
            return Err(PieceError::SegmentLength { expected_bytes: room });
        }
        let tag = self.cipher.seal(self.next_segment, last, plain);
        self.next_segment += 1;
        self.plain_bytes += plain.len() as u64;
        self.finished = last;
        Ok(tag)
    }
}

/// Seals one piece into a writer and computes both digests on the way.
pub struct PieceSealer<W> {
    segments: SegmentSealer,
    writer: W,
    /// One segment as it lies in the file: the header (first segment only), plaintext so far, room for the tag.
    buffer: Zeroizing<Vec<u8>>,
    /// Where the plaintext in `buffer` begins and ends.
    plain_start: usize,
    plain_end: usize,
    index: u32,
    plain_bytes: u64,
    sealed_bytes: u64,
    plain_digest: digest::Context,
    sealed_digest: digest::Context,
    failed: bool,
}

impl<W: Write> PieceSealer<W> {
    /// Begins a piece with a header of its own. Nothing is written before the first segment is complete.
    pub fn start(
        writer: W,
        data_key: &DataKey,
        address: PieceAddress,
        random: &dyn Random,
    ) -> Result<Self, PieceError> {
        let segments = SegmentSealer::start(data_key, address, random)?;
        let mut buffer = Zeroizing::new(vec![0; SEGMENT_BYTES]);
        buffer[..HEADER_BYTES].copy_from_slice(segments.header());
        Ok(Self {
            segments,
            writer,
            buffer,
            plain_start: HEADER_BYTES,
            plain_end: HEADER_BYTES,
            index: address.index,
            plain_bytes: 0,
            sealed_bytes: 0,
            plain_digest: digest::Context::new(&digest::SHA256),
            sealed_digest: digest::Context::new(&digest::SHA256),
            failed: false,
        })
    }

    /// Plaintext bytes taken so far.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Plaintext bytes that this piece can still take.
    #[must_use]
    pub fn room_bytes(&self) -> u64 {
        PIECE_PLAIN_BYTES_MAX - self.plain_bytes
    }

    /// The writer, for a sync in the middle of a recording. What lies in the open segment has not reached it.
    pub fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Takes all of `plain`, or none of it where it is longer than [`room_bytes`](Self::room_bytes).
    pub fn write_all(&mut self, mut plain: &[u8]) -> Result<(), PieceError> {
        self.check_usable()?;
        if plain.len() as u64 > self.room_bytes() {
            return Err(PieceError::TooLong { plain_bytes_max: PIECE_PLAIN_BYTES_MAX });
        }
        while !plain.is_empty() {
            self.make_room()?;
            let taken = plain.len().min(self.plain_limit() - self.plain_end);
            let (now, later) = plain.split_at(taken);
            self.buffer[self.plain_end..self.plain_end + taken].copy_from_slice(now);
            self.took(taken);
            plain = later;
        }
        Ok(())
    }

    /// Reads from `reader` straight into the segment until it ends or the piece is full; the bytes taken. When the piece
    /// is full, only the next read tells whether the reader has ended.
    pub fn fill_from(&mut self, reader: &mut impl Read) -> Result<u64, PieceError> {
        self.check_usable()?;
        let before = self.plain_bytes;
        while self.room_bytes() > 0 {
            // A full segment stays open until one byte more is there: if none comes, it is the last and has another nonce.
            let mut next = [0];
            let full = self.plain_end == self.plain_limit();
            let room = usize::try_from(self.room_bytes()).unwrap_or(usize::MAX);
            let end = self.plain_limit().min(self.plain_end.saturating_add(room));
            let target = if full { &mut next[..] } else { &mut self.buffer[self.plain_end..end] };
            match reader.read(target) {
                Ok(0) => break,
                Ok(_) if full => self.write_all(&next)?,
                Ok(taken) => self.took(taken),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(PieceError::Read { source }),
            }
        }
        Ok(self.plain_bytes - before)
    }

    /// Seals the last segment and gives back the writer with everything in it.
    pub fn finish(mut self) -> Result<(W, SealedPiece), PieceError> {
        self.check_usable()?;
        self.seal_segment(true)?;
        let Self { writer, index, plain_bytes, sealed_bytes, plain_digest, sealed_digest, .. } = self;
        let piece = SealedPiece {
            index,
            bytes: plain_bytes,
            sha256: digest_of(plain_digest),
            sealed_bytes,
            sealed_sha256: digest_of(sealed_digest),
        };
        Ok((writer, piece))
    }

    fn check_usable(&self) -> Result<(), PieceError> {
        if self.failed { Err(PieceError::Finished) } else { Ok(()) }
    }

    /// Where plaintext must stop so that the tag fits behind it.
    fn plain_limit(&self) -> usize {
        SEGMENT_BYTES - TAG_BYTES
    }

    fn took(&mut self, bytes: usize) {
        self.plain_end += bytes;
        self.plain_bytes += bytes as u64;
    }

    /// Seals a full segment. Called only when more plaintext is to come, because the last segment has another nonce.
    fn make_room(&mut self) -> Result<(), PieceError> {
        if self.plain_end == self.plain_limit() { self.seal_segment(false) } else { Ok(()) }
    }

    fn seal_segment(&mut self, last: bool) -> Result<(), PieceError> {
        let plain = &mut self.buffer[self.plain_start..self.plain_end];
        self.plain_digest.update(plain);
        self.failed = true;
        let tag = self.segments.seal_in_place(plain, last)?;
        let sealed_end = self.plain_end + TAG_BYTES;
        self.buffer[self.plain_end..sealed_end].copy_from_slice(&tag);
        let sealed = &self.buffer[..sealed_end];
        self.sealed_digest.update(sealed);
        self.writer.write_all(sealed).map_err(|source| PieceError::Write { source })?;
        self.failed = false;
        self.sealed_bytes += sealed_end as u64;
        self.plain_start = 0;
        self.plain_end = 0;
        Ok(())
    }
}

pub(super) fn digest_of(context: digest::Context) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Sha256Digest(bytes)
}
