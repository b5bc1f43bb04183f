//! The marker: a small file that says what an accelerator is being asked to do, so that the next process knows of what this one
//! died.
//!
//! ```text
//! marker     16 slots of 1,024 bytes: a letter (`-` idle, `L` loading, `R` running, `U` giving back), then JSON that says who,
//!            then blanks, then a line feed
//! ```
//!
//! A slot's JSON is written when somebody claims it; before each load and run one byte is written, and one after. Those bytes lie in
//! the file's page in the kernel's memory, which outlives the process without a sync: a crash of the machine may lose them, and
//! then nothing is held against anybody. They are written and not mapped: it is the same page, and where a disk is full a write
//! is an error that can be answered, where touching a mapped page ends the process.
//!
//! Whoever has the file open holds its lock, which the system frees at death. So a letter that is found under the lock was left
//! by a process that is gone, never by one that is at work.

use serde::{Deserialize, Serialize};
use snaptrak_domain::{
    BootId,
    verdict::{Candidate, Circumstances},
};
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

const FILE: &str = "marker";
const FORMAT: &str = "snaptrak.accelerator-marker/1";
/// Loaded models at once that lie elsewhere than on the processor; one more finds no slot and takes the processor.
const SLOTS: usize = 16;
/// Room for the longest names.
const SLOT_BYTES: usize = 1024;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What an accelerator is being asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Load,
    Run,
    Release,
}

const IDLE: u8 = b'-';

impl Phase {
    fn letter(self) -> u8 {
        match self {
            Self::Load => b'L',
            Self::Run => b'R',
            Self::Release => b'U',
        }
    }

    fn of(letter: u8) -> Option<Self> {
        [Self::Load, Self::Run, Self::Release].into_iter().find(|phase| phase.letter() == letter)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Run => "run",
            Self::Release => "release",
        }
    }
}

/// One process that works with the marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) process_id: u32,
    pub(super) boot_id: BootId,
    /// Milliseconds since the boot when it opened the marker: process numbers come again.
    pub(super) started_ms: i64,
}

impl Process {
    /// A name for its death.
    pub(super) fn name(&self) -> String {
        format!("{}/{}/{}", self.boot_id.0, self.process_id, self.started_ms)
    }
}

/// Who works in a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    format: String,
    pub(super) process: Process,
    pub(super) candidate: Candidate,
    pub(super) circumstances: Circumstances,
}

/// What a process that is gone was doing.
#[derive(Debug, PartialEq)]
pub(super) struct Standing {
    pub(super) phase: Phase,
    pub(super) record: Record,
}

/// What was found in the file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) standing: Vec<Standing>,
    /// Something was there that says nothing: it counts as nothing.
    pub(super) damaged: bool,
    /// The file was just made.
    pub(super) is_new: bool,
}

impl Found {
    /// Whether the file has to be written before it can be used.
    pub(super) fn needs_wiping(&self) -> bool {
        self.is_new || self.damaged || !self.standing.is_empty()
    }
}

/// The open file, with its lock.
pub(super) struct Marker {
    file: File,
    process: Process,
    taken: Mutex<[bool; SLOTS]>,
}

/// Why there is no marker, and hence no accelerator but the processor.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// An instance that is alive has it.
    InUse,
    /// The disk failed, or is full.
    Failed(io::Error),
}

impl Marker {
    /// Opens the file, or makes it, and says what stands in it. What stands stays until [`Marker::wipe`].
    pub(super) fn open(folder: &Path, process: Process) -> Result<(Self, Found), Unavailable> {
        let file = open_file(folder).map_err(Unavailable::Failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Unavailable::InUse),
            Err(TryLockError::Error(error)) => return Err(Unavailable::Failed(error)),
        }
        let found = read(&file).map_err(Unavailable::Failed)?;
        Ok((Self { file, process, taken: Mutex::default() }, found))
    }

    /// Makes every slot idle. All of the file is written, so that a disk that fills up later has room for each byte.
    pub(super) fn wipe(&self) -> io::Result<()> {
        let mut slot = vec![b' '; SLOT_BYTES];
        slot[0] = IDLE;
        slot[SLOT_BYTES - 1] = b'\n';
        self.file.write_all_at(&slot.repeat(SLOTS), 0)?;
        self.file.set_len((SLOTS * SLOT_BYTES) as u64)
    }

    /// A slot for a candidate; `None` when all are taken, or nothing can be written.
    pub(super) fn claim(self: &Arc<Self>, candidate: &Candidate, circumstances: &Circumstances) -> Option<Slot> {
        let record = Record {
            format: FORMAT.to_owned(),
            process: self.process.clone(),
            candidate: candidate.clone(),
            circumstances: circumstances.clone(),
        };
        let json = serde_json::to_vec(&record).ok().filter(|json| json.len() <= SLOT_BYTES - 2)?;
        let mut bytes = vec![b' '; SLOT_BYTES];
        bytes[0] = IDLE;
        bytes[1..=json.len()].copy_from_slice(&json);
        bytes[SLOT_BYTES - 1] = b'\n';
        let index = {
            // A place is taken or it is not, whatever panicked.
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let index = taken.iter().position(|taken| !taken)?;
            taken[index] = true;
            index
        };
        let slot = Slot { marker: Arc::clone(self), index };
        match self.file.write_all_at(&bytes, slot.place()) {
            Ok(()) => Some(slot),
            Err(error) => {
                tracing::warn!(%error, "no marker can be written: the processor is taken");
                None
            }
        }
    }
}

/// A slot that is this candidate's until it is dropped.
pub(super) struct Slot {
    marker: Arc<Marker>,
    index: usize,
}

impl Slot {
    fn place(&self) -> u64 {
        (self.index * SLOT_BYTES) as u64
    }

    /// Says what is about to be done. Without this word it must not be done.
    pub(super) fn set(&self, phase: Phase) -> io::Result<()> {
        self.marker.file.write_all_at(&[phase.letter()], self.place())
    }

    /// Says that it is over. A failure leaves a letter that the next process takes for a death: an accelerator too few, which
    /// harms nobody.
    pub(super) fn clear(&self) {
        if let Err(error) = self.marker.file.write_all_at(&[IDLE], self.place()) {
            tracing::warn!(%error, "a marker cannot be cleared");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.clear();
        self.marker.taken.lock().unwrap_or_else(PoisonError::into_inner)[self.index] = false;
    }
}

fn open_file(folder: &Path) -> io::Result<File> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(folder.join(FILE))
}

fn read(file: &File) -> io::Result<Found> {
    let bytes = file.metadata()?.len();
    let mut content = vec![0; SLOTS * SLOT_BYTES];
    let mut filled = 0;
    while filled < content.len() {
        match file.read_at(&mut content[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // A file that was just made is empty; any other length was not written by us.
    let is_new = bytes == 0;
    let mut found = Found { damaged: !is_new && bytes != content.len() as u64, is_new, ..Found::default() };
    for slot in content[..filled].chunks_exact(SLOT_BYTES) {
        let Some(phase) = Phase::of(slot[0]) else {
            found.damaged |= slot[0] != IDLE;
            continue;
        };
        match serde_json::from_slice::<Record>(&slot[1..]) {
            Ok(record) if record.format == FORMAT => found.standing.push(Standing { phase, record }),
            Ok(_) | Err(_) => found.damaged = true,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::testing::{candidate, circumstances, process};

    fn open(folder: &Path, process_id: u32) -> (Arc<Marker>, Found) {
        let (marker, found) = Marker::open(folder, process(process_id)).ok().unwrap();
        (Arc::new(marker), found)
    }

    #[test]
    fn what_was_being_done_at_death_is_found_and_what_was_over_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (marker, found) = open(folder.path(), 1);
        assert_eq!(found, Found { is_new: true, ..Found::default() });
        marker.wipe().unwrap();
        let [loading, running, over, idle] =
            ["a", "b", "c", "d"].map(|id| marker.claim(&candidate(id), &circumstances()).unwrap());
        loading.set(Phase::Load).unwrap();
        running.set(Phase::Load).unwrap();
        running.clear();
        running.set(Phase::Run).unwrap();
        over.set(Phase::Release).unwrap();
        over.clear();
        // As a process ends: nothing is dropped, the lock is gone.
        let copy = folder.path().join("copy");
        fs::create_dir(&copy).unwrap();
        fs::copy(folder.path().join(FILE), copy.join(FILE)).unwrap();
        let (next, found) = open(&copy, 2);
        let told: Vec<_> = found.standing.iter().map(|standing| (standing.phase, &standing.record)).collect();
        let who: Vec<_> = told.iter().map(|(phase, record)| (*phase, record.candidate.model_id.as_str())).collect();
        assert_eq!(who, [(Phase::Load, "a"), (Phase::Run, "b")]);
        assert_eq!((&told[0].1.process, &told[0].1.circumstances), (&process(1), &circumstances()));
        assert!(!found.damaged);
        next.wipe().unwrap();
        drop(next);
        assert_eq!(open(&copy, 3).1, Found::default());
        drop((loading, running, over, idle));
        drop(marker);
        assert_eq!(open(folder.path(), 4).1, Found::default(), "a slot that is given back is idle");
    }

    #[test]
    fn a_process_that_is_alive_is_not_taken_for_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let (marker, _) = open(folder.path(), 1);
        let slot = marker.claim(&candidate("a"), &circumstances()).unwrap();
        slot.set(Phase::Run).unwrap();
        let second = Marker::open(folder.path(), process(2)).err().unwrap();
        assert!(matches!(second, Unavailable::InUse));
    }

    #[test]
    fn damage_counts_as_nothing_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (marker, _) = open(folder.path(), 1);
        marker.wipe().unwrap();
        let slot = marker.claim(&candidate("a"), &circumstances()).unwrap();
        slot.set(Phase::Run).unwrap();
        let good = fs::read(folder.path().join(FILE)).unwrap();
        let text = String::from_utf8(good.clone()).unwrap();
        let truncated = good[..200].to_vec();
        let newer = text.replace("marker/1", "marker/2").into_bytes();
        let noise = vec![0xa5; good.len()];
        let torn = [b"R", &good[400..]].concat();
        for (index, bytes) in [truncated, newer, noise, torn, vec![0; 3]].into_iter().enumerate() {
            let other = folder.path().join(index.to_string());
            fs::create_dir(&other).unwrap();
            fs::write(other.join(FILE), bytes).unwrap();
            let (marker, found) = open(&other, 2);
            assert_eq!((found.standing.len(), found.damaged), (0, true), "{index}");
            marker.wipe().unwrap();
            drop(marker);
            assert_eq!(open(&other, 3).1, Found::default(), "{index}");
        }
    }

    #[test]
    fn slots_are_bounded_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let (marker, _) = open(folder.path(), 1);
        let claim = || marker.claim(&candidate("a"), &circumstances());
        let slots: Vec<_> = (0..SLOTS).map(|_| claim().unwrap()).collect();
        assert!(claim().is_none());
        drop(slots);
        assert!(claim().is_some());
        assert!(marker.claim(&candidate(&"x".repeat(SLOT_BYTES)), &circumstances()).is_none(), "too long a name");
    }
}
