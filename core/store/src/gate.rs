//! The gate of the readers: open, but for the moments in which the write-ahead log is emptied.
//!
//! SQLite starts its log anew only when no reader is inside. With readers that overlap there is never such a moment, and the
//! log grows with every commit. Shutting the gate makes one: whoever is inside ends (reads are short), whoever comes waits.
//! Refuses to know SQLite.

use std::{
    sync::{Condvar, Mutex, MutexGuard},
    time::Duration,
};

/// How long the readers inside are waited for. A reader that takes longer is left alone, and the gate opens again: a page of the
/// list takes some milliseconds, and nobody who waits for the writer should notice this.
const WAIT_MAX: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct State {
    inside: usize,
    shut: bool,
}

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// A reader inside; dropping it leaves.
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    /// Goes in, after whoever has shut the gate.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let mut state =
            self.changed.wait_while(self.state(), |state| state.shut).expect("no one panics while holding this lock");
        state.inside += 1;
        Inside(self)
    }

    /// Runs `work` while nobody is inside; `None` if somebody did not leave in time.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.state().shut = true;
        let _open = Opens(self);
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), WAIT_MAX, |state| state.inside > 0)
            .expect("no one panics while holding this lock");
        let is_alone = state.inside == 0;
        drop(state);
        is_alone.then(work)
    }

    /// Whether somebody wants to be alone.
    #[cfg(test)]
    pub(crate) fn is_shut(&self) -> bool {
        self.state().shut
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no one panics while holding this lock")
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.changed.notify_all();
    }
}

/// Opens the gate again, however the work ended.
struct Opens<'a>(&'a Gate);

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.state().shut = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_is_alone_and_readers_come_back() {
        let gate = Gate::default();
        assert_eq!(gate.alone(|| 1), Some(1));
        let reader = gate.enter();
        assert_eq!(gate.alone(|| 2), None, "a reader is inside");
        drop(reader);
        std::thread::scope(|scope| {
            let work = || {
                // Whoever comes now waits; the state shows that nobody is in.
                scope.spawn(|| drop(gate.enter()));
                assert_eq!(gate.state().inside, 0);
                3
            };
            assert_eq!(gate.alone(work), Some(3));
        });
        assert_eq!(gate.state().inside, 0);
    }
}
