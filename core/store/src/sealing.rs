//! From a reader of plaintext to sealed piece files, in memory that does not grow with the source.
//!
//! Owns the loop that reads, seals, hashes and writes, and the sync of each piece. Refuses to know rows and envelopes. When it
//! fails, what it wrote is its caller's to remove; nothing of it can be opened, since no envelope exists.

use crate::{StoreError, layout};
use crossbeam_channel::bounded;
use ring::digest::{Context, SHA256};
use snaptrak_domain::{AssetId, Random, Sha256Digest, limits::PIECE_PLAIN_BYTES_MAX, limits::SEGMENT_BYTES};
use snaptrak_seal::{
    DataKey, PieceAddress, PieceError, SealedPiece, SegmentSealer,
    envelope::PIECES_MAX,
    piece::{FIRST_SEGMENT_PLAIN_BYTES, HEADER_BYTES, LATER_SEGMENT_PLAIN_BYTES, TAG_BYTES},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};
use zeroize::Zeroizing;

/// With fewer bytes than this read ahead and not taken, one thread does everything: starting another takes as long as sealing
/// this much.
const ALONE_BYTES_MAX: usize = 192 * 1024;

/// Segments that the reading side may be ahead of the sealing one: enough that neither waits for the other's hiccups.
const SEGMENTS_AHEAD: usize = 4;

/// A reader that knows whether it has ended: the last segment of a piece is sealed differently.
pub(crate) struct Source<'a> {
    reader: &'a mut dyn Read,
    /// Already read: the head that was looked at, then single bytes.
    ahead: Zeroizing<Vec<u8>>,
    taken: usize,
    ended: bool,
}

impl<'a> Source<'a> {
    /// Reads the first bytes, at most `head_bytes`, and keeps them for [`Source::fill`].
    pub(crate) fn start(reader: &'a mut dyn Read, head_bytes: usize) -> Result<Self, StoreError> {
        let mut ahead = Zeroizing::new(vec![0; head_bytes]);
        let read = read_full(reader, &mut ahead)?;
        ahead.truncate(read);
        Ok(Self { reader, ahead, taken: 0, ended: read < head_bytes })
    }

    /// What was read ahead and not taken.
    pub(crate) fn head(&self) -> &[u8] {
        &self.ahead[self.taken..]
    }

    /// Whether every byte has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.ended && self.head().is_empty()
    }

    /// Whether the source has ended within [`Source::head`].
    pub(crate) fn is_all_ahead(&self) -> bool {
        self.ended
    }

    /// Fills the buffer, or takes what is left; then [`Source::is_empty`] tells whether more will come.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let from_ahead = self.head().len().min(buffer.len());
        buffer[..from_ahead].copy_from_slice(&self.ahead[self.taken..self.taken + from_ahead]);
        self.taken += from_ahead;
        let mut filled = from_ahead;
        if filled < buffer.len() && !self.ended {
            filled += read_full(self.reader, &mut buffer[filled..])?;
            self.ended = filled < buffer.len();
        }
        if !self.ended && self.head().is_empty() {
            let mut next = [0];
            self.ended = read_full(self.reader, &mut next)? == 0;
            self.taken = 0;
            self.ahead.clear();
            if !self.ended {
                self.ahead.push(next[0]);
            }
        }
        Ok(filled)
    }
}

/// Reads until the buffer is full or the reader ends.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, StoreError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::Source { source: std::sync::Arc::new(error) }),
        }
    }
    Ok(filled)
}

/// An asset whose pieces are durable files.
#[derive(Debug, Clone)]
pub(crate) struct SealedAsset {
    pub(crate) pieces: Vec<SealedPiece>,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256Digest,
}

/// Seals the whole source into piece files in `folder`; each is synced, the folder is not.
pub(crate) fn seal_files(
    folder: &Path,
    source: &mut Source<'_>,
    data_key: &DataKey,
    asset_id: AssetId,
    random: &dyn Random,
) -> Result<SealedAsset, StoreError> {
    let mut pieces = Vec::new();
    let mut digest = AssetDigest::new();
    let mut bytes = 0;
    for index in 0..PIECES_MAX as u32 {
        let file = layout::create_file(&folder.join(layout::piece_name(index)))?;
        let segments = SegmentSealer::start(data_key, PieceAddress { asset_id, index }, random).map_err(seal_failed)?;
        let piece = seal_piece(segments, index, source, &mut digest, &file)?;
        sync(&file)?;
        bytes += piece.bytes;
        pieces.push(piece);
        if source.is_empty() {
            return Ok(SealedAsset { pieces, bytes, sha256: digest.finish() });
        }
    }
    Err(StoreError::Refused { code: "too_large" })
}

/// Makes a piece's bytes durable, before its name.
pub(crate) fn sync(file: &File) -> Result<(), StoreError> {
    file.sync_data().map_err(|error| StoreError::io("sync a piece", error))
}

/// One piece in memory, for notes.
pub(crate) fn seal_inline(
    plain: &[u8],
    data_key: &DataKey,
    asset_id: AssetId,
    random: &dyn Random,
) -> Result<(Vec<u8>, SealedPiece), StoreError> {
    let address = PieceAddress { asset_id, index: 0 };
    let mut sealer = snaptrak_seal::PieceSealer::start(Vec::new(), data_key, address, random).map_err(seal_failed)?;
    sealer.write_all(plain).map_err(seal_failed)?;
    sealer.finish().map_err(seal_failed)
}

/// The digest of the whole plaintext. For the first piece it is the piece's own, so that what fits into one piece (nearly
/// everything) is hashed once.
struct AssetDigest {
    whole: Option<Context>,
}

impl AssetDigest {
    fn new() -> Self {
        Self { whole: None }
    }

    fn update(&mut self, plain: &[u8]) {
        if let Some(whole) = &mut self.whole {
            whole.update(plain);
        }
    }

    fn piece_ends(&mut self, piece: &Context) {
        if self.whole.is_none() {
            self.whole = Some(piece.clone());
        }
    }

    fn finish(self) -> Sha256Digest {
        finish(self.whole.unwrap_or_else(|| Context::new(&SHA256)))
    }
}

fn finish(context: Context) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Sha256Digest(bytes)
}

/// One segment on its way: header (first segment only), plaintext, room for the tag.
struct Segment {
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    last: bool,
}

impl Segment {
    fn new() -> Self {
        Self { buffer: Zeroizing::new(vec![0; SEGMENT_BYTES]), start: 0, end: 0, last: false }
    }
}

/// The side that reads and hashes plaintext.
struct PlainSide<'a, 's> {
    source: &'a mut Source<'s>,
    asset_digest: &'a mut AssetDigest,
    digest: Context,
    bytes: u64,
}

impl PlainSide<'_, '_> {
    /// Reads the next segment of the piece.
    fn read(&mut self, segment: &mut Segment) -> Result<(), StoreError> {
        let (start, full) = match self.bytes {
            0 => (HEADER_BYTES, FIRST_SEGMENT_PLAIN_BYTES),
            _ => (0, LATER_SEGMENT_PLAIN_BYTES),
        };
        let left = usize::try_from(PIECE_PLAIN_BYTES_MAX - self.bytes).unwrap_or(usize::MAX);
        let taken = self.source.fill(&mut segment.buffer[start..start + full.min(left)])?;
        let plain = &segment.buffer[start..start + taken];
        self.digest.update(plain);
        self.asset_digest.update(plain);
        self.bytes += taken as u64;
        segment.start = start;
        segment.end = start + taken;
        segment.last = self.source.is_empty() || self.bytes == PIECE_PLAIN_BYTES_MAX;
        Ok(())
    }
}

/// The side that seals, hashes and writes ciphertext.
struct SealedSide<W> {
    segments: SegmentSealer,
    digest: Context,
    bytes: u64,
    writer: W,
}

impl<W: Write> SealedSide<W> {
    fn write(&mut self, segment: &mut Segment) -> Result<(), StoreError> {
        let plain = &mut segment.buffer[segment.start..segment.end];
        let tag = self.segments.seal_in_place(plain, segment.last).map_err(seal_failed)?;
        let end = segment.end + TAG_BYTES;
        segment.buffer[segment.end..end].copy_from_slice(&tag);
        if segment.start == HEADER_BYTES {
            segment.buffer[..HEADER_BYTES].copy_from_slice(self.segments.header());
        }
        let sealed = &segment.buffer[..end];
        self.digest.update(sealed);
        self.writer.write_all(sealed).map_err(|error| StoreError::io("write a piece", error))?;
        self.bytes += end as u64;
        Ok(())
    }
}

fn seal_piece(
    segments: SegmentSealer,
    index: u32,
    source: &mut Source<'_>,
    asset_digest: &mut AssetDigest,
    writer: impl Write + Send,
) -> Result<SealedPiece, StoreError> {
    let mut plain = PlainSide { source, asset_digest, digest: Context::new(&SHA256), bytes: 0 };
    let mut sealed = SealedSide { segments, digest: Context::new(&SHA256), bytes: 0, writer };
    let mut segment = Segment::new();
    plain.read(&mut segment)?;
    let long = index > 0 || plain.source.head().len() >= ALONE_BYTES_MAX;
    if segment.last || !long {
        sealed.write(&mut segment)?;
        while !segment.last {
            plain.read(&mut segment)?;
            sealed.write(&mut segment)?;
        }
    } else {
        sealed = seal_in_pairs(&mut plain, sealed, segment)?;
    }
    plain.asset_digest.piece_ends(&plain.digest);
    Ok(SealedPiece {
        index,
        bytes: plain.bytes,
        sha256: finish(plain.digest),
        sealed_bytes: sealed.bytes,
        sealed_sha256: finish(sealed.digest),
    })
}

/// Reads and hashes on this thread while another one seals, hashes and writes: both halves take about as long.
fn seal_in_pairs<W: Write + Send>(
    plain: &mut PlainSide<'_, '_>,
    mut sealed: SealedSide<W>,
    first: Segment,
) -> Result<SealedSide<W>, StoreError> {
    std::thread::scope(|scope| {
        let (to_seal, sealing) = bounded::<Segment>(SEGMENTS_AHEAD);
        let (give_back, spare) = bounded::<Segment>(SEGMENTS_AHEAD);
        for _ in 1..SEGMENTS_AHEAD {
            give_back.send(Segment::new()).expect("as many as there is room for, and the receiver is here");
        }
        let sealer = scope.spawn(move || {
            for mut segment in sealing {
                sealed.write(&mut segment)?;
                // The reading side is gone once it has read everything.
                let _ = give_back.send(segment);
            }
            Ok(sealed)
        });
        let mut last = first.last;
        // A side that is gone has failed, and its answer is read below.
        let mut going = to_seal.send(first).is_ok();
        while going && !last {
            let Ok(mut segment) = spare.recv() else { break };
            plain.read(&mut segment)?;
            last = segment.last;
            going = to_seal.send(segment).is_ok();
        }
        drop((to_seal, spare));
        sealer.join().unwrap_or(Err(StoreError::Panicked))
    })
}

/// An error of sealing in the words of the store.
pub(crate) fn seal_failed(error: PieceError) -> StoreError {
    match error {
        PieceError::Random(error) => StoreError::Random(error),
        PieceError::Read { source } => StoreError::Source { source: std::sync::Arc::new(source) },
        PieceError::Write { source } => StoreError::io("write a piece", source),
        PieceError::TooLong { .. } | PieceError::SegmentLength { .. } | PieceError::Finished => {
            StoreError::Seal { what: "piece" }
        }
        PieceError::Truncated
        | PieceError::Damaged { .. }
        | PieceError::WrongKeyOrDamaged
        | PieceError::NotAPiece
        | PieceError::ImpossibleLength { .. } => StoreError::Damaged { what: "piece" },
    }
}
