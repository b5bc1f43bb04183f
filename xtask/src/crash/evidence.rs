//! What is captured in the trials, and what was acknowledged of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ground::Chance;
use crate::error::{AtPath, Result};

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

/// Captures that were acknowledged: id and digest.
#[derive(Default)]
pub(super) struct Acknowledged(BTreeMap<String, String>);

impl Acknowledged {
    /// Reads a line of `capture --jsonl`, or the one object of `note` and `record`; a line that was cut off acknowledged
    /// nothing.
    pub(super) fn add(&mut self, line: &str) {
        let Ok(answer) = serde_json::from_str::<Value>(line) else { return };
        for capture in answer["captures"].as_array().into_iter().flatten() {
            if let (Some(id), Some(sha256)) = (capture["id"].as_str(), capture["sha256"].as_str()) {
                self.0.insert(id.to_owned(), sha256.to_owned());
            }
        }
    }

    /// Reads many lines.
    pub(super) fn add_all<'a>(&mut self, lines: impl IntoIterator<Item = &'a String>) {
        lines.into_iter().for_each(|line| self.add(line));
    }

    /// Counts a capture that a trial found as one that must not be lost from here on.
    pub(super) fn hold(&mut self, id: &str, sha256: &str) {
        self.0.insert(id.to_owned(), sha256.to_owned());
    }

    /// Whether it is among them.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Takes over what others were told.
    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The last ones that were made; ids begin with the time.
    pub(super) fn newest(&self, count: usize) -> Self {
        Self(self.0.iter().rev().take(count).map(|(id, sha256)| (id.clone(), sha256.clone())).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, sha256)| (id.as_str(), sha256.as_str()))
    }
}
