//! The open piece of a recording that was killed: its complete segments become a finished piece.
//!
//! A segment that is not the last of its piece authenticates as such, so that the complete ones can be read; they are sealed
//! again under a header of their own. What does not authenticate ends the piece.

use crate::{
    StoreError, layout,
    sealing::{self, seal_failed},
};
use snaptrak_domain::{AssetId, Random};
use snaptrak_seal::{
    DataKey, PieceAddress, PieceOpener, PieceSealer, SealedPiece,
    piece::{
        FIRST_SEGMENT_PLAIN_BYTES, LATER_SEGMENT_PLAIN_BYTES, PIECE_SEALED_BYTES_MAX, SEGMENT_BYTES, TAG_BYTES,
        plain_bytes,
    },
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::SystemTime,
};

/// Bytes read at a time: one segment.
const CHUNK_BYTES: usize = SEGMENT_BYTES;

/// Makes a finished piece of the file that was being written as piece `index`; `None` where it has no complete segment.
pub(crate) fn salvage(
    folder: &Path,
    data_key: &DataKey,
    asset_id: AssetId,
    index: u32,
    random: &dyn Random,
) -> Result<Option<SealedPiece>, StoreError> {
    let path = folder.join(layout::piece_name(index));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("open a piece", error)),
    };
    let address = PieceAddress { asset_id, index };
    if let Ok(whole) = PieceOpener::open(&file, data_key, address).and_then(|mut opener| opener.open_all(|_| Ok(()))) {
        // It was finished and only its envelope was not written any more.
        sealing::sync(&file)?;
        return Ok(Some(whole));
    }
    let written = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let segments = file_bytes(&file)? / SEGMENT_BYTES as u64;
    if segments == 0 {
        return Ok(None);
    }
    let longer = Lengthened { file, position: 0, bytes: lengthened_bytes(segments) };
    let mut opener = PieceOpener::open(longer, data_key, address).map_err(seal_failed)?;
    let temporary = layout::temporary_of(&path);
    let written = seal_again(&mut opener, (&temporary, written), data_key, address, random);
    match written {
        Ok(Some(piece)) => {
            fs::rename(&temporary, &path).map_err(|error| StoreError::io("replace a piece", error))?;
            layout::sync_folder(folder)?;
            Ok(Some(piece))
        }
        other => {
            let _ = fs::remove_file(&temporary);
            other
        }
    }
}

fn file_bytes(file: &File) -> Result<u64, StoreError> {
    Ok(file.metadata().map_err(|error| StoreError::io("read a piece", error))?.len())
}

/// A length with which none of the complete segments is taken for the last one.
fn lengthened_bytes(segments: u64) -> u64 {
    let bytes = (segments * SEGMENT_BYTES as u64 + TAG_BYTES as u64 + 1).min(PIECE_SEALED_BYTES_MAX);
    debug_assert!(plain_bytes(bytes).is_some(), "one byte and its tag after full segments is a possible length");
    bytes
}

fn seal_again(
    opener: &mut PieceOpener<Lengthened>,
    (target, written): (&Path, Option<SystemTime>),
    data_key: &DataKey,
    address: PieceAddress,
    random: &dyn Random,
) -> Result<Option<SealedPiece>, StoreError> {
    let _ = fs::remove_file(target);
    let mut sealer =
        PieceSealer::start(layout::create_file(target)?, data_key, address, random).map_err(seal_failed)?;
    let mut chunk = zeroize::Zeroizing::new(vec![0_u8; CHUNK_BYTES]);
    let mut offset = 0;
    // The lengthened file has one byte of plaintext more than the complete segments, which never authenticates.
    let complete_bytes = opener.plain_bytes() - 1;
    while offset < complete_bytes {
        let room = segment_plain_bytes(offset, complete_bytes);
        match opener.read_at(offset, &mut chunk[..room]) {
            Ok(read) if read == room => sealer.write_all(&chunk[..room]).map_err(seal_failed)?,
            // After a power cut the file may be longer than what reached the disk.
            Ok(_) | Err(_) => break,
        }
        offset += room as u64;
    }
    if offset == 0 {
        return Ok(None);
    }
    let (file, piece) = sealer.finish().map_err(seal_failed)?;
    if let Some(written) = written {
        // The time of the last byte is part of what is known of the recording; without it the piece is as good.
        let _ = file.set_modified(written);
    }
    sealing::sync(&file)?;
    Ok(Some(piece))
}

/// Plaintext bytes of the segment that begins at `offset`.
fn segment_plain_bytes(offset: u64, complete_bytes: u64) -> usize {
    let full = if offset == 0 { FIRST_SEGMENT_PLAIN_BYTES } else { LATER_SEGMENT_PLAIN_BYTES };
    full.min(usize::try_from(complete_bytes - offset).unwrap_or(usize::MAX))
}

/// A file that claims to be longer than it is; beyond its end it reads as zeros.
struct Lengthened {
    file: File,
    position: u64,
    bytes: u64,
}

impl Read for Lengthened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes - self.position.min(self.bytes)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut read = self.file.read(&mut buffer[..room])?;
        if read == 0 && room > 0 {
            buffer[..room].fill(0);
            read = room;
        }
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Lengthened {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.position = match position {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        }
        .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
