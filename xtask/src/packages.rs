//! The Kotlin and the Swift package: how each is built and told where everything is that Cargo built.
//!
//! Owns: the generated code's places and the commands of both tool-chains, which tests, listings and benches add to. Refuses to know
//! what they add.

pub(crate) mod kotlin;
pub(crate) mod swift;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::repository;
use crate::error::Result;
use crate::process;

/// Where Cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// Where the group `build` put the programs and the libraries.
pub(crate) fn built() -> PathBuf {
    target().join("debug")
}

/// Generates a language's code from the built library.
fn generate(language: &str) -> Result<PathBuf> {
    let folder = target().join("uniffi").join(language);
    generate_from("libsnaptrak_ffi.so", "snaptrak_ffi", language, &folder)?;
    Ok(folder)
}

/// Generates the code of the library with a window into itself, which stands on the other's.
fn generate_probe(language: &str) -> Result<PathBuf> {
    let folder = target().join("uniffi/probe").join(language);
    generate_from("libsnaptrak_probe.so", "snaptrak_probe", language, &folder)?;
    Ok(folder)
}

fn generate_from(library: &str, name: &str, language: &str, folder: &Path) -> Result<()> {
    let mut generator = Command::new(built().join("snaptrak-bindgen"));
    generator.args(["generate", "--no-format", "--language", language, "--crate", name]);
    generator.args(["--config", "bindings/ffi/uniffi.toml", "--out-dir"]).arg(folder).arg(built().join(library));
    process::run(generator.current_dir(repository())).map(drop)
}
