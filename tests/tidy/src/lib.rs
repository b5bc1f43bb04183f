#![doc = include_str!("../README.md")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Files that git tracks or would track, relative to the root.
pub fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git runs in a checkout");
    assert!(output.status.success(), "git ls-files failed: tidy needs a git checkout");
    let listing = String::from_utf8(output.stdout).expect("file names of this repository are UTF-8");
    listing
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|p| root().join(p).is_file())
        .collect()
}

/// Text of a tracked file, if it is text.
pub fn text(file: &Path) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(file)).ok()?).ok()
}

/// Whether a file has this extension.
pub fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|candidate| candidate == extension)
}
