//! `cargo xtask library`: the native library as apps ship it, and what must be true of it.
//!
//! Owns: that it is built, linked, looked at and measured in this order. Fails with every check that does not hold, each with what
//! to do next; a library that fails a check is left where it is, to be looked at.

mod link;
mod map;
mod size;
mod symbols;

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::{packages, prerequisites, terminal};

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// Accept its size as the one that later ones are compared with
    #[arg(long)]
    accept: bool,
}

/// A check and what it found wrong.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) wrong: Vec<String>,
}

/// Builds and checks it.
pub(crate) fn run(command: &Command) -> Result<()> {
    prerequisites::ensure()?;
    let linked = link::library()?;
    if command.accept {
        size::accept(&linked)?;
    }
    match check(&linked)?.iter().map(|check| check.wrong.len()).sum::<usize>() {
        0 => Ok(()),
        wrong => Err(Error::Missing {
            what: format!("{wrong} things are wrong with the native library"),
            next: "read the lines above that begin with `wrong`".to_owned(),
        }),
    }
}

/// Builds it for the gate; the checks and what they found.
pub(crate) fn checked() -> Result<Vec<Check>> {
    check(&link::library()?)
}

/// The folder of the library as it is shipped, where it has been built.
pub(crate) fn built() -> Option<PathBuf> {
    let folder = link::folder();
    folder.join(link::NAME).is_file().then_some(folder)
}

fn check(linked: &link::Linked) -> Result<Vec<Check>> {
    let mut checks = symbols::check(&linked.stripped, built_for_tests().as_deref())?;
    checks.push(size::check(linked)?);
    for check in &checks {
        for wrong in &check.wrong {
            terminal::result(&format!("wrong, {}: {wrong}", check.name));
        }
    }
    Ok(checks)
}

/// The library of the development profile, where it was built: the one that the generator reads.
fn built_for_tests() -> Option<PathBuf> {
    Some(packages::built().join(link::NAME)).filter(|library| library.is_file())
}
