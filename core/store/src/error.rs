//! What can go wrong with a store, one answer for each thing that someone would do next.
//!
//! Messages carry no contents: no file names, notes, keys or paths. Nothing is ever deleted because it could not be opened.

use snaptrak_domain::{KeyStoreError, RandomError, queue_store::QueueError};
use std::{io, sync::Arc};

/// Why the store did not do it. Sources are shared, because one failed commit answers every caller of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another instance in this one, owns the store.
    #[error("the store is in use")]
    InUse,
    /// The folder does not hold a store.
    #[error("the folder holds no store")]
    NotAStore,
    /// A store was to be made in a folder that already holds something.
    #[error("the folder is not empty")]
    NotEmpty,
    /// The passphrase is wrong, or the keys are those of another store. The data is not damaged.
    #[error("the key is not this store's")]
    WrongKey,
    /// The device has not been unlocked since it started: try again later.
    #[error("the keys cannot be had before the device is unlocked for the first time")]
    NotYet,
    /// The person must unlock (passphrase, biometrics).
    #[error("the person must unlock the keys")]
    NeedsUser,
    /// The platform key is gone for good.
    #[error("the platform key no longer exists")]
    KeysLost,
    /// There is no keyset file.
    #[error("the keyset is missing")]
    KeysetMissing,
    /// No generation of the keyset file is whole.
    #[error("the keyset is damaged")]
    KeysetDamaged,
    /// A newer version of this library wrote the store.
    #[error("the store has schema {found}, this version knows {known}")]
    NewerSchema {
        /// What the store says.
        found: u64,
        /// The newest that this version knows.
        known: u64,
    },
    /// A part of the store is damaged.
    #[error("damaged: {what}")]
    Damaged {
        /// Which part.
        what: &'static str,
    },
    /// No room on the disk.
    #[error("no room on the disk")]
    Full,
    /// The sealed bytes were purged: the server holds them.
    #[error("the bytes are no longer on this device")]
    Purged,
    /// There is no such thing in the store.
    #[error("there is no such {what}")]
    Missing {
        /// What was looked for.
        what: &'static str,
    },
    /// The request cannot be taken: `empty`, `note_too_long`, ...
    #[error("refused: {code}")]
    Refused {
        /// Why, as a word.
        code: &'static str,
    },
    /// The source of a capture could not be read; nothing of it was kept.
    #[error("the source could not be read")]
    Source {
        /// What the reader said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The library was built without encryption: nothing is opened or written.
    #[error("this build has no database encryption")]
    NoCipher,
    /// Somebody broke it off; nothing is half done that the same call does not go on from.
    #[error("it was broken off")]
    Cancelled,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A seal could not be made or opened for a reason that is none of the above.
    #[error("sealing failed: {what}")]
    Seal {
        /// Which seal.
        what: &'static str,
    },
    /// The file system failed.
    #[error("the file system failed: {what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The database failed.
    #[error("the database failed")]
    Database {
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// A job of the writer panicked; its changes were rolled back.
    #[error("a write panicked and was rolled back")]
    Panicked,
}

impl StoreError {
    /// An error of the file system; a full disk is its own answer.
    pub fn io(what: &'static str, source: io::Error) -> Self {
        if is_full(&source) { Self::Full } else { Self::Io { what, source: Arc::new(source) } }
    }
}

/// Whether the operating system said that there is no room (or no quota) left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        // The write-ahead log's index cannot grow: what SQLite says of a disk that is full to the last byte.
        if error.sqlite_error().is_some_and(|said| said.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { what: "database" },
            Some(_) | None => Self::Database { source: Arc::new(error) },
        }
    }
}

impl From<KeyStoreError> for StoreError {
    fn from(error: KeyStoreError) -> Self {
        match error {
            KeyStoreError::NotYet => Self::NotYet,
            KeyStoreError::NeedsUser { wrong_answer: false } => Self::NeedsUser,
            KeyStoreError::NeedsUser { wrong_answer: true } => Self::WrongKey,
            KeyStoreError::Lost => Self::KeysLost,
            KeyStoreError::Damaged => Self::KeysetDamaged,
        }
    }
}

impl From<StoreError> for QueueError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::Damaged { what } => Self::Damaged { detail: what.to_owned() },
            StoreError::KeysetDamaged => Self::Damaged { detail: "keyset".to_owned() },
            StoreError::NeedsUser | StoreError::WrongKey | StoreError::NotYet => Self::NeedsUser,
            StoreError::Missing { what } => Self::Missing { what },
            StoreError::Closed => Self::Closed,
            StoreError::InUse
            | StoreError::NotAStore
            | StoreError::NotEmpty
            | StoreError::KeysLost
            | StoreError::KeysetMissing
            | StoreError::Purged
            | StoreError::NewerSchema { .. }
            | StoreError::Refused { .. }
            | StoreError::Source { .. }
            | StoreError::NoCipher
            | StoreError::Cancelled
            | StoreError::Random(_)
            | StoreError::Seal { .. }
            | StoreError::Io { .. }
            | StoreError::Database { .. }
            | StoreError::Panicked => Self::Unavailable { detail: error.to_string() },
        }
    }
}
