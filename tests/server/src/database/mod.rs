//! The server's room for SQL: opening, migrating, and running work on a connection without blocking the runtime.
//!
//! One connection writes (SQLite has one writer anyway), one reads, so that a read never waits for a sync. Statements live
//! in the modules of their tables; no other module of the server writes SQL.

pub(crate) mod accounts;
pub(crate) mod captures;
pub(crate) mod devices;
pub(crate) mod envelopes;
pub(crate) mod findings;
pub(crate) mod models;
pub(crate) mod organisations;
pub(crate) mod sessions;
pub(crate) mod uploads;
pub(crate) mod verification;

pub(crate) use accounts::{AccountRow, PasswordRow};
pub(crate) use captures::{AssetRow, CaptureRow, NewCapture, StoredAsset};
pub(crate) use devices::DeviceRow;
pub(crate) use envelopes::{EnvelopeRow, NewEnvelopeRow};
pub(crate) use findings::FindingRow;
pub(crate) use organisations::{OrganisationKeyRow, OrganisationRow};
pub(crate) use sessions::{Caller, NewTokens};
pub(crate) use uploads::{UploadRow, UploadState};
pub(crate) use verification::{AssetState, Failure, FailureCode, VerificationJob};

use crate::error::Error;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The number is the schema version that the text leads to.
const MIGRATIONS: &[&str] = &[include_str!("0001.sql"), include_str!("0002.sql"), include_str!("0003.sql")];

/// Another process (a command beside the server) may hold the write lock for a moment.
const BUSY_TIMEOUT_MS: u64 = 10_000;

/// The database of one server; clones share it.
#[derive(Clone)]
pub(crate) struct Database {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
}

impl Database {
    /// Opens the file, makes it if it is not there, and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut writer = connect(path)?;
        migrate(&mut writer)?;
        let reader = connect(path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { writer: Arc::new(Mutex::new(writer)), reader: Arc::new(Mutex::new(reader)) })
    }

    /// Runs a write in one IMMEDIATE transaction, here and now.
    pub(crate) fn write_now<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // A panic in earlier work rolled its transaction back, so the connection is usable.
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::from)?;
        let answer = work(&transaction)?;
        transaction.commit().map_err(Error::from)?;
        Ok(answer)
    }

    /// Runs a read here and now.
    pub(crate) fn read_now<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction().map_err(Error::from)?;
        work(&transaction)
    }

    /// [`Self::write_now`] on a thread for blocking work. When it returns the commit is durable.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let database = self.clone();
        tokio::task::spawn_blocking(move || database.write_now(work)).await.map_err(|_| Error::ThreadEnded)?
    }

    /// [`Self::read_now`] on a thread for blocking work.
    pub(crate) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let database = self.clone();
        tokio::task::spawn_blocking(move || database.read_now(work)).await.map_err(|_| Error::ThreadEnded)?
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    // SQLite would make the file with the umask's rights; made first, it keeps ours, and so do its -wal and -shm.
    crate::folder::private_options().open(path).map_err(Error::file("open", path))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // The workspace's SQLite is SQLCipher, which asks for this by its symbol alone; the server encrypts nothing.
    assert!(snaptrak_cipher::is_linked(), "named here, so that it is in the program");
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    // Readers go on while a writer syncs.
    connection.pragma_update(None, "journal_mode", "wal")?;
    // What was answered survives a power cut; NORMAL would lose the last commits in WAL mode.
    connection.pragma_update(None, "synchronous", "full")?;
    // Off by default in SQLite.
    connection.pragma_update(None, "foreign_keys", true)?;
    // Deleted tokens and uploads leave no trace in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

/// Reads an id, a digest or a word of ours from a text column.
fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| rusqlite::Error::InvalidColumnType(0, column.to_owned(), rusqlite::types::Type::Text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::digest;

    #[test]
    fn shipped_migrations_never_change() {
        let hex = |text: &str| -> String {
            digest::digest(&digest::SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let shipped = [
            "c7ad6733e619f20755fe796c10ef0e8eee069bb51339e5ecceee9e3631eda6e5",
            "310128145265cd4863c14431efcf35c699bad40e6f4c6cf8dac678fd52a2519b",
            "a0643266719eedbede64cf98380a8d4cccd6ea3a9e09064104c84bf019d0e201",
        ];
        assert_eq!(MIGRATIONS.len(), shipped.len());
        for (migration, expected) in MIGRATIONS.iter().zip(shipped) {
            assert_eq!(hex(migration), expected);
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("server.sqlite3");
        drop(Database::open(&path).expect("a new database"));
        let connection = Connection::open(&path).expect("it is there");
        connection.pragma_update(None, "user_version", 99).expect("a later version");
        assert!(matches!(Database::open(&path), Err(Error::NewerSchema { found: 99, known: 3 })));
    }

    #[test]
    fn what_is_written_is_durable_by_setting() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Database::open(&folder.path().join("server.sqlite3")).expect("a new database");
        database
            .write_now(|transaction| {
                let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
                assert_eq!((number("synchronous")?, number("foreign_keys")?), (2, 1));
                let mode: String = transaction.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
                assert_eq!(mode, "wal");
                Ok::<_, Error>(())
            })
            .expect("pragmas can be read");
    }
}
