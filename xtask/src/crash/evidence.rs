//! What is captured in the trial, and what was acknowledged of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::kill::Chance;
use crate::error::{AtPath, Result};

/// Generated files are up to this long: most fit into a few segments, some need several pieces' worth of time to send.
const GENERATED_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// Files to capture: real photos, and generated ones whose content is new each round.
pub(super) struct Sources {
    folder: PathBuf,
    photos: Vec<PathBuf>,
}

impl Sources {
    pub(super) fn new(work: &Path, photos: &[PathBuf]) -> Result<Self> {
        let folder = work.join("sources");
        fs::create_dir_all(&folder).at(&folder)?;
        Ok(Self { folder, photos: photos.to_vec() })
    }

    /// Some files for one round.
    pub(super) fn choose(&self, chance: &mut Chance, round: u64) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for number in 0..3 + chance.below(5) {
            if chance.below(3) == 0 {
                let index = chance.below(self.photos.len() as u64) as usize;
                files.push(self.photos[index].clone());
            } else {
                let file = self.folder.join(format!("{round}-{number}.dat"));
                let length = chance.below(GENERATED_BYTES_MAX).max(1);
                let mut bytes = format!("round {round} file {number} ").into_bytes();
                bytes.resize(length.max(bytes.len() as u64) as usize, chance.below(256) as u8);
                fs::write(&file, bytes).at(&file)?;
                files.push(file);
            }
        }
        Ok(files)
    }
}

/// Captures that were acknowledged: id and digest.
#[derive(Default)]
pub(super) struct Acknowledged(BTreeMap<String, String>);

impl Acknowledged {
    /// Reads a line of `capture --jsonl`; a line that was cut off acknowledged nothing.
    pub(super) fn add(&mut self, line: &str) {
        let Ok(answer) = serde_json::from_str::<Value>(line) else { return };
        for capture in answer["captures"].as_array().into_iter().flatten() {
            if let (Some(id), Some(sha256)) = (capture["id"].as_str(), capture["sha256"].as_str()) {
                self.0.insert(id.to_owned(), sha256.to_owned());
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, sha256)| (id.as_str(), sha256.as_str()))
    }
}
