//! What is captured in the trials, and what was acknowledged of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ground::Chance;
use crate::error::{AtPath, Error, Result};

/// Files to capture, each with a content of its own: real photos with a tail that no decoder reads, and generated ones.
/// What is there twice in a store was then taken in twice.
pub(super) struct Sources {
    folder: PathBuf,
    photos: Vec<PathBuf>,
    generated_bytes_max: u64,
    made: u64,
}

impl Sources {
    pub(super) fn new(work: &Path, photos: Vec<PathBuf>, generated_bytes_max: u64) -> Result<Self> {
        let folder = work.join("sources");
        fs::create_dir_all(&folder).at(&folder)?;
        Ok(Self { folder, photos, generated_bytes_max, made: 0 })
    }

    /// Some files for one command.
    pub(super) fn choose(&mut self, chance: &mut Chance) -> Result<Vec<PathBuf>> {
        (0..3 + chance.below(5)).map(|_| self.one(chance)).collect()
    }

    /// A real photo, in which something is found.
    pub(super) fn photo(&self) -> Result<PathBuf> {
        let next = "cargo xtask pictures".to_owned();
        let photo = self.photos.iter().find(|path| path.extension().is_some_and(|end| end == "jpg"));
        photo.cloned().ok_or_else(|| Error::Missing { what: "there are no pictures".to_owned(), next })
    }

    /// One file.
    pub(super) fn one(&mut self, chance: &mut Chance) -> Result<PathBuf> {
        self.made += 1;
        let file = self.folder.join(format!("{}.dat", self.made));
        let own = format!("file {} of this trial", self.made).into_bytes();
        let bytes = if chance.below(3) == 0 && !self.photos.is_empty() {
            let photo = &self.photos[chance.below(self.photos.len() as u64) as usize];
            let mut bytes = fs::read(photo).at(photo)?;
            bytes.extend(own);
            bytes
        } else {
            let mut bytes = own;
            let length = chance.below(self.generated_bytes_max).max(bytes.len() as u64);
            bytes.resize(length as usize, chance.below(256) as u8);
            bytes
        };
        fs::write(&file, bytes).at(&file)?;
        Ok(file)
    }
}

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Acknowledged {
    /// Captures: id and digest.
    captures: BTreeMap<String, String>,
    /// How many captures `purge` said that it had purged. It names none; nothing but `fetch` brings one of them back.
    purged: u64,
}

impl Acknowledged {
    /// Reads a line of `capture --jsonl`, or the one object of `note`, `record` and `purge`; a line that was cut off
    /// acknowledged nothing.
    pub(super) fn add(&mut self, line: &str) {
        let Ok(answer) = serde_json::from_str::<Value>(line) else { return };
        self.purged += answer["purged"].as_u64().unwrap_or_default();
        for capture in answer["captures"].as_array().into_iter().flatten() {
            if let (Some(id), Some(sha256)) = (capture["id"].as_str(), capture["sha256"].as_str()) {
                self.hold(id, sha256);
            }
        }
    }

    /// Reads many lines.
    pub(super) fn add_all<'a>(&mut self, lines: impl IntoIterator<Item = &'a String>) {
        lines.into_iter().for_each(|line| self.add(line));
    }

    /// Counts a capture that a trial found as one that must not be lost from here on.
    pub(super) fn hold(&mut self, id: &str, sha256: &str) {
        self.captures.insert(id.to_owned(), sha256.to_owned());
    }

    /// Takes over what others were told.
    pub(super) fn merge(&mut self, other: Self) {
        self.captures.extend(other.captures);
        self.purged += other.purged;
    }

    /// The last ones that were made; ids begin with the time.
    pub(super) fn newest(&self, count: usize) -> Self {
        let newest = self.captures.iter().rev().take(count).map(|(id, sha256)| (id.clone(), sha256.clone()));
        Self { captures: newest.collect(), purged: self.purged }
    }

    /// How many captures there are.
    pub(super) fn len(&self) -> usize {
        self.captures.len()
    }

    /// How many captures were said to be purged.
    pub(super) fn purged(&self) -> u64 {
        self.purged
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.captures.iter().map(|(id, sha256)| (id.as_str(), sha256.as_str()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_printed_whole_was_acknowledged_and_nothing_else() {
        let mut acknowledged = Acknowledged::default();
        acknowledged.add(r#"{"captures":[{"id":"a","sha256":"1"},{"id":"b","sha256":"2"}],"refused":[]}"#);
        acknowledged.add(r#"{"purged":2,"freed_bytes":10,"kept":[],"kept_count":0}"#);
        acknowledged.add(r#"{"captures":[{"id":"c","sha2"#);
        acknowledged.add(r#"{"purged":1,"freed_by"#);
        assert_eq!(acknowledged.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(acknowledged.purged(), 2);
        let newest = acknowledged.newest(1);
        assert_eq!(newest.iter().collect::<Vec<_>>(), [("b", "2")]);
    }
}
