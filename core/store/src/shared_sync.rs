//! One sync of a folder for everyone who waits for it.
//!
//! A caller is answered by a sync that began after it asked. Whoever comes while one is running shares the next with all
//! others that came meanwhile. When a sync fails, everyone who waits fails with it: the system may have dropped what any of
//! them wrote, and the next sync, which succeeds, says nothing of that.

use crate::StoreError;
use std::sync::{Condvar, Mutex};

#[derive(Default)]
struct State {
    asked: u64,
    synced: u64,
    /// The last failure, and how many had asked by then: none of them is answered by a later sync.
    failure: Option<(u64, StoreError)>,
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

    /// Returns when a `sync` that began after this call has succeeded, or one that ran meanwhile has failed.
    pub(crate) fn wait(&self, sync: impl Fn() -> Result<(), StoreError>) -> Result<(), StoreError> {
        const HELD: &str = "no one panics while holding this lock";
        let mut state = self.state.lock().expect(HELD);
        state.asked += 1;
        let mine = state.asked;
        loop {
            if state.synced >= mine {
                return Ok(());
            }
            if let Some((_, error)) = state.failure.as_ref().filter(|(asked, _)| *asked >= mine) {
                return Err(error.clone());
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
            match result {
                Ok(()) => state.synced = covers,
                Err(error) => state.failure = Some((state.asked, error)),
            }
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn everyone_is_synced_and_the_next_one_after_a_failure_too() {
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

    #[test]
    fn a_failed_sync_fails_everyone_who_waited_and_is_not_tried_again_for_them() {
        let shared = SharedSync::new();
        let (began, beginning) = crossbeam_channel::bounded(0);
        let (release, released) = crossbeam_channel::bounded::<()>(0);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                shared.wait(|| {
                    began.send(()).unwrap();
                    released.recv().unwrap();
                    Err(StoreError::Full)
                })
            });
            beginning.recv().unwrap();
            let second = scope.spawn(|| shared.wait(|| panic!("tried again")));
            while shared.state.lock().unwrap().asked < 2 {
                std::thread::yield_now();
            }
            release.send(()).unwrap();
            assert!(matches!(first.join().unwrap(), Err(StoreError::Full)));
            assert!(matches!(second.join().unwrap(), Err(StoreError::Full)));
        });
        shared.wait(|| Ok(())).unwrap();
    }
}
