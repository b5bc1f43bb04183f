//! What goes wrong with another process, with what it said.

use std::{io, path::PathBuf};

/// Why a program could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// It is not there, or could not be started.
    #[error("could not start {program}: {source} (build it first: cargo build --workspace --all-targets)")]
    Start {
        /// Which.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It answered something else than one JSON object, or ended badly where it had to end well.
    #[error("{program} ended with {code}: {said}")]
    Said {
        /// Which, with its arguments.
        program: String,
        /// Exit code, or -1 for a signal.
        code: i32,
        /// What it said.
        said: String,
    },
    /// The server did not answer an HTTP request as expected.
    #[error("the server did not answer {path}: {said}")]
    Http {
        /// Path of the request.
        path: String,
        /// Why.
        said: String,
    },
    /// Something that is fetched or made once is not there.
    #[error("{} is not there: make it with `cargo xtask {command}`", path.display())]
    NotFetched {
        /// What.
        path: PathBuf,
        /// The command that makes it.
        command: &'static str,
    },
    /// A folder for a test could not be made or written.
    #[error("the test's own folder: {source}")]
    Folder {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A capture is not where it has to be in the end.
    #[error("capture {id} is not verified once: {said}")]
    NotHeld {
        /// Which.
        id: String,
        /// What was found.
        said: String,
    },
}
