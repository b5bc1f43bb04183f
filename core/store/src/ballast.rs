//! The ballast: a file that holds nothing but room, given up when a disk is full to the last byte.
//!
//! Owns `ballast` in the store's folder. On a full disk SQLite can write no page, so nothing could be purged: opening and purge
//! give the file up, do their work in its room, and make it again. A ballast that cannot be made is said and is no failure: the
//! store works without it until the disk is full.

use crate::{
    StoreError,
    layout::{self, Layout},
};
use snaptrak_domain::Disk;
use std::{
    fs,
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A new ballast takes at most this part of the free room: on a small disk the captures need it more.
const SHARE_OF_FREE: u64 = 4;

/// The ballast grows and shrinks by this, and a smaller one is none: a purge needs some hundred kilobytes.
const STEP_BYTES: u64 = 1024 * 1024;

/// The file, and whether this process has given it up.
pub(crate) struct Ballast {
    layout: Layout,
    disk: Arc<dyn Disk>,
    bytes_wanted: u64,
    given_up: AtomicBool,
}

impl Ballast {
    pub(crate) fn new(layout: Layout, disk: Arc<dyn Disk>, bytes_wanted: u64) -> Self {
        Self { layout, disk, bytes_wanted, given_up: AtomicBool::new(false) }
    }

    /// Makes the file, or makes it larger, where there is plenty of room.
    pub(crate) fn make(&self) {
        let present = self.present_bytes();
        if present < self.bytes_wanted {
            let free = self.disk.free_bytes(self.layout.root()).unwrap_or(0);
            self.grow(present, (free + present) / SHARE_OF_FREE);
        }
    }

    /// Removes the file; whether that made room.
    pub(crate) fn give_up(&self) -> bool {
        self.given_up.store(true, Ordering::SeqCst);
        remove(&self.layout)
    }

    /// Makes again what was given up, as much of it as there is room for.
    pub(crate) fn restore(&self) {
        if self.given_up.swap(false, Ordering::SeqCst) {
            self.grow(0, self.disk.free_bytes(self.layout.root()).unwrap_or(0));
        }
    }

    /// What an opening gave up is made again at the end as what a purge gave up.
    pub(crate) fn was_given_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
    }

    fn present_bytes(&self) -> u64 {
        fs::metadata(self.layout.ballast()).map_or(0, |file| file.len())
    }

    fn grow(&self, present: u64, room: u64) {
        let whole_steps = |bytes: u64| bytes / STEP_BYTES * STEP_BYTES;
        let mut bytes = whole_steps(self.bytes_wanted.min(room));
        while bytes > present {
            match allocate(&self.layout.ballast(), present, bytes) {
                Ok(()) => return,
                Err(StoreError::Full) => bytes = whole_steps(bytes / 2),
                Err(error) => {
                    tracing::warn!(%error, "there is no ballast");
                    return;
                }
            }
        }
    }
}

/// Removes the ballast of a store; whether there was one.
pub(crate) fn remove(layout: &Layout) -> bool {
    match fs::remove_file(layout.ballast()) {
        Ok(()) => {
            // Some file systems hand out the room only after the removal is durable.
            if let Err(error) = layout::sync_folder(layout.root()) {
                tracing::warn!(%error, "the ballast's room may come late");
            }
            tracing::info!("the disk is full: the ballast is given up");
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::warn!(%error, "the ballast cannot be given up");
            false
        }
    }
}

/// Gives the file real room, never a hole. Not synced: after a power cut the next opening looks again.
fn allocate(path: &PathBuf, present: u64, bytes: u64) -> Result<(), StoreError> {
    let file = layout::open_or_create(path)?;
    let allocated = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(&file, present, bytes),
        Err(errno) => Err(errno.into()),
        Ok(()) => Ok(()),
    };
    allocated.map_err(|error| {
        // Half a ballast, made in some unknown way, is none.
        let _ = if present == 0 { fs::remove_file(path) } else { file.set_len(present) };
        StoreError::io("make the ballast", error)
    })
}

fn write_zeros(mut file: &fs::File, present: u64, bytes: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(present))?;
    let zeros = vec![0; STEP_BYTES as usize];
    for _ in 0..(bytes - present) / STEP_BYTES {
        file.write_all(&zeros)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use snaptrak_testkit::FakeDisk;

    const MIB: u64 = 1024 * 1024;

    struct Room {
        disk: Arc<FakeDisk>,
        ballast: Ballast,
        _folder: tempfile::TempDir,
    }

    impl Room {
        fn of(free: Option<u64>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(FakeDisk::default());
            disk.set_free_bytes(free);
            let ballast = Ballast::new(Layout::new(folder.path()), disk.clone(), 4 * MIB);
            Self { disk, ballast, _folder: folder }
        }

        fn blocks(&self) -> u64 {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(self.ballast.layout.ballast()).map_or(0, |file| file.blocks() * 512)
        }
    }

    #[test]
    fn it_is_real_room_and_takes_a_quarter_of_a_small_disk() {
        for (free, bytes) in
            [(None, 0), (Some(0), 0), (Some(3 * MIB), 0), (Some(9 * MIB), 2 * MIB), (Some(1 << 40), 4 * MIB)]
        {
            let room = Room::of(free);
            room.ballast.make();
            assert_eq!((room.ballast.present_bytes(), room.blocks() >= bytes), (bytes, true), "{free:?}");
        }
    }

    #[test]
    fn it_grows_with_the_room_and_never_shrinks_by_itself() {
        let room = Room::of(Some(9 * MIB));
        for (free, bytes) in [(9 * MIB, 2 * MIB), (0, 2 * MIB), (1 << 40, 4 * MIB), (0, 4 * MIB)] {
            room.disk.set_free_bytes(Some(free));
            room.ballast.make();
            assert_eq!((room.ballast.present_bytes(), room.blocks() >= bytes), (bytes, true));
        }
    }

    #[test]
    fn it_is_given_up_once_and_made_again_with_what_room_there_is() {
        let room = Room::of(Some(1 << 40));
        room.ballast.make();
        room.ballast.restore();
        assert!(room.ballast.give_up());
        assert!(!room.ballast.give_up(), "there was nothing more to give");
        room.disk.set_free_bytes(Some(3 * MIB + 7));
        room.ballast.restore();
        assert_eq!(room.ballast.present_bytes(), 3 * MIB);
    }
}
