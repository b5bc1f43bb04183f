//! Watching: what happens to captures, how the queue stands, what is found. Each is told after it is durable.
//!
//! Owns which state a watcher was told last. A watcher that is slow holds up nobody and is told the newest state; nothing here has
//! a timer, so that an app that watches and in which nothing happens does not wake the phone. Each watcher waits in two ways: by a
//! future without a runtime, or on the caller's thread.

use crate::{Error, ErrorCode, SnapTrak};
use snaptrak_domain::{CancelToken, CaptureId, Finding, StoreEvent};
use snaptrak_store::{Batch, Interest, QueueHealth};
use std::sync::{Mutex, PoisonError};

impl SnapTrak {
    /// Watches what happens to captures, from now on and until the answer is dropped. Look at what is there after this call and
    /// before the first batch: nothing is missed between the two.
    pub fn watch(&self) -> Result<Watcher, Error> {
        Ok(Watcher { changes: self.inner.store.watch(Interest::Events)? })
    }

    /// Watches how the queue stands, beginning with how it stands now.
    pub fn watch_queue(&self) -> Result<QueueWatcher, Error> {
        Ok(QueueWatcher(self.watch_state(Interest::Queue)?))
    }

    /// Watches the findings of a capture, beginning with those that are there.
    pub fn watch_findings(&self, id: CaptureId) -> Result<FindingsWatcher, Error> {
        self.inner.store.show(id)?;
        Ok(FindingsWatcher { id, state: self.watch_state(Interest::Findings(id))? })
    }

    /// How the queue stands: few numbers, of one moment.
    pub fn queue_health(&self) -> Result<QueueHealth, Error> {
        Ok(self.inner.store.queue_health(self.inner.platform.clock.now())?)
    }

    /// Tells watchers of `events` that did not happen: for measuring.
    #[doc(hidden)]
    pub fn rehearse(&self, events: Vec<StoreEvent>) {
        self.inner.store.rehearse(events);
    }

    fn watch_state<T>(&self, interest: Interest) -> Result<State<T>, Error> {
        let changes = self.inner.store.watch(interest)?;
        Ok(State { core: self.clone(), changes, told: Mutex::new(None) })
    }
}

/// Watches what happens to captures. It keeps no store open.
pub struct Watcher {
    changes: snaptrak_store::Watcher,
}

impl Watcher {
    /// What has happened since the last batch; nothing: the store was closed and everything was told. A future that is dropped takes
    /// nothing with it. It is woken on a thread that has just written, and its waker must not block.
    pub async fn next(&self) -> Option<Batch> {
        self.changes.next().await
    }

    /// The same on the caller's thread. `Cancelled` when `cancel` ended the wait.
    pub fn wait(&self, cancel: &CancelToken) -> Result<Option<Batch>, Error> {
        Ok(self.changes.wait(cancel)?)
    }
}

/// Something that is read again after each change, and told where it is another than before.
struct State<T> {
    core: SnapTrak,
    changes: snaptrak_store::Watcher,
    told: Mutex<Option<T>>,
}

impl<T: Clone + PartialEq> State<T> {
    /// Whether there is something to read; no: the store was closed.
    async fn changed(&self) -> bool {
        // What can be read ends with the store, whatever happened last.
        self.changes.next().await.is_some() && !self.changes.has_ended()
    }

    /// The state now, if it is another one than was told last.
    fn read(&self, read: impl FnOnce(&SnapTrak) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let now = match read(&self.core) {
            Ok(now) => now,
            // Closed while it was read: the next look says that it was the end.
            Err(error) if error.code() == ErrorCode::Cancelled => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() == Some(&now) {
            return Ok(None);
        }
        *told = Some(now.clone());
        Ok(Some(now))
    }

    fn wait(&self, cancel: &CancelToken, read: impl Fn(&SnapTrak) -> Result<T, Error>) -> Result<Option<T>, Error> {
        while self.changes.wait(cancel)?.is_some() && !self.changes.has_ended() {
            if let Some(state) = self.read(&read)? {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }
}

/// Watches how the queue stands. It keeps the store open, unless that is closed.
pub struct QueueWatcher(State<QueueHealth>);

impl QueueWatcher {
    /// Whether the queue may stand otherwise than was told: at first it does. No: the store was closed.
    pub async fn changed(&self) -> bool {
        self.0.changed().await
    }

    /// How the queue stands, if that is not what was told last. Reads the database.
    pub fn read(&self) -> Result<Option<QueueHealth>, Error> {
        self.0.read(SnapTrak::queue_health)
    }

    /// Waits on the caller's thread until the queue stands otherwise than was told last; nothing: the store was closed.
    /// `Cancelled` when `cancel` ended the wait.
    pub fn wait(&self, cancel: &CancelToken) -> Result<Option<QueueHealth>, Error> {
        self.0.wait(cancel, SnapTrak::queue_health)
    }
}

/// Watches the findings of one capture. It keeps the store open, unless that is closed.
pub struct FindingsWatcher {
    id: CaptureId,
    state: State<Vec<Finding>>,
}

impl FindingsWatcher {
    /// Whether there may be other findings than were told: at first there are. No: the store was closed.
    pub async fn changed(&self) -> bool {
        self.state.changed().await
    }

    /// The findings of the capture, if they are not what was told last. Reads the database.
    pub fn read(&self) -> Result<Option<Vec<Finding>>, Error> {
        self.state.read(|core| Ok(core.show(self.id)?.findings))
    }

    /// Waits on the caller's thread until there are other findings than were told last; nothing: the store was closed.
    /// `Cancelled` when `cancel` ended the wait.
    pub fn wait(&self, cancel: &CancelToken) -> Result<Option<Vec<Finding>>, Error> {
        self.state.wait(cancel, |core| Ok(core.show(self.id)?.findings))
    }
}
