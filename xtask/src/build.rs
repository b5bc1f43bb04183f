//! Builds the SDK's two programs.

use std::path::PathBuf;

use snaptrak_driver::Programs;

use crate::cache::repository;
use crate::error::{Error, Result};
use crate::{process, terminal};

/// The built programs; `SNAPTRAK_BINARIES` names a folder that holds them already (relative to the repository's root).
pub(crate) fn programs() -> Result<Programs> {
    if let Some(folder) = std::env::var_os("SNAPTRAK_BINARIES") {
        return Ok(Programs::in_folder(repository().join(folder)));
    }
    terminal::progress("building snaptrak and snaptrak-server (the first time takes some minutes)");
    let mut cargo = process::cargo();
    cargo.args(["build", "--locked", "--package", "snaptrak-cli", "--package", "snaptrak-server"]);
    cargo.env("CARGO_INCREMENTAL", "0").current_dir(repository());
    let status = cargo.status().map_err(|source| Error::Start { program: "cargo".to_owned(), source })?;
    if !status.success() {
        let said = "read the compiler's words above".to_owned();
        return Err(Error::Failed { program: "cargo build".to_owned(), status: status.to_string(), said });
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    Ok(Programs::in_folder(target.join("debug")))
}
