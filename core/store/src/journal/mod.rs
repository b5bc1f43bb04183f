//! The journal: a second, sealed copy of what is only rows, one JSON line an entry.
//!
//! Owns the files of `journal/`: `00000001.jsonl` and so on, each begun by the line of its key. Refuses to know tables. The
//! lines of a commit group are written with one call before the group is committed, and synced within two seconds; the rows,
//! committed with a full sync, are the first copy. A kill can leave a last line that is cut short, and a line without a row:
//! readers skip the one and expect the other. A file that does not end with a whole line, that a version before wrote, or
//! whose key is not wrapped for the recipients of now is left as it is, and another one is begun.
//!
//! After a failed sync the system may have dropped what was written, and the next sync succeeds without saying so. So lines
//! are kept in memory until they are synced, and after a failure written again before they are synced again.
//!
//! A line that cannot be written (a full disk) is taken back whole and fails its group. Nothing is looked for at opening: the
//! end of the journal is found when the first line is written.

mod base64_text;
mod entry;
mod key;
mod line;
#[cfg(test)]
mod tests;

pub(crate) use base64_text::Base64;
pub(crate) use entry::Entry;
pub(crate) use line::{Line, Lines};

use crate::{StoreError, layout, sealer::Known, sealer::Sealer};
pub(crate) use key::{KeyLine, LineKey};
use line::{NewLine, SealedLine};
use snaptrak_domain::{Clock, MonotonicMs};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file of the journal is followed by a new one at this length: small enough to be read whole.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A line is synced at the latest this long after it was written, together with the group of its time.
const SYNC_AFTER_MS: i64 = 2_000;

/// Lines that wait for their sync are kept in memory; with this much waiting they are synced before more is added.
const UNSYNCED_BYTES_MAX: usize = 1024 * 1024;

/// A key line is shorter: sixteen wraps of two kilobytes.
const KEY_LINE_BYTES_MAX: u64 = 64 * 1024;

/// Earlier files whose keys are wrapped for new recipients: eight gigabytes of journal, and a few seconds once.
const KEYS_WRAPPED_AGAIN_MAX: usize = 1_000;

/// What is read first to find how far a file has counted, and by how much more each time that this was too little.
const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_GROWTH: u64 = 8;

/// The journal as its writer knows it.
pub(crate) struct Journal {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    sealer: Arc<Sealer>,
    end: Option<End>,
    dirty_since: Option<MonotonicMs>,
}

/// The file to which lines are added.
struct End {
    file: File,
    bytes: u64,
    key: LineKey,
    /// The number of the next line under this key.
    next: u64,
    /// What the file begins with, until it was written.
    head: Vec<u8>,
    /// The last bytes of the file, which no sync has covered.
    unsynced: Vec<u8>,
    /// A sync failed: they are written again before the next one.
    is_doubtful: bool,
    /// For whom the key was last compared.
    known: Arc<Known>,
}

impl End {
    fn sync(&mut self) -> std::io::Result<()> {
        if self.is_doubtful {
            self.file.write_all_at(&self.unsynced, self.bytes - self.unsynced.len() as u64)?;
        }
        self.is_doubtful = true;
        self.file.sync_data()?;
        self.is_doubtful = false;
        self.unsynced = Vec::new();
        Ok(())
    }

    /// Cuts what is behind the last whole line.
    fn take_back(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes)).map(|_| ())
    }
}

impl Journal {
    /// The journal in a folder. Nothing is read before the first line is written.
    pub(crate) fn new(folder: PathBuf, clock: Arc<dyn Clock>, sealer: Arc<Sealer>) -> Self {
        Self { folder, clock, sealer, end: None, dirty_since: None }
    }

    /// Writes lines with one call. Durable after the next sync. On an error none of them is there.
    pub(crate) fn append(&mut self, lines: Lines) -> Result<(), StoreError> {
        if lines.count() == 0 {
            return Ok(());
        }
        self.find_end()?;
        if self.end.as_ref().is_some_and(|end| end.unsynced.len() >= UNSYNCED_BYTES_MAX) {
            self.sync()?;
        }
        let end = self.end.as_mut().expect("found above");
        let mut buffer = end.head.clone();
        let mut next = end.next;
        for line in lines.0 {
            let line = match line {
                NewLine::Open(line) => line,
                NewLine::ToSeal(json) => {
                    let sealed = Base64(end.key.seal(next, json, self.sealer.random.as_ref())?);
                    next += 1;
                    Line::Sealed(SealedLine { key: end.key.id, n: next - 1, sealed })
                }
            };
            line.write_to(&mut buffer);
        }
        if let Err(error) = end.file.write_all(&buffer) {
            // What was written goes again, so that the next line begins at a line's start. Where even that fails, the file is
            // left with a last line that is cut short and another one is begun.
            if end.take_back().is_err() {
                self.end = None;
            }
            return Err(StoreError::io("write the journal", error));
        }
        end.bytes += buffer.len() as u64;
        end.next = next;
        end.head.clear();
        end.unsynced.append(&mut buffer);
        self.dirty_since.get_or_insert_with(|| self.clock.monotonic());
        Ok(())
    }

    /// Whether a line has waited long enough for its sync.
    pub(crate) fn is_old(&self) -> bool {
        self.dirty_since.is_some_and(|since| self.clock.monotonic().0 - since.0 >= SYNC_AFTER_MS)
    }

    /// Syncs if a line has waited long enough.
    pub(crate) fn sync_if_old(&mut self) -> Result<(), StoreError> {
        if self.is_old() { self.sync() } else { Ok(()) }
    }

    /// Syncs what was written.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if let (Some(_), Some(end)) = (self.dirty_since, &mut self.end) {
            end.sync().map_err(|error| StoreError::io("sync the journal", error))?;
        }
        self.dirty_since = None;
        Ok(())
    }

    /// Sees to it that there is a file with room whose key is wrapped for the recipients of now.
    fn find_end(&mut self) -> Result<(), StoreError> {
        let known = self.sealer.known();
        if let Some(end) = &self.end
            && end.bytes < FILE_BYTES_MAX
            && Arc::ptr_eq(&end.known, &known)
        {
            return Ok(());
        }
        self.sync()?;
        let last = numbers(&self.folder)?.last().copied();
        self.end = match last {
            Some(number) => self.resume(number, &known)?,
            None => None,
        };
        if self.end.is_none() {
            self.end = Some(self.begin(last.map_or(1, |number| number + 1), known)?);
        }
        Ok(())
    }

    /// The end of a file that can go on; `None` where another one must be begun.
    fn resume(&self, number: u32, known: &Arc<Known>) -> Result<Option<End>, StoreError> {
        let mut file = layout::open_or_create(&self.folder.join(file_name(number)))?;
        let bytes = file.seek(SeekFrom::End(0)).map_err(read_failed)?;
        if bytes == 0 {
            return self.begin(number, Arc::clone(known)).map(Some);
        }
        if bytes >= FILE_BYTES_MAX || read_range(&mut file, bytes - 1, bytes)? != *b"\n" {
            return Ok(None);
        }
        let Some(line) = key_line(&mut file)? else { return Ok(None) };
        let Some(key) = line.open_here(&self.sealer.keys).filter(|_| self.serves(&line, known)) else {
            return Ok(None);
        };
        let next = next_number(&mut file, bytes, &key)?;
        file.seek(SeekFrom::Start(bytes)).map_err(read_failed)?;
        let (head, unsynced, known) = (Vec::new(), Vec::new(), Arc::clone(known));
        Ok(Some(End { file, bytes, key, next, head, unsynced, is_doubtful: false, known }))
    }

    /// Begins a file, which does not exist or is empty.
    fn begin(&self, number: u32, known: Arc<Known>) -> Result<End, StoreError> {
        let file = layout::open_or_create(&self.folder.join(file_name(number)))?;
        layout::sync_folder(&self.folder)?;
        let (line, key) = KeyLine::draw(&self.sealer, self.clock.now())?;
        let mut head = Vec::new();
        Line::Key(line).write_to(&mut head);
        for earlier in self.wrapped_again(number, &known)? {
            Line::Key(earlier).write_to(&mut head);
        }
        let device = Entry::Device {
            device_id: self.sealer.device_id,
            signing_public: Base64(self.sealer.keys.signer.public_key().to_vec()),
        };
        let sealed = Base64(key.seal(0, device.to_json(), self.sealer.random.as_ref())?);
        Line::Sealed(SealedLine { key: key.id, n: 0, sealed }).write_to(&mut head);
        Ok(End { file, bytes: 0, key, next: 1, head, unsynced: Vec::new(), is_doubtful: false, known })
    }

    /// The keys of earlier files, wrapped for the recipients of now where these are others than before: what was written before
    /// the enrolment can be recovered with the organisation's key too.
    fn wrapped_again(&self, before: u32, known: &Known) -> Result<Vec<KeyLine>, StoreError> {
        let mut lines = Vec::new();
        let mut numbers = numbers(&self.folder)?;
        numbers.retain(|number| *number < before);
        for number in numbers.into_iter().rev().take(KEYS_WRAPPED_AGAIN_MAX) {
            let mut file = layout::open_or_create(&self.folder.join(file_name(number)))?;
            let Some(line) = key_line(&mut file)? else { continue };
            if lines.is_empty() && self.serves(&line, known) {
                // The recipients are as they were when that file began: this was done then.
                break;
            }
            if !self.serves(&line, known) {
                lines.extend(line.wrapped_for(&self.sealer, known)?);
            }
        }
        Ok(lines)
    }

    /// Whether a key is wrapped for the device and for exactly the recipients of now. Before the app has said who they are
    /// (at opening), a key that is wrapped for more goes on.
    fn serves(&self, line: &KeyLine, known: &Known) -> bool {
        let media = self.sealer.keys.media_public().key_id();
        let mut wanted: Vec<_> = known.wrappable.iter().map(|one| one.key_id).collect();
        let mut given: Vec<_> = line.recipients().collect();
        wanted.sort_unstable_by_key(|id| id.0);
        given.sort_unstable_by_key(|id| id.0);
        let same_organisation =
            known.wrappable.first().is_none_or(|one| Some(one.organisation_id) == line.organisation_id);
        line.device_keys().any(|id| id == media) && same_organisation && (wanted.is_empty() || wanted == given)
    }
}

/// The line with which a file begins, where that is a key's.
fn key_line(file: &mut File) -> Result<Option<KeyLine>, StoreError> {
    let head = read_range(file, 0, KEY_LINE_BYTES_MAX)?;
    match head.split(|byte| *byte == b'\n').next().and_then(Line::parse) {
        Some(Line::Key(line)) => Ok(Some(line)),
        Some(Line::Note { .. } | Line::Sealed(_) | Line::Unknown) | None => Ok(None),
    }
}

/// The number after the last sealed line of `key`.
fn next_number(file: &mut File, bytes: u64, key: &LineKey) -> Result<u64, StoreError> {
    let mut tail_bytes = TAIL_BYTES;
    loop {
        let start = bytes.saturating_sub(tail_bytes);
        let tail = read_range(file, start, bytes)?;
        // The first part may be the end of a line that began before; as such it is no line and is passed over.
        for line in tail.rsplit(|byte| *byte == b'\n') {
            if let Some(Line::Sealed(line)) = Line::parse(line)
                && line.key == key.id
            {
                return Ok(line.n + 1);
            }
        }
        if start == 0 {
            return Ok(0);
        }
        tail_bytes = tail_bytes.saturating_mul(TAIL_GROWTH);
    }
}

fn read_range(file: &mut File, start: u64, end: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start)).map_err(read_failed)?;
    file.take(end - start).read_to_end(&mut bytes).map_err(read_failed)?;
    Ok(bytes)
}

fn read_failed(error: std::io::Error) -> StoreError {
    StoreError::io("read the journal", error)
}

fn file_name(number: u32) -> String {
    format!("{number:08}.jsonl")
}

/// The numbers of the journal's files, ascending.
pub(crate) fn numbers(folder: &Path) -> Result<Vec<u32>, StoreError> {
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
