//! `cargo xtask bench GROUP`: builds the bench in the release profile and runs it.

mod ffi;

use std::path::PathBuf;

use crate::cache::{Cache, repository};
use crate::error::{Error, Result};
use crate::python::{self, Set};
use crate::{models, prerequisites, process, terminal};

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// What to measure (store; inference: both engines beside Python; ffi: what a call costs from Kotlin and Swift)
    group: String,
    /// Write the rows to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the ratios into this file as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Rounds of each pair
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only the rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Captures of the large store that is put beside one of a thousand; 100000 is the quick form
    #[arg(long, default_value_t = 1_000_000)]
    captures: usize,
    /// Folder on the file system to measure
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Runs the bench.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    prerequisites::ensure()?;
    if command.group == "ffi" {
        return ffi::run(command.json.as_deref(), &command.only, cache);
    }
    terminal::progress("building the bench in the release profile (the first time takes some minutes)");
    let mut bench = process::cargo();
    bench.args(["run", "--quiet", "--release", "--locked", "--package", "snaptrak-bench", "--", &command.group]);
    bench.args(["--rounds", &command.rounds.to_string(), "--only", &command.only]);
    bench.args(["--captures", &command.captures.to_string()]);
    let mut folder = command.folder.clone();
    if command.group == "inference" {
        models::ensure(cache)?;
        python::interpreter(Set::Tools, cache)?;
        folder = Some(cache.path(""));
    }
    for (name, path) in [("--json", &command.json), ("--plot", &command.plot), ("--folder", &folder)] {
        if let Some(path) = path {
            // The bench runs at the repository's root; the path was meant from here.
            let path = std::path::absolute(path).map_err(|source| Error::File { path: path.clone(), source })?;
            bench.arg(name).arg(path);
        }
    }
    let status = bench
        .current_dir(repository())
        .status()
        .map_err(|source| Error::Start { program: "cargo".to_owned(), source })?;
    if status.success() {
        return if command.group == "inference" { models::check(cache) } else { Ok(()) };
    }
    let said = "read the words above".to_owned();
    Err(Error::Failed { program: "the bench".to_owned(), status: status.to_string(), said })
}
