//! What lies in a folder: digests to compare it with itself later, and rights.

use ring::digest::{Context, SHA256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Every file of a folder, by its path in it, with the digest of its bytes.
pub type Contents = BTreeMap<PathBuf, String>;

/// Everything under a path, folders included, itself first.
pub(crate) fn everything(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(everything(&entry.unwrap().path()));
        }
    }
    found
}

/// The digests of a folder's files.
pub fn contents(folder: &Path) -> Contents {
    let files = everything(folder).into_iter().filter(|path| path.is_file());
    files.map(|file| (file.strip_prefix(folder).unwrap().to_owned(), sha256_of(&file))).collect()
}

/// SHA-256 of a file, lowercase hexadecimal.
pub fn sha256_of(path: &Path) -> String {
    let mut context = Context::new(&SHA256);
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        let bytes = file.read(&mut buffer).unwrap();
        if bytes == 0 {
            return context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        }
        context.update(&buffer[..bytes]);
    }
}

/// What in a folder group or world have any right on.
pub fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let is_open = |path: &PathBuf| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o077 != 0;
    everything(folder).into_iter().filter(is_open).collect()
}
