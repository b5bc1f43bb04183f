//! Who watches the store, and what they are told after each commit.
//!
//! Order of events. A transaction collects what it changes; its commit hands that to the hub while the write side is still taken,
//! so that watchers hear of commits in their order. That only moves some words in memory. When the write side is free again,
//! whoever committed wakes those who wait. Nobody is told what was rolled back. Without a watcher a commit reads one flag.
//!
//! A watcher that is slow holds up nobody: see [`pending`]. Nothing here has a timer or a thread.

mod pending;
#[cfg(test)]
mod tests;

use crate::{Store, StoreError};
use pending::Pending;
use snaptrak_domain::{CancelToken, CaptureId, StoreEvent};
use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

/// What a transaction changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) events: Vec<StoreEvent>,
    /// The queue stands otherwise, whatever became of the assets.
    pub(crate) queue_moved: bool,
}

/// What a watcher is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Everything that happens, as a list.
    Events,
    /// That the queue stands otherwise. Told once at the beginning.
    Queue,
    /// That findings of a capture were kept. Told once at the beginning.
    Findings(CaptureId),
}

/// What has happened since the last batch. An asset is in it once, with its newest state; its findings and its annotations are
/// events of their own. Without events for whoever watches no list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they first happened.
    pub events: Vec<StoreEvent>,
    /// More happened before these than could be kept: look again at what you show.
    pub missed: bool,
}

/// Everyone who watches one store.
#[derive(Default)]
pub(crate) struct Hub {
    is_watched: AtomicBool,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    watchers: BTreeMap<u64, Pending>,
    is_closed: bool,
}

impl Hub {
    /// Whether a transaction that begins now has to remember what it changes. Whoever watches and then writes comes through the
    /// writer's door, whose lock orders this after the beginning of the watch.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// Takes in what a commit changed. Called with the write side taken: wakes nobody.
    pub(crate) fn publish(&self, changes: &Changes) {
        if self.is_watched() && (changes.queue_moved || !changes.events.is_empty()) {
            self.inside().watchers.values_mut().for_each(|pending| pending.add(changes));
        }
    }

    /// Wakes who waits for what was published. Called with nothing taken, since a waker may be anyone's code.
    pub(crate) fn wake(&self) {
        if !self.is_watched() {
            return;
        }
        let mut wakers = Vec::new();
        for pending in self.inside().watchers.values_mut().filter(|pending| !pending.is_empty()) {
            wakers.extend(pending.take_waiting());
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Nothing will happen any more: watchers are told what is left, and then that it was the end.
    pub(crate) fn close(&self) {
        let mut wakers = Vec::new();
        let mut inside = self.inside();
        inside.is_closed = true;
        inside.watchers.values_mut().for_each(|pending| wakers.extend(pending.take_waiting()));
        drop(inside);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // What happens under it only moves words in memory, and leaves them whole.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Watches the store until the answer is dropped: what commits that begin from now on change. Refused once it is closed.
    pub fn watch(&self, interest: Interest) -> Result<Watcher, StoreError> {
        let hub = Arc::clone(&self.inner.hub);
        let mut inside = hub.inside();
        if inside.is_closed {
            return Err(StoreError::Closed);
        }
        let number = inside.next;
        inside.next += 1;
        inside.watchers.insert(number, Pending::new(interest));
        hub.is_watched.store(true, Ordering::Relaxed);
        drop(inside);
        Ok(Watcher { hub, number })
    }

    /// Tells watchers of `events` as a commit of them would, and writes nothing: what the telling itself costs is measured so.
    #[doc(hidden)]
    pub fn rehearse(&self, events: Vec<StoreEvent>) {
        self.inner.hub.publish(&Changes { events, queue_moved: false });
        self.inner.hub.wake();
    }
}

/// One who watches, until it is dropped. Keeps no store open.
pub struct Watcher {
    hub: Arc<Hub>,
    number: u64,
}

impl Watcher {
    /// What happens next; nothing once the store was closed and everything was told. Dropped before it answered, it takes nothing:
    /// the next one is told. Its waker is called on the thread of whoever committed, with nothing locked, and must not block.
    pub fn next(&self) -> Next<'_> {
        Next { watcher: self, waiting: None }
    }

    /// Waits for what happens next, without a timer; [`StoreError::Cancelled`] when `cancel` ended the wait.
    pub fn wait(&self, cancel: &CancelToken) -> Result<Option<Batch>, StoreError> {
        let unpark = Arc::new(Unpark(std::thread::current()));
        let waker = Waker::from(Arc::clone(&unpark));
        let _cancels = cancel.on_cancel(move || unpark.0.unpark());
        let mut next = pin!(self.next());
        loop {
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            if let Poll::Ready(batch) = next.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(batch);
            }
            std::thread::park();
        }
    }

    /// Whether the store was closed.
    pub fn has_ended(&self) -> bool {
        self.hub.inside().is_closed
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut inside = self.hub.inside();
        let gone = inside.watchers.remove(&self.number);
        self.hub.is_watched.store(!inside.watchers.is_empty(), Ordering::Relaxed);
        drop(inside);
        drop(gone);
    }
}

/// Waits for what happens next. See [`Watcher::next`].
#[must_use = "a future does nothing until it is polled"]
pub struct Next<'a> {
    watcher: &'a Watcher,
    waiting: Option<u64>,
}

impl Future for Next<'_> {
    type Output = Option<Batch>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Batch>> {
        let this = self.get_mut();
        let waker = context.waker().clone();
        let mut inside = this.watcher.hub.inside();
        let is_closed = inside.is_closed;
        let Some(pending) = inside.watchers.get_mut(&this.watcher.number) else { return Poll::Ready(None) };
        if pending.is_empty() {
            if is_closed {
                return Poll::Ready(None);
            }
            let (number, before) = pending.wait(this.waiting, waker);
            this.waiting = Some(number);
            // Wakers are dropped under no lock.
            drop(inside);
            drop(before);
            return Poll::Pending;
        }
        let news = pending.take();
        drop(inside);
        Poll::Ready(Some(news.into_batch()))
    }
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        let Some(number) = self.waiting else { return };
        let mut inside = self.watcher.hub.inside();
        let waker = inside.watchers.get_mut(&self.watcher.number).and_then(|pending| pending.forget(number));
        drop(inside);
        drop(waker);
    }
}

/// Wakes a thread that waits for itself alone.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
