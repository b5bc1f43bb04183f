//! Where the built programs are.

use std::path::{Path, PathBuf};

/// The built programs.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Programs of a folder (`target/debug`).
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The programs that were built together with the running test.
    pub fn beside_this_test() -> Self {
        let test = std::env::current_exe().unwrap_or_default();
        // A test lies in target/PROFILE/deps, the programs one folder up.
        let folder = test.ancestors().find(|folder| folder.join(program("snaptrak")).is_file());
        Self::in_folder(folder.unwrap_or(Path::new(".")))
    }

    /// Path of the command line.
    pub fn snaptrak(&self) -> PathBuf {
        self.folder.join(program("snaptrak"))
    }

    /// Path of the reference API.
    pub fn server(&self) -> PathBuf {
        self.folder.join(program("snaptrak-server"))
    }
}

fn program(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}
