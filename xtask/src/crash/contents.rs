//! What lies in a folder, to compare it with itself later or with another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::error::{AtPath, Result};

/// Every file of a folder, by its path in it, with the digest of its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents(BTreeMap<PathBuf, String>);

impl Contents {
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut left = vec![folder.to_owned()];
        while let Some(path) = left.pop() {
            for entry in fs::read_dir(&path).at(&path)? {
                let path = entry.at(&path)?.path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                    files.insert(name, cache::sha256(&path)?);
                }
            }
        }
        Ok(Self(files))
    }

    /// The first path that is not the same in both.
    pub(super) fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a Path> {
        let all = self.0.keys().chain(other.0.keys());
        all.into_iter().find(|path| self.0.get(*path) != other.0.get(*path)).map(PathBuf::as_path)
    }

    /// The sealed pieces of a store by asset and name, wherever in the store the asset lies.
    pub(super) fn pieces(&self) -> BTreeMap<PathBuf, &str> {
        let is_piece = |path: &Path| path.extension().is_some_and(|end| end == "piece");
        let pieces = self.0.iter().filter(|(path, _)| is_piece(path));
        pieces.filter_map(|(path, sha256)| Some((asset_and_name(path)?, sha256.as_str()))).collect()
    }
}

fn asset_and_name(path: &Path) -> Option<PathBuf> {
    Some(Path::new(path.parent()?.file_name()?).join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_piece_is_known_wherever_its_asset_lies_and_a_changed_byte_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("one/incoming/a/0.piece", "bytes");
        write("one/incoming/a/envelope.json", "bytes");
        write("two/assets/0a/a/0.piece", "bytes");
        let [one, two] = ["one", "two"].map(|name| Contents::of(&folder.path().join(name)).unwrap());
        assert_eq!(one.pieces(), two.pieces());
        assert_eq!(one.pieces().len(), 1);
        assert_eq!(one.difference(&one), None);
        assert!(one.difference(&two).is_some());
        write("one/incoming/a/envelope.json", "other");
        let changed = Contents::of(&folder.path().join("one")).unwrap();
        assert_eq!(one.difference(&changed), Some(Path::new("incoming/a/envelope.json")));
    }
}
