//! What goes wrong inside the server, apart from what it answers (see `http::error`).

use std::io;
use std::path::{Path, PathBuf};

/// Why the server, or a command on its folder, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("the database failed: {source}")]
    Database {
        /// SQLite's answer, which names tables and columns but no values.
        #[from]
        source: rusqlite::Error,
    },
    /// The database was made by a later version of this server.
    #[error("the database has schema version {found}; this server knows up to {known}")]
    NewerSchema {
        /// What the database says.
        found: i64,
        /// What this version knows.
        known: i64,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which file of the server's own folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another server has the folder open.
    #[error("another server is using {path}", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has never been served.
    #[error("{path} holds no server; start `snaptrak-server serve` on it first", path = path.display())]
    NotAServer {
        /// The folder.
        path: PathBuf,
    },
    /// No randomness.
    #[error("the system gave no random bytes")]
    Random(#[from] snaptrak_domain::RandomError),
    /// The data key is not 64 hexadecimal digits.
    #[error("the data key from {origin} must be 64 lowercase hexadecimal digits")]
    MalformedDataKey {
        /// File, environment or folder.
        origin: &'static str,
    },
    /// The folder was made with another data key.
    #[error("the data key does not belong to this folder")]
    WrongDataKey,
    /// The folder exists but its key does not.
    #[error(
        "the folder was made with a data key that is not here: give it with --data-key-file or SNAPTRAK_SERVER_KEY"
    )]
    MissingDataKey,
    /// A sealed column does not open.
    #[error("the sealed column {column} does not open: it is damaged or was moved")]
    SealedColumn {
        /// Which column.
        column: &'static str,
    },
    /// What the database holds breaks a rule of this server.
    #[error("the database contradicts itself: {what}")]
    Contradiction {
        /// Which rule.
        what: &'static str,
    },
    /// A key, certificate or signature could not be made or used.
    #[error("{what}")]
    Key {
        /// What happened.
        what: String,
    },
    /// A manifest of models, or a file that it names, is not one that devices would take.
    #[error("these models cannot be published: {what}")]
    Models {
        /// What is wrong.
        what: String,
    },
    /// Plain HTTP was asked for on an address that others can reach.
    #[error("plain HTTP is for loopback addresses only: {address} needs --tls or a certificate")]
    PlainHttp {
        /// The address that was asked for.
        address: std::net::SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// Work handed to a thread ended without an answer, because it panicked or the server is stopping.
    #[error("work on a thread ended without an answer")]
    ThreadEnded,
}

impl Error {
    /// Names the file and the verb of a failed call: `map_err(Error::file("open", path))`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn models(what: impl std::fmt::Display) -> Self {
        Self::Models { what: what.to_string() }
    }

    pub(crate) fn key(what: impl std::fmt::Display) -> Self {
        Self::Key { what: what.to_string() }
    }
}
