//! Bytes of a store that flip: `tests/flips` does the work, with a raw key and in one process, since a command and its passphrase
//! for each byte would take weeks. Every byte takes an optimised build; a sample does without.

use serde_json::Value;

use super::Outcome;
use super::ground::Ground;
use crate::cache::repository;
use crate::error::{Error, Result};
use crate::process;

/// Threads, each with a store of its own.
const THREADS: &str = "4";

/// Flips every `every`th byte of each file, and the first of each.
pub(super) fn run(ground: &Ground<'_>, every: u64) -> Result<Outcome> {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "snaptrak-flips"]);
    if every == 1 {
        cargo.arg("--release");
    }
    cargo.arg("--").args(["--every", &every.to_string(), "--threads", THREADS, "--folder"]).arg(&ground.folder);
    cargo.env("CARGO_INCREMENTAL", "0").current_dir(repository());
    let output = cargo.output().map_err(|source| Error::Start { program: "cargo".to_owned(), source })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let Some(counts) = said.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Failed { program: "snaptrak-flips".to_owned(), status: output.status.to_string(), said });
    };
    Ok(Outcome::judged(&counts, &[(output.status.success(), "a flipped byte gave a wrong answer or a panic")]))
}
