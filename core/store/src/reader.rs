//! Reading what was captured: random access over an asset's pieces, opening only the segments that are touched.

use crate::{Store, StoreError, in_use::Reading, layout, rows};
use snaptrak_domain::{
    AssetId, Reason, ReasonCode,
    sealed_reader::{ReadError, SealedReader},
};
use snaptrak_seal::{DataKey, PieceAddress, PieceError, PieceOpener};
use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

/// Pieces of an asset that stay open while it is read: a gigabyte of a recording, at one file each. Readers are few, and a
/// process on a phone may have 256 files open.
const OPEN_PIECES_MAX: usize = 32;

/// A piece's sealed bytes, open.
pub(crate) enum Sealed {
    /// Read where it is asked for: a place in the file that two calls share would cost a call more.
    File {
        file: File,
        position: u64,
    },
    Row(Cursor<Vec<u8>>),
}

#[cfg(test)]
impl Sealed {
    pub(crate) fn is_row(&self) -> bool {
        match self {
            Self::Row(_) => true,
            Self::File { .. } => false,
        }
    }
}

impl Read for Sealed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, position } => {
                let read = file.read_at(buffer, *position)?;
                *position += read as u64;
                Ok(read)
            }
            Self::Row(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Sealed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File { file, position } => {
                let (from, by) = match to {
                    SeekFrom::Start(at) => (at, 0),
                    SeekFrom::End(by) => (file.metadata()?.len(), by),
                    SeekFrom::Current(by) => (*position, by),
                };
                *position = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
                Ok(*position)
            }
            Self::Row(bytes) => bytes.seek(to),
        }
    }
}

/// A piece as its row tells of it.
#[derive(Debug, Clone, Copy)]
struct PieceRow {
    index: u32,
    /// Where its plaintext begins in the asset.
    start: u64,
    bytes: u64,
    sealed_bytes: u64,
    purged: bool,
}

/// The plaintext of one asset.
pub(crate) struct AssetReader {
    store: Store,
    asset_id: AssetId,
    data_key: DataKey,
    pieces: Vec<PieceRow>,
    bytes: u64,
    /// Openers of the pieces that were read last, the latest at the end.
    open: Vec<(u32, PieceOpener<Sealed>)>,
    /// The files stay while this lives.
    _reading: Reading,
}

impl Store {
    /// Opens an asset for reading. The data key of an old capture needs the viewing key, which may need the person.
    pub fn reader(&self, asset_id: AssetId) -> Result<Box<dyn SealedReader>, StoreError> {
        // Before the rows are looked at: a purge either sees this reader, or this reader sees the purge.
        let reading = self.inner.files.in_use.enter(asset_id);
        let pieces = self.piece_rows(asset_id)?;
        let data_key = self.data_key(asset_id)?;
        let bytes = pieces.last().map_or(0, |piece| piece.start + piece.bytes);
        Ok(Box::new(AssetReader {
            store: self.clone(),
            asset_id,
            data_key,
            pieces,
            bytes,
            open: Vec::new(),
            _reading: reading,
        }))
    }

    fn piece_rows(&self, asset_id: AssetId) -> Result<Vec<PieceRow>, StoreError> {
        let mut pieces = self.read(|connection| {
            rows::all(
                connection,
                "SELECT piece_index, bytes, sealed_bytes, state = 'purged' FROM piece WHERE asset_id = ?1 ORDER BY piece_index",
                [asset_id.as_bytes()],
                |row| {
                    Ok(PieceRow {
                        index: rows::small(row, 0)?,
                        start: 0,
                        bytes: rows::count(row, 1)?,
                        sealed_bytes: rows::count(row, 2)?,
                        purged: row.get(3)?,
                    })
                },
            )
        })?;
        if pieces.is_empty() {
            return Err(StoreError::Missing { what: "asset" });
        }
        if pieces.iter().any(|piece| piece.purged) {
            return Err(StoreError::Purged);
        }
        let mut start = 0;
        for piece in &mut pieces {
            piece.start = start;
            start += piece.bytes;
        }
        Ok(pieces)
    }

    /// A piece's sealed bytes, from its row or its file.
    pub(crate) fn sealed_piece(&self, asset_id: AssetId, index: u32) -> Result<Sealed, StoreError> {
        let sql = "SELECT sealed FROM piece WHERE asset_id = ?1 AND piece_index = ?2";
        let params = rusqlite::params![asset_id.as_bytes(), index];
        let row: Option<Option<Vec<u8>>> =
            self.read(|connection| rows::first(connection, sql, params, |row| Ok(row.get(0)?)))?;
        match row.ok_or(StoreError::Missing { what: "piece" })? {
            Some(bytes) => Ok(Sealed::Row(Cursor::new(bytes))),
            None => {
                let file = self.layout().open_in_asset(asset_id, &layout::piece_name(index))?;
                file.map(|file| Sealed::File { file, position: 0 }).ok_or(StoreError::Damaged { what: "piece missing" })
            }
        }
    }
}

impl AssetReader {
    /// The opener of a piece. The one that was not read for longest makes room, and leaves its buffer to the next.
    fn opener(&mut self, piece: PieceRow) -> Result<&mut PieceOpener<Sealed>, ReadError> {
        match self.open.iter().position(|(index, _)| *index == piece.index) {
            Some(place) => self.open[place..].rotate_left(1),
            None => {
                let sealed = self.store.sealed_piece(self.asset_id, piece.index).map_err(|_| damaged(piece.index))?;
                let address = PieceAddress { asset_id: self.asset_id, index: piece.index };
                let oldest = (self.open.len() >= OPEN_PIECES_MAX).then(|| self.open.remove(0).1);
                let opened = match oldest {
                    Some(oldest) => oldest.reopen(sealed, &self.data_key, address),
                    None => PieceOpener::open(sealed, &self.data_key, address),
                };
                let opener = opened.map_err(|error| unreadable(piece.index, &error))?;
                opener.expect_sealed_bytes(piece.sealed_bytes).map_err(|error| unreadable(piece.index, &error))?;
                self.open.push((piece.index, opener));
            }
        }
        let (_, opener) = self.open.last_mut().expect("found or opened above");
        Ok(opener)
    }
}

impl SealedReader for AssetReader {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            // Pieces follow each other without gaps: the last that begins at or before the place holds it.
            let place = self.pieces.partition_point(|piece| piece.start <= at);
            let Some(piece) = place.checked_sub(1).map(|place| self.pieces[place]) else { break };
            let within = at - piece.start;
            if within >= piece.bytes {
                break;
            }
            let room = usize::try_from(piece.bytes - within).unwrap_or(usize::MAX).min(buffer.len() - filled);
            let target = &mut buffer[filled..filled + room];
            let read = self.opener(piece)?.read_at(within, target).map_err(|error| unreadable(piece.index, &error))?;
            if read == 0 {
                return Err(damaged(piece.index));
            }
            filled += read;
        }
        Ok(filled)
    }
}

fn damaged(index: u32) -> ReadError {
    ReadError { reason: Reason::new(ReasonCode::LocalDamaged).with("piece", index.to_string()) }
}

fn unreadable(index: u32, error: &PieceError) -> ReadError {
    tracing::error!(piece = index, %error, "a piece cannot be opened");
    damaged(index)
}
