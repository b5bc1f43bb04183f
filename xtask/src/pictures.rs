//! `cargo xtask pictures`: sample pictures of clear rights and malformed files, fetched and derived into the cache.
//!
//! Owns: what lies in `.cache/pictures` and `.cache/malformed`. What each file is, where it comes from, whose it is and
//! under which licence stands in `tests/pictures/pictures.json`; nothing of it is committed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::cache::{self, Cache, Pin};
use crate::error::{AtPath, Result};
use crate::models::read;
use crate::package::{Packages, Source};
use crate::python::{self, Set};
use crate::{process, terminal};

/// The arguments of `cargo xtask pictures`.
#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Copy, Subcommand)]
enum Action {
    /// Fetch and derive what is missing (the default)
    Fetch,
    /// Say what there is, whose it is, and whether it is in the cache
    List,
}

/// `tests/pictures/pictures.json`.
#[derive(Debug, Deserialize)]
struct Collection {
    pictures: Vec<Picture>,
    malformed: Vec<Picture>,
}

/// One file.
#[derive(Debug, Deserialize)]
struct Picture {
    file: String,
    licence: String,
    author: String,
    bytes: u64,
    sha256: String,
    #[serde(flatten)]
    origin: Origin,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    /// As it lies in a package.
    Source(Source),
    /// Made here by `tests/pictures/derive.py`.
    Derived(Derived),
}

#[derive(Debug, Deserialize)]
struct Derived {
    /// The script's name for what is made.
    recipe: String,
    /// The file it is made from, relative to the cache; it is fetched before.
    from: Option<String>,
}

/// Runs the command.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    match command.action.unwrap_or(Action::Fetch) {
        Action::Fetch => {
            ensure(cache)?;
            let folders = ["pictures", "malformed"].map(|name| cache.path(name).display().to_string());
            terminal::progress(&format!("the files are in {}", folders.join(" and ")));
            Ok(())
        }
        Action::List => list(cache),
    }
}

/// Brings every file into the cache; does nothing for what is there.
pub(crate) fn ensure(cache: &Cache) -> Result<()> {
    let _filling = cache.filling()?;
    let mut packages = Packages::new(cache)?;
    for (folder, pictures) in folders(cache)? {
        for picture in &pictures {
            picture.ensure(&folder, cache, &mut packages)?;
        }
        remove_others(&folder, &pictures)?;
    }
    Ok(())
}

/// The sample pictures (and the video) once [`ensure`] has brought them, in the order of their list.
pub(crate) fn files(cache: &Cache) -> Result<Vec<PathBuf>> {
    let collection: Collection = read(&committed().join("pictures.json"))?;
    Ok(collection.pictures.iter().map(|picture| cache.path("pictures").join(&picture.file)).collect())
}

impl Picture {
    fn ensure(&self, folder: &Path, cache: &Cache, packages: &mut Packages<'_>) -> Result<()> {
        let target = folder.join(&self.file);
        if cache::is(&target, Pin { bytes: self.bytes, sha256: &self.sha256 })? {
            return Ok(());
        }
        match &self.origin {
            Origin::Source(source) => packages.bring(source, &target),
            Origin::Derived(derived) => self.derive(derived, &target, cache),
        }
    }

    fn derive(&self, derived: &Derived, target: &Path, cache: &Cache) -> Result<()> {
        terminal::progress(&format!("deriving {}", self.file));
        let workspace = cache.workspace()?;
        let made = workspace.path().join("made");
        let mut script = Process::new(python::ensure(Set::Tools, cache)?);
        script.arg(committed().join("derive.py")).arg(&derived.recipe).arg(&made);
        script.args(derived.from.iter().map(|from| cache.path(from)));
        process::run(&mut script)?;
        cache::verify(&made, &self.file, &self.sha256)?;
        cache.place(&mut File::open(&made).at(&made)?, target)
    }
}

/// A file that the list once named would still be taken for a sample by whoever reads the folder.
fn remove_others(folder: &Path, pictures: &[Picture]) -> Result<()> {
    for entry in fs::read_dir(folder).at(folder)? {
        let path = entry.at(folder)?.path();
        if !pictures.iter().any(|picture| path.ends_with(&picture.file)) {
            terminal::progress(&format!("removing {}", path.display()));
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

fn list(cache: &Cache) -> Result<()> {
    for (folder, pictures) in folders(cache)? {
        for picture in &pictures {
            let path = folder.join(&picture.file);
            let present = cache::is(&path, Pin { bytes: picture.bytes, sha256: &picture.sha256 })?;
            let state = if present { "present" } else { "missing" };
            terminal::result(&format!("{state} {} ({}; {})", path.display(), picture.author, picture.licence));
        }
    }
    Ok(())
}

fn folders(cache: &Cache) -> Result<[(PathBuf, Vec<Picture>); 2]> {
    let collection: Collection = read(&committed().join("pictures.json"))?;
    Ok([(cache.path("pictures"), collection.pictures), (cache.path("malformed"), collection.malformed)])
}

fn committed() -> PathBuf {
    cache::repository().join("tests/pictures")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    fn collection() -> Collection {
        read(&committed().join("pictures.json")).unwrap()
    }

    #[test]
    fn every_file_has_a_name_of_its_own_an_owner_and_a_licence() {
        let Collection { pictures, malformed } = collection();
        for set in [&pictures, &malformed] {
            let names: HashSet<_> = set.iter().map(|picture| &picture.file).collect();
            assert_eq!(names.len(), set.len());
            assert!(set.iter().all(|picture| !picture.licence.is_empty() && !picture.author.is_empty()));
        }
    }

    #[test]
    fn the_digest_of_a_file_from_a_package_is_said_once() {
        let Collection { pictures, malformed } = collection();
        for picture in pictures.iter().chain(&malformed) {
            if let Origin::Source(source) = &picture.origin {
                assert_eq!(source.sha256, picture.sha256, "{}", picture.file);
            }
        }
    }

    #[test]
    fn what_a_picture_is_derived_from_stands_before_it() {
        let Collection { pictures, malformed } = collection();
        let mut before = HashSet::new();
        for (folder, set) in [("pictures", pictures), ("malformed", malformed)] {
            for picture in set {
                if let Origin::Derived(Derived { from: Some(from), .. }) = &picture.origin {
                    assert!(before.contains(from), "{}", picture.file);
                }
                before.insert(format!("{folder}/{}", picture.file));
            }
        }
    }

    #[test]
    fn a_file_that_is_no_longer_named_goes() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = collection().pictures;
        let named = folder.path().join(&pictures[0].file);
        fs::write(&named, b"").unwrap();
        fs::write(folder.path().join("old.jpg"), b"").unwrap();
        remove_others(folder.path(), &pictures).unwrap();
        assert!(named.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_demonstration_has_enough_of_every_kind() {
        let pictures = collection().pictures;
        let photos = pictures.iter().filter(|picture| !picture.file.ends_with(".mp4")).count();
        assert!(photos >= 20, "{photos}");
        for ending in [".jpg", ".png", ".webp", ".heic", ".mp4"] {
            assert!(pictures.iter().any(|picture| picture.file.ends_with(ending)), "{ending}");
        }
    }
}
