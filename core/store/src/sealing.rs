//! From a reader of plaintext to sealed piece files, in memory that does not grow with the source.
//!
//! Owns the loop that reads, seals, hashes and writes, on two threads where a core has nothing to do and on one where every
//! core has a capture of its own. Refuses to know rows and envelopes. When it fails, what it wrote is its caller's to remove;
//! nothing of it can be opened, since no envelope exists.

use crate::{StoreError, batch::Batch, crowd::Present, layout, piece_file::PieceFile, source::Source};
use crossbeam_channel::{Receiver, Sender, bounded};
use ring::digest::{Context, SHA256};
use snaptrak_domain::{AssetId, Random, Sha256Digest, limits::PIECE_PLAIN_BYTES_MAX};
use snaptrak_seal::{
    DataKey, PieceAddress, PieceError, SealedPiece, SegmentSealer,
    envelope::PIECES_MAX,
    piece::{FIRST_SEGMENT_PLAIN_BYTES, HEADER_BYTES, LATER_SEGMENT_PLAIN_BYTES},
};
use std::{fs::File, io::Write, path::Path};

/// Batches that the two threads of a capture have between them: each has one at work, and one waits for whoever is ready.
const BATCHES: usize = 3;

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
    present: &Present<'_>,
) -> Result<SealedAsset, StoreError> {
    let mut pieces = Vec::new();
    let mut digest = AssetDigest::new();
    let mut bytes = 0;
    for index in 0..PIECES_MAX as u32 {
        let segments = SegmentSealer::start(data_key, PieceAddress { asset_id, index }, random).map_err(seal_failed)?;
        let path = folder.join(layout::piece_name(index));
        let piece = seal_piece(segments, index, source, &mut digest, &path, present.has_idle_core())?;
        bytes += piece.bytes;
        pieces.push(piece);
        if source.at_end()? {
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

/// The side that reads plaintext, hashes and seals it.
struct PlainSide<'a, 's> {
    segments: SegmentSealer,
    source: &'a mut Source<'s>,
    asset_digest: &'a mut AssetDigest,
    digest: Context,
    bytes: u64,
}

impl PlainSide<'_, '_> {
    /// Reads and seals the next segments of the piece.
    fn fill(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let is_first = self.bytes == 0;
        self.read(batch)?;
        if is_first {
            batch.header().copy_from_slice(self.segments.header());
        }
        batch.seal(|plain, last| self.segments.seal_in_place(plain, last).map_err(seal_failed))
    }

    fn read(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        batch.clear();
        let mut short = false;
        while !short && batch.has_room() && self.bytes < PIECE_PLAIN_BYTES_MAX {
            let (start, full) = match self.bytes {
                0 => (HEADER_BYTES, FIRST_SEGMENT_PLAIN_BYTES),
                _ => (0, LATER_SEGMENT_PLAIN_BYTES),
            };
            let wanted = full.min(usize::try_from(PIECE_PLAIN_BYTES_MAX - self.bytes).unwrap_or(usize::MAX));
            let room = batch.next_segment(start, wanted);
            let taken = self.source.fill(room)?;
            if taken == 0 && self.bytes > 0 {
                break;
            }
            self.digest.update(&room[..taken]);
            self.asset_digest.update(&room[..taken]);
            batch.took(start, taken);
            self.bytes += taken as u64;
            short = taken < wanted;
        }
        batch.last = self.bytes == PIECE_PLAIN_BYTES_MAX || self.source.at_end()?;
        Ok(())
    }
}

/// The side that hashes and writes ciphertext.
struct SealedSide<W> {
    digest: Context,
    bytes: u64,
    writer: W,
}

impl<W: Write> SealedSide<W> {
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let sealed = batch.sealed();
        self.digest.update(sealed);
        self.writer.write_all(sealed).map_err(|error| StoreError::io("write a piece", error))?;
        self.bytes += sealed.len() as u64;
        Ok(())
    }
}

/// Seals one piece into a file of its own and syncs that.
fn seal_piece(
    segments: SegmentSealer,
    index: u32,
    source: &mut Source<'_>,
    asset_digest: &mut AssetDigest,
    path: &Path,
    idle_core: bool,
) -> Result<SealedPiece, StoreError> {
    let mut plain = PlainSide { segments, source, asset_digest, digest: Context::new(&SHA256), bytes: 0 };
    let mut batch = Batch::new();
    plain.fill(&mut batch)?;
    // What fits into one batch is not worth a thread, nor the wait for the disk that a direct write is.
    let alone = batch.last || !idle_core;
    let file = PieceFile::create(path, alone && !batch.last)?;
    let mut sealed = SealedSide { digest: Context::new(&SHA256), bytes: 0, writer: file };
    if alone {
        sealed.write(&batch)?;
        while !batch.last {
            plain.fill(&mut batch)?;
            sealed.write(&batch)?;
        }
    } else {
        sealed = seal_in_pairs(&mut plain, sealed, batch)?;
    }
    sealed.writer.sync()?;
    plain.asset_digest.piece_ends(&plain.digest);
    Ok(SealedPiece {
        index,
        bytes: plain.bytes,
        sha256: finish(plain.digest),
        sealed_bytes: sealed.bytes,
        sealed_sha256: finish(sealed.digest),
    })
}

/// Reads, hashes and seals on this thread while another one hashes and writes: both halves take about as long. The other thread's
/// answer is waited for in every case, but not its end, which takes longer.
fn seal_in_pairs<W: Write + Send + 'static>(
    plain: &mut PlainSide<'_, '_>,
    mut sealed: SealedSide<W>,
    first: Batch,
) -> Result<SealedSide<W>, StoreError> {
    let (to_write, writing) = bounded::<Batch>(BATCHES);
    let (give_back, spare) = bounded::<Batch>(BATCHES);
    let (answer, answered) = bounded(1);
    for _ in 1..BATCHES {
        give_back.send(Batch::new()).expect("as many as there is room for, and the receiver is here");
    }
    let write = move || {
        for batch in writing {
            sealed.write(&batch)?;
            // The reading side is gone once it has read everything.
            let _ = give_back.send(batch);
        }
        Ok(sealed)
    };
    let writer = std::thread::Builder::new().name("snaptrak-seal".to_owned());
    // The answer is waited for, so that its receiver is there.
    let started = writer.spawn(move || drop(answer.send(write())));
    started.map_err(|error| StoreError::io("begin a thread", error))?;
    let filled = fill_all(plain, first, &to_write, &spare);
    drop((to_write, spare));
    let written = answered.recv().unwrap_or(Err(StoreError::Panicked));
    filled.and(written)
}

/// Sends the first batch and all that follow, as long as the other side takes them: one that is gone has failed, and says why.
fn fill_all(
    plain: &mut PlainSide<'_, '_>,
    first: Batch,
    to_write: &Sender<Batch>,
    spare: &Receiver<Batch>,
) -> Result<(), StoreError> {
    let mut last = first.last;
    let mut going = to_write.send(first).is_ok();
    while going && !last {
        let Ok(mut batch) = spare.recv() else { break };
        plain.fill(&mut batch)?;
        last = batch.last;
        going = to_write.send(batch).is_ok();
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Crowd;
    use snaptrak_seal::PieceOpener;
    use snaptrak_testkit::SeededRandom;

    fn seal(plain: &[u8], cores: usize) -> (SealedAsset, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let random = SeededRandom::new(7);
        let (key, asset_id) = (DataKey::generate(&random).unwrap(), AssetId::from_bytes([3; 16]));
        let crowd = Crowd::with_cores(cores);
        let mut reader = plain;
        let mut source = Source::start(&mut reader, 4096).unwrap();
        let asset = seal_files(folder.path(), &mut source, &key, asset_id, &random, &crowd.enter()).unwrap();
        let mut opened = Vec::new();
        for piece in &asset.pieces {
            let file = File::open(folder.path().join(layout::piece_name(piece.index))).unwrap();
            let mut opener = PieceOpener::open(file, &key, PieceAddress { asset_id, index: piece.index }).unwrap();
            let whole = opener.open_all(|bytes| {
                opened.extend_from_slice(bytes);
                Ok(())
            });
            assert_eq!(whole.unwrap(), *piece);
        }
        (asset, opened)
    }

    #[test]
    fn lengths_around_every_edge_are_sealed_alike_on_one_thread_and_on_two() {
        let batch = FIRST_SEGMENT_PLAIN_BYTES + 3 * LATER_SEGMENT_PLAIN_BYTES;
        let piece = PIECE_PLAIN_BYTES_MAX as usize;
        let edges = [FIRST_SEGMENT_PLAIN_BYTES, batch, batch + LATER_SEGMENT_PLAIN_BYTES, 2 * batch, piece];
        let plain: Vec<u8> = (0..=piece).map(|i| ((i * 31) >> 5) as u8).collect();
        for length in edges.into_iter().flat_map(|edge| [edge - 1, edge, edge + 1]).chain([1, 4096, 4097]) {
            let plain = &plain[..length];
            for cores in [1, 2] {
                let (asset, opened) = seal(plain, cores);
                assert!(opened == plain, "{length} on {cores}");
                assert_eq!((asset.bytes, asset.pieces.len()), (length as u64, 1 + (length - 1) / piece));
                let mut digest = Context::new(&SHA256);
                digest.update(plain);
                assert_eq!(asset.sha256, finish(digest), "{length} on {cores}");
            }
        }
    }
}
