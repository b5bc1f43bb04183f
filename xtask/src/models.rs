//! `cargo xtask models`: the inference runtimes and the models, fetched and derived into the cache.
//!
//! Owns: what lies in `.cache/models` (the manifest and the files that it names, so that an application points at one
//! folder) and `.cache/runtime`. Knows of a model only where its file comes from and what it must be; tensors and decoders
//! are the inference crate's business. Everything is pinned in `models/manifest.json` and `models/runtime.json`.

mod check;
pub(crate) mod devices;
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

/// The inference libraries, and their folder in the cache.
const RUNTIMES: &str = "runtime.json";
const RUNTIMES_FOLDER: &str = "runtime";

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
    /// Fetch what stands in for a GPU and an NPU in tests (x86-64 Debian)
    Devices,
    /// Run every model on every engine and accelerator that can be had here, and say how far their answers differ
    Check,
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
    engine: String,
    file: String,
    bytes: u64,
    sha256: String,
    /// A script that makes the file from the source; without it the source is the file.
    derived_by: Option<String>,
    /// Where this file comes from, if not from the model's source.
    source: Option<Source>,
}

/// `models/runtime.json` and `models/devices.json`: libraries, each for the platforms that have one in a package.
#[derive(Debug, Deserialize)]
struct Runtimes {
    runtimes: Vec<Runtime>,
}

#[derive(Debug, Deserialize)]
struct Runtime {
    engine: String,
    version: String,
    licence: String,
    /// Where it lies in its list's folder of the cache.
    file: String,
    /// Whether a platform may lack it: an accelerator's library, say, that there are no such accelerators for.
    #[serde(default)]
    optional: bool,
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
            terminal::progress(&format!("the runtimes and the models are in {}", cache.path("").display()));
            Ok(())
        }
        Action::List => list(cache),
        Action::Check => check::run(cache),
        Action::Devices => {
            devices::ensure(cache)?;
            terminal::progress(&format!("the devices are in {}", cache.path(devices::FOLDER).display()));
            Ok(())
        }
        Action::Key(arguments) => sign::make_key(arguments),
        Action::Sign(arguments) => sign::sign(arguments),
    }
}

/// Brings the runtimes and every model into the cache; does nothing for what is there.
pub(crate) fn ensure(cache: &Cache) -> Result<()> {
    let _filling = cache.filling()?;
    let mut packages = Packages::new(cache)?;
    ensure_runtimes(RUNTIMES, RUNTIMES_FOLDER, cache, &mut packages)?;
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

/// Prints the table of every engine and accelerator.
pub(crate) fn check(cache: &Cache) -> Result<()> {
    check::run(cache)
}

/// Where the library of the engine that is used by default lies once [`ensure`] has brought it.
pub(crate) fn runtime_library(cache: &Cache) -> Result<PathBuf> {
    let runtimes = Runtimes::read(RUNTIMES)?;
    let default = runtimes.runtimes.first().expect("models/runtime.json names the default engine's library first");
    Ok(default.path(cache, RUNTIMES_FOLDER))
}

/// Brings every library that a committed list names for this platform into a folder of the cache.
fn ensure_runtimes(list: &str, folder: &str, cache: &Cache, packages: &mut Packages<'_>) -> Result<()> {
    for runtime in Runtimes::read(list)?.runtimes {
        let target = runtime.path(cache, folder);
        let Some(build) = runtime.build()? else { continue };
        if !cache::is(&target, Pin { bytes: build.bytes, sha256: &build.source.sha256 })? {
            packages.bring(&build.source, &target)?;
        }
    }
    Ok(())
}

fn ensure_variant(model: &Model, variant: &Variant, cache: &Cache, packages: &mut Packages<'_>) -> Result<()> {
    let target = cache.path("models").join(&variant.file);
    if cache::is(&target, Pin { bytes: variant.bytes, sha256: &variant.sha256 })? {
        return Ok(());
    }
    let from = variant.source.as_ref().unwrap_or(&model.source);
    let Some(script) = &variant.derived_by else {
        return packages.bring(from, &target);
    };
    let workspace = cache.workspace()?;
    let (source, derived) = (workspace.path().join("source"), workspace.path().join("derived"));
    packages.bring(from, &source)?;
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
    for runtime in Runtimes::read(RUNTIMES)?.runtimes {
        let Some(build) = runtime.build()? else { continue };
        let pin = Pin { bytes: build.bytes, sha256: &build.source.sha256 };
        let what = format!("runtime {} {} ({})", runtime.engine, runtime.version, runtime.licence);
        line(&what, &runtime.path(cache, RUNTIMES_FOLDER), pin)?;
    }
    let manifest: Manifest = read(&committed().join("manifest.json"))?;
    for model in &manifest.models {
        for variant in &model.variants {
            let path = cache.path("models").join(&variant.file);
            let pin = Pin { bytes: variant.bytes, sha256: &variant.sha256 };
            let what = format!("{} {} for {} ({})", model.task, model.id, variant.engine, model.licence);
            line(&what, &path, pin)?;
        }
    }
    Ok(())
}

fn line(what: &str, path: &Path, pin: Pin<'_>) -> Result<()> {
    let state = if cache::is(path, pin)? { "present" } else { "missing" };
    terminal::result(&format!("{what}\n  {state} {}\n  {} bytes, sha256 {}", path.display(), pin.bytes, pin.sha256));
    Ok(())
}

impl Runtimes {
    fn read(list: &str) -> Result<Self> {
        read(&committed().join(list))
    }
}

impl Runtime {
    fn path(&self, cache: &Cache, folder: &str) -> PathBuf {
        cache.path(folder).join(&self.file)
    }

    /// The build for this platform; `None` if there may be none and is none.
    fn build(&self) -> Result<Option<&Build>> {
        let build = self.builds.iter().find(|build| build.os == OS && build.arch == ARCH);
        if build.is_none() && !self.optional {
            return Err(Error::Missing {
                what: format!("models/runtime.json names no build of {} for {OS} on {ARCH}", self.file),
                next: "add one there with its package, path and digest".to_owned(),
            });
        }
        Ok(build)
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
                let from = variant.source.as_ref().unwrap_or(&model.source);
                assert_eq!(variant.sha256, from.sha256, "{}", model.id);
            }
        }
    }

    #[test]
    fn every_runtime_that_is_needed_is_pinned_for_linux_on_both_processors() {
        let runtimes = Runtimes::read(RUNTIMES).unwrap().runtimes;
        assert_eq!(runtimes[0].engine, "ort", "the default engine's comes first");
        assert!(runtimes.iter().any(|runtime| runtime.engine == "tflite" && !runtime.optional));
        for runtime in runtimes.iter().filter(|runtime| !runtime.optional) {
            let builds: Vec<_> = runtime.builds.iter().map(|build| (build.os.as_str(), build.arch.as_str())).collect();
            assert_eq!(builds, [("linux", "x86_64"), ("linux", "aarch64")], "{}", runtime.file);
        }
    }
}
