//! An original as one stream of bytes with random access, however many pieces it has.

use crate::{Error, SnapTrak};
use snaptrak_domain::{CaptureId, Rendition, sealed_reader::SealedReader};
use std::io::{self, Read, Seek, SeekFrom};

/// Reads an original. Only the pieces and segments that are touched are opened, and no byte is handed out before its segment
/// has authenticated.
///
/// Of a recording that goes on it reads the pieces that were finished when it was made. The stream as a whole is proven by
/// [`SnapTrak::view`], which compares its digest; here each segment proves itself.
pub struct Reader {
    sealed: Box<dyn SealedReader>,
    position: u64,
}

impl SnapTrak {
    /// Opens the original of a capture for reading.
    pub fn reader(&self, id: CaptureId) -> Result<Reader, Error> {
        let asset_id = self.inner.store.asset_of(id, Rendition::Original)?;
        Ok(Reader { sealed: self.inner.store.reader(asset_id)?, position: 0 })
    }
}

impl Reader {
    /// Length of the original in bytes.
    pub fn length_bytes(&self) -> u64 {
        self.sealed.bytes()
    }

    /// Fills `buffer` from `offset`; the answer is how many bytes there were, fewer only at the end.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        self.sealed.read_at(offset, buffer).map_err(|error| Error::from_reason(&error.reason))
    }
}

/// An error of the store is `InvalidData` with the [`Error`] inside.
impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count =
            self.read_at(self.position, buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let target = match position {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length_bytes().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
