//! The journal: a second, sealed copy of what is only rows, one JSON line an entry.
//!
//! Owns the files of `journal/`. Refuses to know what a line says: what is secret in it was sealed by its writer. A line is
//! written before its row is committed and synced within two seconds; the row, committed with a full sync, is the first copy.
//! A kill can leave a last line that is cut short, and a line without a row: readers skip the one and expect the other.

use crate::{StoreError, layout};
use base64::{Engine, engine::general_purpose::STANDARD};
use snaptrak_domain::{Clock, MonotonicMs};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file of the journal is followed by a new one at this length: small enough to be read whole.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A line is synced at the latest this long after it was written, together with the group of its time.
const SYNC_AFTER_MS: i64 = 2_000;

/// The end of the journal, to which lines are appended.
pub(crate) struct Journal {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    file: File,
    number: u32,
    bytes: u64,
    dirty_since: Option<MonotonicMs>,
}

impl Journal {
    /// Opens the last file of the folder, or the first.
    pub(crate) fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let number = numbers(folder)?.last().copied().unwrap_or(1);
        let (file, bytes) = open_file(folder, number)?;
        Ok(Self { folder: folder.to_owned(), clock, file, number, bytes, dirty_since: None })
    }

    /// Writes one line, without its end of line. Durable after the next sync.
    pub(crate) fn append(&mut self, line: &[u8]) -> Result<(), StoreError> {
        if self.bytes >= FILE_BYTES_MAX {
            self.sync()?;
            (self.file, self.bytes) = open_file(&self.folder, self.number + 1)?;
            self.number += 1;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        if let Err(error) = self.file.write_all(&whole) {
            // What was written of the line goes again, so that the next one begins at a line's start.
            let _ = self.file.set_len(self.bytes);
            let _ = self.file.seek(SeekFrom::Start(self.bytes));
            return Err(StoreError::io("write the journal", error));
        }
        self.bytes += whole.len() as u64;
        self.dirty_since.get_or_insert_with(|| self.clock.monotonic());
        Ok(())
    }

    /// Syncs if a line has waited long enough.
    pub(crate) fn sync_if_old(&mut self) -> Result<(), StoreError> {
        match self.dirty_since {
            Some(since) if self.clock.monotonic().0 - since.0 >= SYNC_AFTER_MS => self.sync(),
            Some(_) | None => Ok(()),
        }
    }

    /// Syncs what was written.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.dirty_since.is_some() {
            self.file.sync_data().map_err(|error| StoreError::io("sync the journal", error))?;
            self.dirty_since = None;
        }
        Ok(())
    }
}

/// The line of a note: its envelope as text and its only piece, both sealed.
pub(crate) fn note_line(envelope: &[u8], piece: &[u8]) -> Vec<u8> {
    let envelope = String::from_utf8_lossy(envelope);
    let line = serde_json::json!({"type": "note", "envelope": envelope, "pieces": [STANDARD.encode(piece)]});
    line.to_string().into_bytes()
}

fn file_name(number: u32) -> String {
    format!("{number:08}.jsonl")
}

/// The numbers of the journal's files, ascending.
fn numbers(folder: &Path) -> Result<Vec<u32>, StoreError> {
    let listed = fs::read_dir(folder).map_err(|error| StoreError::io("list the journal", error))?;
    let mut numbers = Vec::new();
    for entry in listed {
        let name = entry.map_err(|error| StoreError::io("list the journal", error))?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|digits| digits.parse::<u32>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn open_file(folder: &Path, number: u32) -> Result<(File, u64), StoreError> {
    let failed = |error| StoreError::io("open the journal", error);
    let path = folder.join(file_name(number));
    let mut file = layout::open_or_create(&path)?;
    let mut bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
    if bytes == 0 {
        layout::sync_folder(folder)?;
        return Ok((file, 0));
    }
    let mut last = [0_u8];
    file.seek(SeekFrom::End(-1)).map_err(failed)?;
    file.read_exact(&mut last).map_err(failed)?;
    if last != *b"\n" {
        // The process died within a line: it stays, cut short, on a line of its own.
        file.write_all(b"\n").map_err(failed)?;
        bytes += 1;
    }
    Ok((file, bytes))
}
