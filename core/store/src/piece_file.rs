//! The file that a piece is sealed into, written through the page cache or past it.
//!
//! Through the cache is quicker for one capture: the disk works while the next bytes are hashed. With every core at work the
//! cache is what costs: each byte is copied once more, and `fdatasync` writes back what a write past the cache has already
//! handed to the disk. Where the file system refuses direct writes, the cache is used. Durable in both is only what was synced.

use crate::{StoreError, layout};
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// What direct writes want of addresses, offsets and lengths: the largest block that Linux's file systems ask for.
pub(crate) const DIRECT_BLOCK_BYTES: usize = 4096;

/// The disk is asked to begin after as many bytes: seldom enough that asking costs little.
const WRITE_BACK_BYTES: u64 = 1 << 20;

/// A piece's file.
pub(crate) struct PieceFile {
    file: File,
    direct: bool,
    /// Bytes that were written, and of them those that the disk was asked to take at once.
    written: u64,
    begun: u64,
}

impl PieceFile {
    /// Makes the file; `past_cache` is a wish.
    pub(crate) fn create(path: &Path, past_cache: bool) -> Result<Self, StoreError> {
        let file = layout::create_file(path)?;
        let direct = past_cache && set_direct(&file, true);
        Ok(Self { file, direct, written: 0, begun: 0 })
    }

    /// Makes what was written durable, before its name.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::io("sync a piece", error))
    }

    /// Lets the disk begin with what was written through the cache since the last time, while the next bytes are made.
    fn begin_write_back(&mut self) {
        if self.written - self.begun >= WRITE_BACK_BYTES {
            write_back(&self.file, self.begun, self.written - self.begun);
            self.begun = self.written;
        }
    }

    /// From now on through the cache.
    fn through_cache(&mut self) {
        set_direct(&self.file, false);
        self.direct = false;
    }
}

impl Write for PieceFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.direct {
            let whole = bytes.len() / DIRECT_BLOCK_BYTES * DIRECT_BLOCK_BYTES;
            if whole > 0 {
                match self.file.write(&bytes[..whole]) {
                    // Wrong addresses, lengths, offsets after a short write, or a file system that finds out late.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                    written => {
                        let written = written?;
                        self.written += written as u64;
                        // The disk has them already.
                        self.begun = self.written;
                        return Ok(written);
                    }
                }
            }
            self.through_cache();
        }
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        self.begin_write_back();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the file's writes go past the cache as wished.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_direct(file: &File, direct: bool) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let set = |mut flags: OFlags| {
        flags.set(OFlags::DIRECT, direct);
        fcntl_setfl(file, flags)
    };
    fcntl_getfl(file).and_then(set).is_ok()
}

/// Asks the system to begin writing a range back: the advice that it is not needed any more does that, and waits for nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn write_back(file: &File, offset: u64, bytes: u64) {
    // Advice that is refused costs time alone: what is durable is what was synced.
    let _ = rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(bytes), rustix::fs::Advice::DontNeed);
}

/// Only Linux is known to begin by it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn write_back(_: &File, _: u64, _: u64) {}

/// Only Linux has writes that are past the cache and still files.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_direct(_: &File, _: bool) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_and_address_arrive_either_way() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..5 * DIRECT_BLOCK_BYTES).map(|i| ((i * 31) >> 3) as u8).collect();
        for (number, first) in [0, 1, DIRECT_BLOCK_BYTES, DIRECT_BLOCK_BYTES + 7].into_iter().enumerate() {
            for past_cache in [true, false] {
                let path = folder.path().join(format!("{number}-{past_cache}"));
                let mut file = PieceFile::create(&path, past_cache).unwrap();
                file.write_all(&bytes[..first]).unwrap();
                file.write_all(&bytes[first..]).unwrap();
                file.sync().unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "{first} {past_cache}");
            }
        }
    }
}
