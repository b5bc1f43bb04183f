//! The handle: what every other file of this crate reaches the database, time, chance and keys through.

use crate::{StoreError, layout::Layout, readers::Readers, writer::Writer};
use rusqlite::{Connection, Transaction};
use snaptrak_domain::{Clock, KeyStore, Random, Signer};
use std::sync::Arc;

/// What a store is given from outside: time, chance, the platform's keys.
#[derive(Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Wraps and unwraps the keyset.
    pub key_store: Arc<dyn KeyStore>,
    /// Signs receipts; `None`: a software key of the keyset, and receipts say so.
    pub signer: Option<Arc<dyn Signer>>,
}

/// An open store. Clones are handles of the same one; calls block and may come from any thread.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) surroundings: Surroundings,
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
}

impl Store {
    /// Runs `work` in the writer's next transaction and returns when that is durable. An error rolls back `work` alone.
    /// `work` must be short, must not call the store, and should use `prepare_cached`.
    pub(crate) fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.write(None, work)
    }

    /// Runs `work` on a read connection; all its statements see the same commit.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.inner.readers.read(work)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.surroundings.clock.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.surroundings.random.as_ref()
    }
}
