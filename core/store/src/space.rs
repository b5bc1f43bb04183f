//! Room: how much is left, what is refused before the disk is full, and how long the rest will do.
//!
//! Owns the reserve: what must stay free so that notes, receipts and the queue's rows go on when no photo fits any more. A file
//! that would reach into it is refused before its first byte is written, and a stream that comes to it is ended and leaves
//! nothing behind. Where nobody knows how much is free, nothing is refused: the disk itself will say so.

use crate::{Store, StoreError, layout::Layout, list, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetState, Disk, Kind};
use std::{
    io::{self, Read},
    path::Path,
};

/// What captures leave free: a write-ahead log before its checkpoint (4 MiB), and as much again for the rows of a week.
pub(crate) const RESERVE_BYTES: u64 = 8 * 1024 * 1024;

/// A stream looks at the disk after so many bytes: half of the reserve, so that several side by side stay out of the other half.
const LOOK_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// Sealing adds a tag of 16 bytes to 65,520: less than one part in this.
const SEALING_ADDS_ONE_IN: u64 = 4_000;

/// Envelope and folder of a capture, generously.
const ENVELOPE_ROOM_BYTES: u64 = 64 * 1024;

/// Captures that are looked at for the size of a photo: a page of index and rows, whatever the store holds.
const FORECAST_CAPTURES: u32 = 256;

/// A photo of a phone, while there is none to learn from.
const PHOTO_BYTES_USUAL: u64 = 4 * 1024 * 1024;

/// Less room than this is low: half a minute of video at 30 Mbit/s, or some two dozen photos.
const LOW_BYTES: u64 = 128 * 1024 * 1024;

/// The disk that the operating system shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn free_bytes(&self, folder: &Path) -> Option<u64> {
        let disk = rustix::fs::statvfs(folder).ok()?;
        // What is kept for root is not for us.
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// How long the room will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Bytes that captures can still take.
    pub bytes: u64,
    /// So many more photos, by the size of the latest ones.
    pub photos: u64,
    /// Time to tell the person.
    pub low: bool,
}

impl Store {
    /// Bytes that captures can still take: what is free, less a reserve for notes and receipts. `None`: nobody knows.
    pub fn room_bytes(&self) -> Option<u64> {
        room_bytes(self.disk(), self.layout())
    }

    /// Refuses with [`StoreError::Full`] what would not fit: a file of so many bytes, before any of it is written.
    pub fn require_room(&self, bytes: u64) -> Result<(), StoreError> {
        let needed = bytes.saturating_add(bytes / SEALING_ADDS_ONE_IN).saturating_add(ENVELOPE_ROOM_BYTES);
        match self.room_bytes() {
            Some(room) if room < needed => {
                tracing::warn!(room, needed, "a capture does not fit");
                Err(StoreError::Full)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How many more photos fit, by the sizes of the latest ones. `None`: nobody knows how much is free.
    pub fn forecast(&self) -> Result<Option<Forecast>, StoreError> {
        let Some(bytes) = self.room_bytes() else { return Ok(None) };
        let photo = self.read(photo_bytes)?.unwrap_or(PHOTO_BYTES_USUAL).saturating_add(ENVELOPE_ROOM_BYTES / 16);
        Ok(Some(Forecast { bytes, photos: bytes / photo, low: bytes < LOW_BYTES }))
    }

    /// Sealed bytes that lie in files of this store.
    pub fn local_bytes(&self) -> Result<u64, StoreError> {
        self.read(local_bytes)
    }

    /// A source that ends with an error when the disk comes to its reserve.
    pub(crate) fn watched<'a>(&'a self, source: &'a mut dyn Read) -> Watched<'a> {
        Watched { source, disk: self.disk(), layout: self.layout(), since_look: 0, stopped: false }
    }
}

fn room_bytes(disk: &dyn Disk, layout: &Layout) -> Option<u64> {
    disk.free_bytes(layout.root()).map(|free| free.saturating_sub(RESERVE_BYTES))
}

/// The average of the photos among the latest captures.
fn photo_bytes(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let average: Option<f64> = rows::only(
        connection,
        "SELECT avg(latest.bytes) FROM (SELECT kind, bytes FROM list_line WHERE place > ?3 ORDER BY place DESC
                                          LIMIT ?1) AS latest WHERE latest.kind = ?2",
        params![FORECAST_CAPTURES, Kind::Photo.as_str(), list::places(None).start],
        |row| Ok(row.get(0)?),
    )?;
    Ok(average.map(|bytes| bytes as u64))
}

/// Kept by triggers: a dozen rows, whatever the store holds.
pub(crate) fn local_bytes(connection: &Connection) -> Result<u64, StoreError> {
    rows::only(
        connection,
        "SELECT coalesce(sum(local_bytes), 0) FROM tally WHERE state <> ?1",
        [AssetState::Purged.as_str()],
        |row| rows::count(row, 0),
    )
}

/// A source that looks at the disk as it is read.
pub(crate) struct Watched<'a> {
    source: &'a mut dyn Read,
    disk: &'a dyn Disk,
    layout: &'a Layout,
    since_look: u64,
    stopped: bool,
}

impl Watched<'_> {
    /// Whether it was the disk that ended the source.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_look >= LOOK_EVERY_BYTES {
            self.since_look = 0;
            if room_bytes(self.disk, self.layout) == Some(0) {
                self.stopped = true;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let read = self.source.read(buffer)?;
        self.since_look += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CaptureRequest, tests::world};
    use snaptrak_testkit::FakeDisk;
    use std::{cell::Cell, sync::Arc};
    use world::World;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

    #[test]
    fn a_file_that_does_not_fit_is_refused_before_a_byte_and_a_note_is_taken() {
        let world = World::new();
        let store = world.create();
        world.disk.set_free_bytes(Some(RESERVE_BYTES + 1_000_000));
        assert_eq!(store.room_bytes(), Some(1_000_000));
        assert!(store.require_room(900_000).is_ok());
        assert!(matches!(store.require_room(950_000), Err(StoreError::Full)), "with its envelope it does not fit");
        assert!(matches!(store.require_room(u64::MAX), Err(StoreError::Full)));

        world.disk.set_free_bytes(Some(RESERVE_BYTES));
        let files = world::files(&world.path).len();
        let refused = store.capture(CaptureRequest::default(), &mut &world::plain(2_000)[..]);
        assert!(matches!(refused, Err(StoreError::Full)));
        assert_eq!(world::files(&world.path).len(), files);
        store.note(CaptureRequest::default(), "goes into the reserve").unwrap();

        world.disk.set_free_bytes(None);
        world::capture(&store, &world::plain(2_000));
    }

    /// Gives zeros without end, and lets the disk run full after some of them.
    struct Filling {
        disk: Arc<FakeDisk>,
        given: Cell<u64>,
    }

    impl Read for Filling {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.given.set(self.given.get() + buffer.len() as u64);
            if self.given.get() > 6 * 1024 * 1024 {
                self.disk.set_free_bytes(Some(RESERVE_BYTES - 1));
            }
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_stream_without_end_is_ended_at_the_reserve_and_leaves_nothing() {
        let world = World::new();
        let store = world.create();
        let files = world::files(&world.path).len();
        let mut stream = Filling { disk: world.disk.clone(), given: Cell::new(0) };
        let result = store.capture(CaptureRequest::default(), &mut stream);
        assert!(matches!(result, Err(StoreError::Full)), "{result:?}");
        assert!(stream.given.get() < 6 * 1024 * 1024 + 2 * LOOK_EVERY_BYTES, "{}", stream.given.get());
        assert_eq!(world::files(&world.path).len(), files);
        assert_eq!(store.list(None, None, 10).unwrap().captures.len(), 0);
    }

    #[test]
    fn the_forecast_counts_in_photos_of_the_size_that_are_taken_here() {
        let world = World::new();
        let store = world.create();
        assert_eq!(store.forecast().unwrap(), None);
        world.disk.set_free_bytes(Some(RESERVE_BYTES + 10 * (PHOTO_BYTES_USUAL + 4_096)));
        let forecast = store.forecast().unwrap().unwrap();
        assert_eq!((forecast.photos, forecast.low), (10, true));
        world.disk.set_free_bytes(Some(RESERVE_BYTES + 200_000_000));
        world::capture(&store, &[PNG, &world::plain(100_000)].concat());
        world::capture(&store, &[PNG, &world::plain(300_000)].concat());
        world::capture(&store, &world::plain(5_000_000));
        let forecast = store.forecast().unwrap().unwrap();
        assert_eq!((forecast.photos, forecast.low), (200_000_000 / (200_008 + 4_096), false));
    }
}
