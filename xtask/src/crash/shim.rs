//! Libraries that stand between a program and the C library, compiled from the C files of `tests/faults`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::ground::Ground;
use crate::cache::repository;
use crate::error::Result;
use crate::process;

/// Compiles `tests/faults/NAME.c`; `Err` with the reason where the loader takes no such library.
pub(super) fn compile(ground: &Ground<'_>, name: &str) -> Result<std::result::Result<PathBuf, String>> {
    if !cfg!(target_os = "linux") {
        return Ok(Err("needs the loader of Linux (LD_PRELOAD)".to_owned()));
    }
    let source = repository().join("tests/faults").join(name).with_extension("c");
    let library = ground.folder.join(name).with_extension("so");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    process::run(&mut cc)?;
    Ok(Ok(library))
}

/// The store as programs see it: what a library compares paths with.
pub(super) fn canonical(store: &Path) -> PathBuf {
    store.canonicalize().unwrap_or_else(|_| store.to_owned())
}
