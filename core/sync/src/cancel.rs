//! Ending a window from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;

use crate::line::Signal;

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    /// Wakes the loop that waits; at most one runs at a time.
    wake: Mutex<Option<Sender<Signal>>>,
}

/// A handle that ends what it was given to. Cloning gives another handle to the same; it cannot be reset.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Shared>);

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelToken({})", self.is_cancelled())
    }
}

impl CancelToken {
    /// A handle that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends it: transfers are cancelled, their steps go back to the queue, the report says `cancelled`.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        if let Some(wake) = self.slot().as_ref() {
            // A full or closed channel means that the loop is awake or gone.
            let _ = wake.try_send(Signal::Cancelled);
        }
    }

    /// Whether someone has.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn wake_with(&self, wake: Option<Sender<Signal>>) {
        *self.slot() = wake;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Sender<Signal>>> {
        // The slot holds no invariant that a panic elsewhere could have broken.
        self.0.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
