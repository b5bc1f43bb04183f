//! `cargo xtask models`: the inference runtime and the models, fetched and derived into the cache.
//!
//! Owns: what lies in `.cache/models` (the manifest and the files that it names, so that an application points at one
//! folder) and `.cache/runtime`. Knows of a model only where its file comes from and what it must be; tensors and decoders
//! are the inference crate's business. Everything is pinned in `models/manifest.json` and `models/runtime.json`.

mod sign;

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cache::{self, Cache, Pin};
use crate::error::{AtPath, Error, Result};
use crate::package::{Packages, Source};
use crate::python::{self, Set};
use crate::{process, terminal};

/// The arguments of `cargo xtask models`.
#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Fetch and derive what is missing (the default)
    Fetch,
    /// Say what there is and whether it is in the cache
    List,
    /// Make a key that signs manifests of models, for development
    Key(sign::Key),
    /// Sign a manifest of models, so that an organisation's devices accept it
    Sign(sign::Sign),
}

/// Of `models/manifest.json`, what fetching needs.
#[derive(Debug, Deserialize)]
struct Manifest {
    models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Model {
    id: String,
    task: String,
    licence: String,
    /// The model card, relative to the manifest.
    card: String,
    source: Source,
    variants: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
struct Variant {
    file: String,
    bytes: u64,
    sha256: String,
    /// A script that makes the file from the source; without it the source is the file.
    derived_by: Option<String>,
}

/// `models/runtime.json`: the inference library for each platform that has one in a package.
#[derive(Debug, Deserialize)]
struct Runtime {
    version: String,
    licence: String,
    file: String,
    builds: Vec<Build>,
}

#[derive(Debug, Deserialize)]
struct Build {
    os: String,
    arch: String,
    bytes: u64,
    source: Source,
}

/// Runs the command.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    match command.action.as_ref().unwrap_or(&Action::Fetch) {
        Action::Fetch => {
            ensure(cache)?;
            terminal::progress(&format!("the runtime and the models are in {}", cache.path("").display()));
            Ok(())
        }
        Action::List => list(cache),
        Action::Key(arguments) => sign::make_key(arguments),
        Action::Sign(arguments) => sign::sign(arguments),
    }
}

/// Brings the runtime and every model into the cache; does nothing for what is there.
pub(crate) fn ensure(cache: &Cache) -> Result<()> {
    let _filling = cache.filling()?;
    let mut packages = Packages::new(cache)?;
    ensure_runtime(cache, &mut packages)?;
    let folder = committed();
    let manifest: Manifest = read(&folder.join("manifest.json"))?;
    for model in &manifest.models {
        for variant in &model.variants {
            ensure_variant(model, variant, cache, &mut packages)?;
        }
    }
    for model in &manifest.models {
        place_committed(&model.card, cache)?;
    }
    // Last, so that a manifest in the cache never names a file that is not there yet.
    place_committed("manifest.json", cache)
}

/// Where the inference library of this platform lies once [`ensure`] has brought it.
pub(crate) fn runtime_library(cache: &Cache) -> Result<PathBuf> {
    let runtime: Runtime = read(&committed().join("runtime.json"))?;
    Ok(cache.path("runtime").join(&runtime.file))
}

fn ensure_runtime(cache: &Cache, packages: &mut Packages<'_>) -> Result<()> {
    let runtime: Runtime = read(&committed().join("runtime.json"))?;
    let build = runtime.build()?;
    let target = cache.path("runtime").join(&runtime.file);
    if cache::is(&target, Pin { bytes: build.bytes, sha256: &build.source.sha256 })? {
        return Ok(());
    }
    packages.bring(&build.source, &target)
}

fn ensure_variant(model: &Model, variant: &Variant, cache: &Cache, packages: &mut Packages<'_>) -> Result<()> {
    let target = cache.path("models").join(&variant.file);
    if cache::is(&target, Pin { bytes: variant.bytes, sha256: &variant.sha256 })? {
        return Ok(());
    }
    let Some(script) = &variant.derived_by else {
        return packages.bring(&model.source, &target);
    };
    let workspace = cache.workspace()?;
    let (source, derived) = (workspace.path().join("source"), workspace.path().join("derived"));
    packages.bring(&model.source, &source)?;
    terminal::progress(&format!("deriving {}", variant.file));
    let interpreter = python::ensure(Set::Tools, cache)?;
    process::run(Process::new(interpreter).arg(committed().join(script)).args([&source, &derived]))?;
    cache::verify(&derived, &variant.file, &variant.sha256)?;
    cache.place(&mut fs::File::open(&derived).at(&derived)?, &target)
}

/// Copies a committed file of `models/` beside the fetched ones.
fn place_committed(name: &str, cache: &Cache) -> Result<()> {
    let committed = committed().join(name);
    let wanted = fs::read(&committed).at(&committed)?;
    let target = cache.path("models").join(name);
    if fs::read(&target).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    cache.place(&mut wanted.as_slice(), &target)
}

fn list(cache: &Cache) -> Result<()> {
    let runtime: Runtime = read(&committed().join("runtime.json"))?;
    let build = runtime.build()?;
    let path = cache.path("runtime").join(&runtime.file);
    let pin = Pin { bytes: build.bytes, sha256: &build.source.sha256 };
    line(&format!("runtime {} ({})", runtime.version, runtime.licence), &path, pin)?;
    let manifest: Manifest = read(&committed().join("manifest.json"))?;
    for model in &manifest.models {
        for variant in &model.variants {
            let path = cache.path("models").join(&variant.file);
            let pin = Pin { bytes: variant.bytes, sha256: &variant.sha256 };
            line(&format!("{} {} ({})", model.task, model.id, model.licence), &path, pin)?;
        }
    }
    Ok(())
}

fn line(what: &str, path: &Path, pin: Pin<'_>) -> Result<()> {
    let state = if cache::is(path, pin)? { "present" } else { "missing" };
    terminal::result(&format!("{what}\n  {state} {}\n  {} bytes, sha256 {}", path.display(), pin.bytes, pin.sha256));
    Ok(())
}

impl Runtime {
    fn build(&self) -> Result<&Build> {
        self.builds.iter().find(|build| build.os == OS && build.arch == ARCH).ok_or_else(|| Error::Missing {
            what: format!("models/runtime.json names no build of the inference runtime for {OS} on {ARCH}"),
            next: "add one there with its package, path and digest".to_owned(),
        })
    }
}

fn committed() -> PathBuf {
    cache::repository().join("models")
}

/// Reads a committed description.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).at(path)?;
    serde_json::from_str(&text).map_err(|source| Error::Description { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_model_has_a_licence_a_card_and_a_script_that_exists() {
        let manifest: serde_json::Value = read(&committed().join("manifest.json")).unwrap();
        for model in manifest["models"].as_array().unwrap() {
            assert!(!model["licence"].as_str().unwrap().is_empty());
            assert!(committed().join(model["card"].as_str().unwrap()).is_file());
            for variant in model["variants"].as_array().unwrap() {
                let script = variant["derived_by"].as_str();
                assert!(script.is_none_or(|script| committed().join(script).is_file()));
            }
        }
    }

    #[test]
    fn a_file_that_is_not_derived_is_its_source() {
        let manifest: Manifest = read(&committed().join("manifest.json")).unwrap();
        for model in &manifest.models {
            for variant in model.variants.iter().filter(|variant| variant.derived_by.is_none()) {
                assert_eq!(variant.sha256, model.source.sha256, "{}", model.id);
            }
        }
    }

    #[test]
    fn the_runtime_is_pinned_for_linux_on_both_processors() {
        let runtime: Runtime = read(&committed().join("runtime.json")).unwrap();
        let builds: Vec<_> = runtime.builds.iter().map(|build| (build.os.as_str(), build.arch.as_str())).collect();
        assert_eq!(builds, [("linux", "x86_64"), ("linux", "aarch64")]);
    }
}
