//! The proof that the server holds the same bytes, without our client: download, open with other people's libraries, compare
//! with the digests that the device took at capture.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use snaptrak_driver::{Programs, Server};

use crate::cache::{Cache, repository};
use crate::error::{Error, Result};
use crate::process;
use crate::python::{self, Set};

/// How many captures did not come back byte for byte.
pub(super) fn lost(
    cache: &Cache,
    programs: &Programs,
    server: &Server,
    work: &Path,
    email: &str,
    shown: &[Value],
) -> Result<u64> {
    let python = python::interpreter(Set::Judges, cache)?;
    let interop = repository().join("tests/interop");
    let (downloaded, key, opened) = (work.join("downloaded"), work.join("upload-key.json"), work.join("opened"));
    let mut export = Command::new(programs.server());
    export.args(["export-upload-key", "--yes", "--data"]).arg(&server.data).arg("-o").arg(&key);
    process::run(&mut export)?;
    let mut download = Command::new(&python);
    download
        .arg(interop.join("download_sealed.py"))
        .arg(&server.url)
        .arg(email)
        .arg(work.join("password"))
        .arg(&downloaded);
    process::run(&mut download)?;
    let mut open = Command::new(&python);
    open.arg(interop.join("open_store.py")).arg(&downloaded).arg(&key).arg(&opened);
    process::run(&mut open)?;

    let mut lost = 0;
    for shown in shown {
        let original = shown["assets"]
            .as_array()
            .and_then(|assets| assets.iter().find(|asset| asset["rendition"] == "original"))
            .cloned()
            .unwrap_or(Value::Null);
        lost += u64::from(!came_back(&original, &opened)?);
    }
    Ok(lost)
}

/// Whether the opened file of this asset has the digest that the device took.
fn came_back(original: &Value, opened: &Path) -> Result<bool> {
    let (Some(asset), Some(sha256)) = (original["asset_id"].as_str(), original["sha256"].as_str()) else {
        return Ok(false);
    };
    let names: BTreeSet<_> = std::fs::read_dir(opened)
        .map_err(|source| Error::File { path: opened.to_owned(), source })?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    for path in names {
        if path.file_stem().is_some_and(|stem| stem == asset) {
            return Ok(crate::cache::sha256(&path)? == sha256);
        }
    }
    Ok(false)
}
