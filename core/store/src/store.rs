//! The handle: what every other file of this crate reaches the database, time, chance and keys through.

use crate::{
    StoreError,
    ballast::Ballast,
    connection,
    crowd::Crowd,
    in_use::InUse,
    intake::Intake,
    journal::{Entry, Lines},
    keep::Views,
    keys::Keys,
    layout::Layout,
    lock::Lock,
    readers::Readers,
    sealer::Sealer,
    shared_sync::SharedSync,
    watch::Hub,
    writer::{WriteTransaction, Writer},
};
use rusqlite::Connection;
use snaptrak_domain::{Clock, DeviceId, Disk, KeyStore, Random, Secret, Signer, queue_store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// What a store is given from outside: time, chance, the platform's keys, the disk.
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
    /// Says how much room is left.
    pub disk: Arc<dyn Disk>,
    /// Room that the store holds for a purge on a full disk; 0: none.
    pub ballast_bytes: u64,
}

/// An open store. Clones are handles of the same one; calls block and may come from any thread.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// The folder of the store, shared with the writer's chores.
pub(crate) struct Files {
    pub(crate) layout: Layout,
    /// Held while an asset's folder is moved or a file in it replaced: neither may happen in the middle of the other. Never
    /// held while waiting for the writer, whose chores take it.
    pub(crate) changes: Mutex<()>,
    /// Held while an envelope is read, changed and written back, in a file or in a row. Taken before `changes`, never by the
    /// writer.
    pub(crate) rewrites: Mutex<()>,
    /// Held while purged files are removed, for as long as one purge takes; taken before all others. The writer's chores only
    /// try.
    removals: Mutex<()>,
    pub(crate) in_use: Arc<InUse>,
}

impl Files {
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            layout,
            changes: Mutex::new(()),
            rewrites: Mutex::new(()),
            removals: Mutex::new(()),
            in_use: Arc::new(InUse::default()),
        }
    }

    pub(crate) fn remove_alone(&self) -> MutexGuard<'_, ()> {
        self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_remove_alone(&self) -> Option<MutexGuard<'_, ()>> {
        match self.removals.try_lock() {
            Ok(alone) => Some(alone),
            // A panic left what its rows say is to be removed, and the next one removes it.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app's key store is asked under it, and may panic: what is on disk is whole after every step, and the next caller reads it
    /// again.
    pub(crate) fn rewrite(&self) -> MutexGuard<'_, ()> {
        self.rewrites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Fields are dropped in this order: the writer ends before the lock goes.
pub(crate) struct Inner {
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
    pub(crate) files: Arc<Files>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) device_id: DeviceId,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) incoming_sync: SharedSync,
    pub(crate) ballast: Ballast,
    pub(crate) views: Views,
    pub(crate) crowd: Crowd,
    pub(crate) hub: Arc<Hub>,
    pub(crate) surroundings: Surroundings,
    /// Shared with every capture and recording that is under way: closing frees the lock when the last of them has ended, so
    /// that no other owner finds a folder in `incoming/` that someone still writes to.
    pub(crate) lock: Mutex<Option<Arc<Lock>>>,
}

impl Store {
    /// Commits what waits, signs, moves what is in `incoming/`, syncs the journal, checkpoints and frees the lock, or
    /// leaves that to the last capture that is still under way. Other handles answer [`StoreError::Closed`] from then on.
    pub fn close(self) -> Result<(), StoreError> {
        // What cannot be settled now is settled at the next opening.
        if let Err(error) = self.settle_first() {
            tracing::warn!(%error, "notes are settled at the next opening");
        }
        let result = self.inner.writer.close();
        self.inner.readers.close();
        self.inner.keys.forget();
        self.inner.ballast.restore();
        self.inner.lock.lock().expect("no one panics while holding this lock").take();
        result
    }

    /// Keeps the store's lock until the answer is dropped; [`StoreError::Closed`] once the store is closed.
    pub(crate) fn hold(&self) -> Result<Arc<Lock>, StoreError> {
        let lock = self.inner.lock.lock().expect("no one panics while holding this lock");
        lock.as_ref().map(Arc::clone).ok_or(StoreError::Closed)
    }

    /// Sets for whom new captures are wrapped besides the device.
    pub fn set_recipients(&self, recipients: Vec<queue_store::Recipient>) {
        self.inner.sealer.set_recipients(&recipients);
    }

    /// The device as the API will know it; made with the store.
    pub fn device_id(&self) -> DeviceId {
        self.inner.device_id
    }

    /// Asks the key store for the viewing class now, while the person is there, so that nothing later has to; what could not
    /// be closed for want of it since the opening is closed now.
    pub fn unlock(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        inner.keys.viewing(&inner.files.layout, inner.surroundings.key_store.as_ref())?;
        self.resume_interrupted()
    }

    /// Forgets the viewing key and every remembered data key, as when the app locks itself.
    pub fn forget_viewing_key(&self) {
        self.inner.keys.forget();
    }

    /// Gives back the memory of database pages that are kept to be read again, as when the system says that memory is short.
    pub fn trim_memory(&self) -> Result<(), StoreError> {
        self.inner.readers.trim()?;
        self.inner.writer.alone(|connection| connection::trim(connection))
    }

    /// Runs `work` in the writer's next transaction and returns when that is durable. An error rolls back `work` alone. Notes
    /// that wait are settled first: whatever is written may depend on them.
    /// `work` must be short, must not call the store, and should use `prepare_cached`.
    pub(crate) fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.write_with_lines(move |transaction, _| work(transaction))
    }

    /// As [`Store::write`], with the journal's entries of the rows that `work` changes: they are in the journal before the
    /// rows are committed, and not at all if `work` fails.
    pub(crate) fn write_journaled<T, F>(&self, entries: Vec<Entry>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.write_with_lines(move |transaction, lines| {
            entries.iter().for_each(|entry| lines.entry(entry));
            work(transaction)
        })
    }

    /// As [`Store::write_journaled`], where only the transaction knows what is to be written into the journal.
    pub(crate) fn write_with_lines<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        self.settle_first()?;
        self.inner.writer.write(work)
    }

    /// Runs `work` on a read connection; all its statements see the same commit, with every note in it that was acknowledged.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.settle_first()?;
        self.read_unsettled(work)
    }

    /// The same without a look at the intake, for what has nothing to do with captures.
    pub(crate) fn read_unsettled<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.readers.read(work)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.surroundings.clock.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.surroundings.random.as_ref()
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.inner.surroundings.disk.as_ref()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.files.layout
    }

    /// Seals a small secret (tokens, capabilities) for a cell of the database; `purpose` is bound in.
    pub(crate) fn seal_small(&self, purpose: &str, plain: &Secret) -> Result<Vec<u8>, StoreError> {
        self.inner.keys.seal_small(purpose, plain, self.random())
    }

    /// Opens what [`Store::seal_small`] sealed for the same purpose.
    pub(crate) fn open_small(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, StoreError> {
        self.inner.keys.open_small(purpose, sealed)
    }
}
