//! Read connections: each read sees one commit, on the caller's own thread. `work` must be short and must not read again: the
//! writer holds new readers off while it empties its log.

use crate::{
    StoreError,
    connection::{self, Access, Cipher},
    gate::Gate,
};
use rusqlite::Connection;
use snaptrak_domain::Secret;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
};

/// Connections that stay open between reads. More readers at once open their own (0.2 ms) and close them again.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// The pool.
pub(crate) struct Readers {
    file: PathBuf,
    /// Held for reading by every read: while the key is being replaced there is none.
    cipher: RwLock<Cipher>,
    gate: Arc<Gate>,
    /// `None` once the store is closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(file: PathBuf, cipher: Cipher, gate: Arc<Gate>) -> Self {
        Self { file, cipher: RwLock::new(cipher), gate, idle: Mutex::new(Some(Vec::new())) }
    }

    /// Runs `work` in a read transaction: all its statements see the same commit.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let cipher = self.cipher.read().expect("no one panics while holding this lock");
        let inside = self.gate.enter();
        let reused = self.idle().as_mut().ok_or(StoreError::Closed)?.pop();
        let connection = match reused {
            Some(connection) => connection,
            None => connection::open(&self.file, &cipher, Access::Read)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = work(&transaction);
        transaction.finish()?;
        drop(inside);
        if let Some(idle) = self.idle().as_mut().filter(|idle| idle.len() < IDLE_CONNECTIONS_MAX) {
            idle.push(connection);
        }
        result
    }

    /// Gives back the pages that idle connections keep.
    pub(crate) fn trim(&self) -> Result<(), StoreError> {
        for connection in self.idle().as_mut().ok_or(StoreError::Closed)? {
            connection::trim(connection)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Runs `replace` while nobody reads and no read connection is open; on success the key is `key` from then on.
    pub(crate) fn replace_key(
        &self,
        key: &Secret,
        replace: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut current = self.cipher.write().expect("no one panics while holding this lock");
        self.idle().as_mut().ok_or(StoreError::Closed)?.clear();
        replace()?;
        current.key = key.clone();
        Ok(())
    }

    /// Closes what is idle; from now on every read is answered with [`StoreError::Closed`].
    pub(crate) fn close(&self) {
        *self.idle() = None;
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().expect("no one panics while holding this lock")
    }
}
