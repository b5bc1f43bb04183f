//! Opening one piece: from start to end, or at any offset with only the touched segments decrypted.
//!
//! Memory is one segment. No byte is handed out before its segment has authenticated. When one does not, the opener looks
//! at what else of the file does, so that a wrong key, a cut and damage are told apart as far as they can be.

use std::io::{Read, Seek, SeekFrom};

use ring::digest;
use zeroize::Zeroizing;

use super::cipher::{Header, PieceAddress, SegmentCipher};
use super::error::PieceError;
use super::layout::{
    HEADER_BYTES, PIECE_SEALED_BYTES_MIN, SEGMENT_BYTES, last_segment, locate, plain_bytes, segment_offset,
    segment_sealed_bytes,
};
use super::seal::{SealedPiece, digest_of};
use crate::data_key::DataKey;

/// Opens a sealed piece.
///
/// The length that [`plain_bytes`](Self::plain_bytes) tells follows from the file's length and is proven only when the
/// last segment has been read: until then a file that was cut at a segment's edge looks like a shorter piece. Compare with
/// the envelope by [`expect_sealed_bytes`](Self::expect_sealed_bytes), or read to the end.
pub struct PieceOpener<R> {
    reader: R,
    cipher: SegmentCipher,
    header: Header,
    address: PieceAddress,
    sealed_bytes: u64,
    plain_bytes: u64,
    /// The segment that was read last: ciphertext while it is being opened, plaintext afterwards.
    buffer: Zeroizing<Vec<u8>>,
    loaded: Option<Loaded>,
    /// Some segment has authenticated, so key, address and header are right.
    key_is_proven: bool,
    position: u64,
}

#[derive(Clone, Copy)]
struct Loaded {
    segment: u32,
    plain_bytes: usize,
}

impl<R: Read + Seek> PieceOpener<R> {
    /// Reads the header and the file's length. No segment is opened yet, so a wrong key is not noticed yet.
    pub fn open(reader: R, data_key: &DataKey, address: PieceAddress) -> Result<Self, PieceError> {
        Self::with_buffer(reader, data_key, address, Zeroizing::new(vec![0; SEGMENT_BYTES]))
    }

    /// Opens another piece with this opener's buffer: making one and wiping it takes longer than opening the piece.
    pub fn reopen(self, reader: R, data_key: &DataKey, address: PieceAddress) -> Result<Self, PieceError> {
        Self::with_buffer(reader, data_key, address, self.buffer)
    }

    fn with_buffer(
        mut reader: R,
        data_key: &DataKey,
        address: PieceAddress,
        buffer: Zeroizing<Vec<u8>>,
    ) -> Result<Self, PieceError> {
        let sealed_bytes = reader.seek(SeekFrom::End(0)).map_err(read_failed)?;
        if sealed_bytes < PIECE_SEALED_BYTES_MIN {
            return Err(PieceError::Truncated);
        }
        let plain_bytes = plain_bytes(sealed_bytes).ok_or(PieceError::ImpossibleLength { sealed_bytes })?;
        let mut header = [0; HEADER_BYTES];
        reader.seek(SeekFrom::Start(0)).map_err(read_failed)?;
        reader.read_exact(&mut header).map_err(read_failed)?;
        let header = Header::parse(header).ok_or(PieceError::NotAPiece)?;
        Ok(Self {
            cipher: SegmentCipher::derive(data_key, &address, &header),
            reader,
            header,
            address,
            sealed_bytes,
            plain_bytes,
            buffer,
            loaded: None,
            key_is_proven: false,
            position: 0,
        })
    }

    /// Length of the plaintext, if the file is whole.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Length of the sealed file.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed_bytes
    }

    /// Compares the file's length with what an authenticated envelope or receipt says.
    pub fn expect_sealed_bytes(&self, expected_bytes: u64) -> Result<(), PieceError> {
        match self.sealed_bytes.cmp(&expected_bytes) {
            std::cmp::Ordering::Less => Err(PieceError::Truncated),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(PieceError::ImpossibleLength { sealed_bytes: self.sealed_bytes }),
        }
    }

    /// Fills `buffer` from `plain_offset`; short only where the piece ends, 0 at or behind its end.
    pub fn read_at(&mut self, plain_offset: u64, buffer: &mut [u8]) -> Result<usize, PieceError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let offset = plain_offset.saturating_add(filled as u64);
            if offset >= self.plain_bytes {
                // An empty piece has one segment, and only it can say that the piece is really empty.
                if self.plain_bytes == 0 {
                    self.load(0)?;
                }
                break;
            }
            let (segment, within) = locate(offset);
            let plain = self.load(segment)?;
            let taken = (plain.len() - within).min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&plain[within..within + taken]);
            filled += taken;
        }
        Ok(filled)
    }

    /// Opens every segment in order, hands the plaintext to `sink`, and gives the lengths and digests of both sides. Success
    /// means that the piece is whole.
    pub fn open_all(&mut self, mut sink: impl FnMut(&[u8]) -> std::io::Result<()>) -> Result<SealedPiece, PieceError> {
        let mut plain_digest = digest::Context::new(&digest::SHA256);
        let mut sealed_digest = digest::Context::new(&digest::SHA256);
        sealed_digest.update(self.header.as_bytes());
        for segment in 0..=last_segment(self.sealed_bytes) {
            let sealed = self.read_segment(segment)?;
            sealed_digest.update(&self.buffer[..sealed]);
            let plain = self.open_loaded(segment, sealed)?;
            plain_digest.update(plain);
            sink(plain).map_err(|source| PieceError::Write { source })?;
        }
        Ok(SealedPiece {
            index: self.address.index,
            bytes: self.plain_bytes,
            sha256: digest_of(plain_digest),
            sealed_bytes: self.sealed_bytes,
            sealed_sha256: digest_of(sealed_digest),
        })
    }

    /// Gives the reader back.
    pub fn into_reader(self) -> R {
        self.reader
    }

    /// The plaintext of a segment, decrypted unless it was the last one touched.
    fn load(&mut self, segment: u32) -> Result<&[u8], PieceError> {
        if let Some(loaded) = self.loaded.filter(|loaded| loaded.segment == segment) {
            return Ok(&self.buffer[..loaded.plain_bytes]);
        }
        let sealed = self.read_segment(segment)?;
        self.open_loaded(segment, sealed)
    }

    /// Reads a segment's ciphertext and tag to the start of the buffer; their length.
    fn read_segment(&mut self, segment: u32) -> Result<usize, PieceError> {
        self.loaded = None;
        let sealed = segment_sealed_bytes(segment, self.sealed_bytes);
        self.reader.seek(SeekFrom::Start(segment_offset(segment))).map_err(read_failed)?;
        self.reader.read_exact(&mut self.buffer[..sealed]).map_err(read_failed)?;
        Ok(sealed)
    }

    fn open_loaded(&mut self, segment: u32, sealed: usize) -> Result<&[u8], PieceError> {
        let last = segment == last_segment(self.sealed_bytes);
        match self.cipher.open(segment, last, &mut self.buffer[..sealed]) {
            Some(plain_bytes) => {
                self.loaded = Some(Loaded { segment, plain_bytes });
                self.key_is_proven = true;
                Ok(&self.buffer[..plain_bytes])
            }
            None => Err(self.diagnose(segment)?),
        }
    }

    /// Says why a segment did not authenticate, from what else of the file does.
    fn diagnose(&mut self, segment: u32) -> Result<PieceError, PieceError> {
        let last = last_segment(self.sealed_bytes);
        if self.authenticates(last, false)? {
            return Ok(PieceError::Truncated);
        }
        // Two other segments are proof enough, whatever the piece's length: more reading would tell no more about this one.
        for other in [0, last].into_iter().filter(|other| *other != segment) {
            if self.key_is_proven {
                break;
            }
            self.key_is_proven = self.authenticates(other, other == last)?;
        }
        Ok(if self.key_is_proven { PieceError::Damaged { segment } } else { PieceError::WrongKeyOrDamaged })
    }

    fn authenticates(&mut self, segment: u32, last: bool) -> Result<bool, PieceError> {
        let sealed = self.read_segment(segment)?;
        Ok(self.cipher.open(segment, last, &mut self.buffer[..sealed]).is_some())
    }
}

/// Sequential reading. A piece that does not open is `InvalidData` with the [`PieceError`] inside.
impl<R: Read + Seek> Read for PieceOpener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let taken = self.read_at(self.position, buffer).map_err(|error| {
            if let PieceError::Read { source } = error {
                source
            } else {
                std::io::Error::new(std::io::ErrorKind::InvalidData, error)
            }
        })?;
        self.position += taken as u64;
        Ok(taken)
    }
}

fn read_failed(source: std::io::Error) -> PieceError {
    PieceError::Read { source }
}
