//! `verdicts.json`: the verdicts of this device, only ever replaced whole.
//!
//! `{"format": "snaptrak.accelerator-verdicts/1", "verdicts": [...]}`. A file that cannot be read, or that newer software wrote, counts
//! as none: the worst that follows is that an accelerator is tried again.

use serde::{Deserialize, Serialize};
use snaptrak_domain::verdict::{Candidate, Verdict};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const FILE: &str = "verdicts.json";
const FILE_NEW: &str = "verdicts.json.new";
const FORMAT: &str = "snaptrak.accelerator-verdicts/1";
const FORMAT_NAME: &str = "snaptrak.accelerator-verdicts/";
const FILE_MODE: u32 = 0o600;
/// Verdicts kept; the oldest goes. Dozens of models on two engines and two accelerators, in front and behind.
const VERDICTS_MAX: usize = 256;
/// Bytes of the file: four times what so many verdicts take.
const BYTES_MAX: u64 = 1 << 20;

/// What was wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    Damaged,
    Newer,
}

/// The verdicts, as they are in the file and as they should be.
#[derive(Debug)]
pub(super) struct VerdictFile {
    folder: PathBuf,
    verdicts: Vec<Verdict>,
}

#[derive(Serialize, Deserialize)]
struct Content<V> {
    format: String,
    verdicts: V,
}

impl VerdictFile {
    /// Reads what is there.
    pub(super) fn read(folder: &Path) -> (Self, Option<Unread>) {
        let (verdicts, unread) = match read(&folder.join(FILE)) {
            Ok(verdicts) => (verdicts, None),
            Err(unread) => (Vec::new(), Some(unread)),
        };
        (Self { folder: folder.to_owned(), verdicts }, unread)
    }

    pub(super) fn all(&self) -> &[Verdict] {
        &self.verdicts
    }

    pub(super) fn find(&self, candidate: &Candidate) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.candidate == *candidate)
    }

    /// Takes in a verdict, in the place of the one before. It holds for this process whatever the disk says.
    pub(super) fn put(&mut self, verdict: Verdict) -> io::Result<()> {
        self.verdicts.retain(|other| other.candidate != verdict.candidate);
        self.verdicts.push(verdict);
        let over = self.verdicts.len().saturating_sub(VERDICTS_MAX);
        self.verdicts.drain(..over);
        self.save()
    }

    /// Forgets every verdict.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.verdicts.clear();
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let content = Content { format: FORMAT.to_owned(), verdicts: &self.verdicts };
        let bytes = serde_json::to_vec(&content).map_err(io::Error::other)?;
        let new = self.folder.join(FILE_NEW);
        let mut file = File::options().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn read(path: &Path) -> Result<Vec<Verdict>, Unread> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(_) => return Err(Unread::Damaged),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|_| Unread::Damaged)?;
    let content: Content<serde_json::Value> = serde_json::from_slice(&bytes).map_err(|_| Unread::Damaged)?;
    if content.format != FORMAT {
        let version = content.format.strip_prefix(FORMAT_NAME).and_then(|version| version.parse::<u64>().ok());
        return Err(if version.is_some_and(|version| version > 1) { Unread::Newer } else { Unread::Damaged });
    }
    let mut verdicts: Vec<Verdict> = serde_json::from_value(content.verdicts).map_err(|_| Unread::Damaged)?;
    verdicts.truncate(VERDICTS_MAX);
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::testing::{candidate, circumstances};
    use snaptrak_domain::UnixMs;

    fn verdict(model: &str, ms: i64) -> Verdict {
        Verdict::untried(candidate(model), circumstances(), UnixMs(ms))
    }

    #[test]
    fn what_was_put_is_there_after_a_restart_and_the_newest_of_each_candidate_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, unread) = VerdictFile::read(folder.path());
        assert_eq!((file.all(), unread), (&[][..], None));
        for verdict in [verdict("a", 1), verdict("b", 2), verdict("a", 3)] {
            file.put(verdict).unwrap();
        }
        let (mut again, unread) = VerdictFile::read(folder.path());
        assert_eq!((again.all(), unread), (&[verdict("b", 2), verdict("a", 3)][..], None));
        assert_eq!(again.find(&candidate("a")), Some(&verdict("a", 3)));
        assert_eq!(again.find(&candidate("c")), None);
        again.clear().unwrap();
        assert!(VerdictFile::read(folder.path()).0.all().is_empty());
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = VerdictFile::read(folder.path());
        file.verdicts = (0..VERDICTS_MAX).map(|at| verdict(&at.to_string(), 0)).collect();
        file.put(verdict("one more", 1)).unwrap();
        let (again, unread) = VerdictFile::read(folder.path());
        assert_eq!((again.all().len(), unread), (VERDICTS_MAX, None));
        assert!(again.find(&candidate("0")).is_none() && again.find(&candidate("one more")).is_some());
    }

    #[test]
    fn what_cannot_be_read_counts_as_nothing_and_the_next_verdict_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = VerdictFile::read(folder.path());
        file.put(verdict("a", 1)).unwrap();
        let path = folder.path().join(FILE);
        let good = fs::read_to_string(&path).unwrap();
        let cases = [
            (good[..good.len() / 2].to_owned(), Unread::Damaged),
            (String::new(), Unread::Damaged),
            (good.replace("verdicts/1", "verdicts/2"), Unread::Newer),
            (good.replace("untried", "splendid"), Unread::Damaged),
            ("\u{0}".repeat(500), Unread::Damaged),
            (" ".repeat(2 << 20), Unread::Damaged),
        ];
        for (text, wanted) in cases {
            fs::write(&path, &text).unwrap();
            let (mut file, unread) = VerdictFile::read(folder.path());
            assert_eq!((file.all(), unread), (&[][..], Some(wanted)), "{}", &text[..text.len().min(80)]);
            file.put(verdict("b", 2)).unwrap();
            assert_eq!(VerdictFile::read(folder.path()).1, None);
        }
    }
}
