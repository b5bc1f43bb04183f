//! What `cargo xtask` fetched and made: pictures, models, Python environments.

use crate::DriverError;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache of this checkout; `SNAPTRAK_CACHE` names another.
    pub fn of_this_checkout() -> Self {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
        let folder = std::env::var_os("SNAPTRAK_CACHE").map_or_else(beside, PathBuf::from);
        Self { folder: fs::canonicalize(&folder).unwrap_or(folder) }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A sample picture.
    pub fn picture(&self, name: &str) -> Result<PathBuf, DriverError> {
        self.find(Path::new("pictures").join(name), "pictures")
    }

    /// A malformed file.
    pub fn malformed(&self, name: &str) -> Result<PathBuf, DriverError> {
        self.find(Path::new("malformed").join(name), "pictures")
    }

    /// The inference library.
    pub fn runtime_library(&self) -> Result<PathBuf, DriverError> {
        let is_library = |path: &PathBuf| path.to_string_lossy().contains("libonnxruntime.");
        let entries = fs::read_dir(self.folder.join("runtime")).into_iter().flatten().flatten();
        let found = entries.map(|entry| entry.path()).filter(is_library).max();
        found.ok_or_else(|| missing(self.folder.join("runtime"), "models"))
    }

    /// The Python with independent implementations of our formats.
    pub fn judges_python(&self) -> Result<PathBuf, DriverError> {
        self.find("judges/bin/python3".into(), "python judges")
    }

    fn find(&self, path: PathBuf, command: &'static str) -> Result<PathBuf, DriverError> {
        let path = self.folder.join(path);
        if path.is_file() { Ok(path) } else { Err(missing(path, command)) }
    }
}

fn missing(path: PathBuf, command: &'static str) -> DriverError {
    DriverError::NotFetched { path, command }
}
