//! Runs the Python judges of this folder. Included by path (`#[path = ".../tests/interop/judges.rs"] mod judges;`) in each test
//! that needs them, so that no crate has to exist for it.
//!
//! A missing interpreter fails the test: a judge that is skipped in silence judges nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a judge said.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The JSON object that it printed.
    pub(crate) said: serde_json::Value,
    /// It exited with 0: nothing failed.
    pub(crate) clean: bool,
}

/// The root of the repository, from the crate that includes this file.
fn repository() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().find(|folder| folder.join("tests/interop").is_dir()).expect("inside the repository")
}

/// The interpreter with the packages of `requirements.txt`: `SNAPTRAK_JUDGES_PYTHON`, else that of the cache.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("SNAPTRAK_JUDGES_PYTHON") {
        return python.into();
    }
    let cache = std::env::var_os("SNAPTRAK_CACHE").map_or_else(|| repository().join(".cache"), PathBuf::from);
    let python = cache.join("judges/bin/python3");
    assert!(
        python.is_file(),
        "the judges' Python is not there: `cargo xtask test` prepares it (or set SNAPTRAK_JUDGES_PYTHON to an interpreter \
         that has the packages of tests/interop/requirements.txt)"
    );
    python
}

/// Runs a script of this folder and reads the JSON object on its last line.
pub(crate) fn judge<A: AsRef<OsStr>>(script: &str, arguments: &[A]) -> Verdict {
    let output = Command::new(python())
        .arg(repository().join("tests/interop").join(script))
        .args(arguments)
        .output()
        .expect("the judges' Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
    assert!(said.is_some(), "{script} said nothing: {}", String::from_utf8_lossy(&output.stderr));
    Verdict { said: said.unwrap_or_default(), clean: output.status.success() }
}
