//! `cargo xtask api`: what apps can call, written down, so that a change of it is seen and accepted by a person.
//!
//! Owns: where each language's listing lies and how a difference is shown. How a listing is made is each language's own affair:
//! Kotlin's by its compiler's tools, Swift's from its symbol graph, Rust's from rustdoc. A listing that differs is shown as a diff
//! from what was accepted, with the command that accepts it.

mod kotlin;
mod rust;
mod semver;
mod swift;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use crate::cache::{Cache, repository};
use crate::error::{AtPath, Error, Result};
use crate::{packages, terminal};

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// Take today's listings as what is accepted
    #[arg(long)]
    accept: bool,
    /// Promise today's façade under today's version: what later breaks programs needs another version
    #[arg(long)]
    promise: bool,
    /// Only these languages (kotlin, swift, rust)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// Whose listing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// The package of `bindings/kotlin`.
    Kotlin,
    /// The package of `bindings/swift`.
    Swift,
    /// The façade that both, and the command line, are made of.
    Rust,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Kotlin, Self::Swift];

    fn name(self) -> &'static str {
        match self {
            Self::Kotlin => "kotlin",
            Self::Swift => "swift",
            Self::Rust => "rust",
        }
    }

    fn accepted(self) -> PathBuf {
        repository().join(match self {
            Self::Kotlin => "bindings/kotlin/api/snaptrak.api",
            Self::Swift => "bindings/swift/api/snaptrak.txt",
            Self::Rust => "core/sdk/api/snaptrak.txt",
        })
    }
}

/// Makes and compares the listings.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    let wanted =
        |language: &Language| command.only.is_empty() || command.only.iter().any(|only| only == language.name());
    let mut differ = Vec::new();
    for language in Language::ALL.into_iter().filter(wanted) {
        let listing = match language {
            Language::Kotlin => kotlin::make(cache)?,
            Language::Swift => swift::make(cache)?,
            Language::Rust => rust::listing()?,
        };
        if command.promise && language == Language::Rust {
            semver::promise_anew(&listing)?;
        }
        if command.accept {
            write(&language.accepted(), &listing)?;
        } else if !holds_as(language, &listing)? {
            differ.push(language.name());
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(Error::Missing {
        what: format!("the API of {} is not what was accepted", differ.join(", ")),
        next: format!("undo the change, or `cargo xtask api --accept --only {}`", differ.join(" --only ")),
    })
}

/// Whether the listing that a language's tests left behind, or that can be made from what they built, is what was accepted; shows
/// the difference.
pub(crate) fn holds(language: Language, cache: &Cache) -> Result<bool> {
    let listing = match language {
        Language::Kotlin => kotlin::left_behind()?,
        Language::Swift => swift::listing(cache)?,
        Language::Rust => rust::listing()?,
    };
    holds_as(language, &listing)
}

fn holds_as(language: Language, listing: &str) -> Result<bool> {
    // Both, so that both are told.
    let accepted = is_accepted(language, listing)?;
    Ok((language != Language::Rust || semver::holds(listing)?) && accepted)
}

fn is_accepted(language: Language, listing: &str) -> Result<bool> {
    let accepted = language.accepted();
    if fs::read_to_string(&accepted).is_ok_and(|accepted| accepted == listing) {
        return Ok(true);
    }
    let found = packages::target().join("api").join(language.name());
    write(&found, listing)?;
    let mut diff = Process::new("git");
    diff.args(["--no-pager", "diff", "--no-index", "--no-color"]).arg(&accepted).arg(&found);
    let shown = diff.output().map_err(|source| Error::Start { program: "git".to_owned(), source })?;
    terminal::result(String::from_utf8_lossy(&shown.stdout).trim_end());
    terminal::result(&format!(
        "the API of {0} is not what was accepted; if it is meant: cargo xtask api --accept --only {0}",
        language.name()
    ));
    Ok(false)
}

fn write(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().expect("a listing lies in a folder");
    fs::create_dir_all(folder).at(folder)?;
    fs::write(file, text).at(file)
}
