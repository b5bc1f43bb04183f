//! One sync of a folder for everyone who waits for it.
//!
//! A caller is answered by a sync that began after it asked. Whoever comes while one is running shares the next with all
//! others that came meanwhile.

use crate::StoreError;
use std::sync::{Condvar, Mutex};

#[derive(Default)]
struct State {
    asked: u64,
    synced: u64,
    running: bool,
}

/// Shares syncs.
pub(crate) struct SharedSync {
    state: Mutex<State>,
    changed: Condvar,
}

impl SharedSync {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::default()), changed: Condvar::new() }
    }

    /// Returns when a `sync` that began after this call has succeeded. A failure is answered to the caller that ran it; the
    /// others try themselves.
    pub(crate) fn wait(&self, sync: impl Fn() -> Result<(), StoreError>) -> Result<(), StoreError> {
        const HELD: &str = "no one panics while holding this lock";
        let mut state = self.state.lock().expect(HELD);
        state.asked += 1;
        let mine = state.asked;
        loop {
            if state.synced >= mine {
                return Ok(());
            }
            if state.running {
                state = self.changed.wait(state).expect(HELD);
                continue;
            }
            state.running = true;
            let covers = state.asked;
            drop(state);
            let result = sync();
            state = self.state.lock().expect(HELD);
            state.running = false;
            if result.is_ok() {
                state.synced = covers;
            }
            self.changed.notify_all();
            result?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn everyone_is_synced_and_a_failure_is_answered_once() {
        let shared = SharedSync::new();
        let syncs = AtomicU32::new(0);
        let failed = shared.wait(|| Err(StoreError::Full));
        assert!(matches!(failed, Err(StoreError::Full)));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let count = || {
                        syncs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    shared.wait(count).unwrap();
                });
            }
        });
        assert!((1..=16).contains(&syncs.load(Ordering::SeqCst)));
    }
}
