//! What apps get: the native library, the façade's listing, and the Kotlin and Swift packages, each by its own runner.
//!
//! Owns: what belongs to each group. Refuses to know what a test checks. Where a tool-chain cannot be had, the group says why and
//! counts as skipped.

use super::tally::{self, Counts};
use crate::api::{self, Language};
use crate::cache::Cache;
use crate::error::Result;
use crate::packages::{built, kotlin, swift};
use crate::{library, process, terminal};

/// What a group came to.
pub(super) enum Outcome {
    /// It ran.
    Ran { succeeded: bool, counts: Counts },
    /// This machine cannot run it.
    Skipped { why: String },
}

impl Outcome {
    fn of(counts: Counts) -> Self {
        Self::Ran { succeeded: counts.failed == 0, counts }
    }
}

/// The native library as it is shipped.
pub(super) fn library(_: &Cache) -> Result<Outcome> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let why = "its figures are those of x86-64 Linux".to_owned();
        return Ok(Outcome::Skipped { why });
    }
    let checks = library::checked()?;
    Ok(Outcome::of(checks.iter().map(|check| Counts::one(check.wrong.is_empty())).fold(Counts::default(), Counts::and)))
}

/// The façade's listing.
pub(super) fn api(cache: &Cache) -> Result<Outcome> {
    Ok(Outcome::of(Counts::one(api::holds(Language::Rust, cache)?)))
}

/// The Kotlin library on the desktop's JVM, its listing and its reference.
pub(super) fn kotlin(cache: &Cache) -> Result<Outcome> {
    let (succeeded, counts) = tally::run(kotlin::maven(cache, &built())?.arg("test"))?;
    if !succeeded {
        return Ok(Outcome::Ran { succeeded, counts });
    }
    let reference = process::run(kotlin::maven(cache, &built())?.arg("dokka:dokka"));
    if let Err(error) = &reference {
        terminal::failure(error);
    }
    let holds = api::holds(Language::Kotlin, cache)?;
    Ok(Outcome::of(counts.and(Counts::one(reference.is_ok())).and(Counts::one(holds))))
}

/// The Swift package on Linux, and its listing.
pub(super) fn swift(cache: &Cache) -> Result<Outcome> {
    if let Some(why) = swift::obstacle() {
        return Ok(Outcome::Skipped { why });
    }
    swift::prepare(cache)?;
    let (succeeded, counts) = tally::run(&mut swift::test(cache, &built()))?;
    let (probed, of_the_probe) = tally::run(&mut swift::probe(cache, "debug")?)?;
    let holds = api::holds(Language::Swift, cache)?;
    let counts = counts.and(of_the_probe).and(Counts::one(holds));
    Ok(Outcome::Ran { succeeded: succeeded && probed && holds, counts })
}
