//! Breaking off work from another thread.
//!
//! Owns that someone asked for it, once and for good, and who is woken by it. Refuses to know what the work is: whoever does it
//! looks at the token between two steps, or waits in a way that a waker can end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

type Wake = Arc<dyn Fn() + Send + Sync>;

/// A handle that ends what it was given to. Cloning gives another handle to the same; it cannot be reset.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Of a child: what ends it with its parent.
    parent: OnceLock<OnCancel>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    wakes: BTreeMap<u64, Wake>,
}

/// Keeps a waker of [`CancelToken::on_cancel`] until it is dropped.
#[must_use = "dropped, it forgets the waker"]
pub struct OnCancel {
    shared: Arc<Shared>,
    number: u64,
}

impl CancelToken {
    /// A handle that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another token, which ends with this one and can end alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let ended = Arc::downgrade(&child.0);
        let with_it = self.on_cancel(move || {
            if let Some(child) = ended.upgrade() {
                child.cancel();
            }
        });
        // It was empty: the child is new.
        let _ = child.0.parent.set(with_it);
        child
    }

    /// Ends it, and wakes whoever waits. Twice is no error.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether someone has.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Calls `wake` when someone cancels, at once if someone has, until the answer is dropped. It is called on the canceller's
    /// thread, under no lock, and must not block; a call that has begun when the answer is dropped still ends.
    pub fn on_cancel(&self, wake: impl Fn() + Send + Sync + 'static) -> OnCancel {
        let wake: Wake = Arc::new(wake);
        let mut waiting = self.0.waiting();
        let number = waiting.next;
        waiting.next += 1;
        // Under the lock: a canceller either sees the waker there, or was seen here.
        let cancelled = self.is_cancelled();
        if !cancelled {
            waiting.wakes.insert(number, Arc::clone(&wake));
        }
        drop(waiting);
        if cancelled {
            wake();
        }
        OnCancel { shared: Arc::clone(&self.0), number }
    }
}

impl Shared {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        let wakes = std::mem::take(&mut self.waiting().wakes);
        for wake in wakes.values() {
            wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Insertions and removals leave the map whole whatever happens between them.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        let forgotten = self.shared.waiting().wakes.remove(&self.number);
        // What it holds is dropped under no lock.
        drop(forgotten);
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelToken({})", self.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn counted(token: &CancelToken) -> (OnCancel, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&calls);
        let kept = token.on_cancel(move || {
            counting.fetch_add(1, Ordering::SeqCst);
        });
        (kept, calls)
    }

    #[test]
    fn whoever_waits_is_woken_once_and_whoever_comes_later_at_once() {
        let token = CancelToken::new();
        let (_kept, before) = counted(&token);
        let (gone, forgotten) = counted(&token);
        drop(gone);
        token.clone().cancel();
        token.cancel();
        let (_late, after) = counted(&token);
        assert!(token.is_cancelled());
        assert_eq!([before, forgotten, after].map(|calls| calls.load(Ordering::SeqCst)), [1, 0, 1]);
    }

    #[test]
    fn a_child_ends_with_its_parent_and_alone() {
        let parent = CancelToken::new();
        let (alone, with_it) = (parent.child(), parent.child());
        let (_kept, calls) = counted(&with_it);
        alone.cancel();
        assert!(alone.is_cancelled() && !parent.is_cancelled() && !with_it.is_cancelled());
        parent.cancel();
        assert!(with_it.is_cancelled() && parent.child().is_cancelled());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn children_that_are_gone_leave_nothing_behind() {
        let parent = CancelToken::new();
        for _ in 0..10 {
            drop(parent.child());
        }
        assert!(parent.0.waiting().wakes.is_empty());
    }
}
