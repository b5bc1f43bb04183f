//! What goes wrong with another process, with what it said.

use std::io;

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
}
