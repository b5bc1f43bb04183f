//! The thread that does what can wait.
//!
//! Owns when it is awake: from a commit until nobody has come for a while and nothing is left to do. Asleep it has no timer,
//! and a caller wakes it with its first commit and with no other.

use super::{Occasion, Shared};
use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often it is looked whether someone has come since: chores are done when no one has, so once or twice as long after
/// the last commit, which is longer than the gap between captures of a burst.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the thread is told.
#[derive(Default)]
struct Told {
    /// Something must be done though people keep coming.
    is_due: bool,
    /// Something was committed while it slept.
    is_woken: bool,
    is_over: bool,
}

#[derive(Default)]
pub(super) struct Bell {
    told: Mutex<Told>,
    rung: Condvar,
    is_asleep: AtomicBool,
}

impl Bell {
    /// After a commit. Costs nothing while the thread is awake.
    pub(super) fn committed(&self) {
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            self.ring(|told| told.is_woken = true);
        }
    }

    /// Chores must be done though people keep coming.
    pub(super) fn due(&self) {
        self.ring(|told| told.is_due = true);
    }

    /// The thread ends.
    pub(super) fn over(&self) {
        self.ring(|told| told.is_over = true);
    }

    fn ring(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told());
        self.rung.notify_one();
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread does next.
enum Next {
    /// A while has passed.
    Look,
    Busy,
    End,
}

/// The thread's work, until it is over.
pub(super) fn attend(shared: &Shared) {
    // Opening may have left something to sign or to move.
    let mut commits_seen = shared.commits();
    loop {
        match next(&shared.bell) {
            Next::End => return,
            Next::Busy => {
                do_chores(shared, Occasion::Busy);
                continue;
            }
            Next::Look => {}
        }
        let mut more = true;
        while more && shared.commits() == commits_seen {
            more = do_chores(shared, Occasion::Idle);
        }
        if !more && sleep(shared, commits_seen) {
            return;
        }
        commits_seen = shared.commits();
    }
}

/// Waits while people may come.
fn next(bell: &Bell) -> Next {
    let told = bell.told();
    let quiet = |told: &mut Told| !told.is_over && !told.is_due;
    let waited = bell.rung.wait_timeout_while(told, LOOK_EVERY, quiet);
    let (mut told, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if told.is_over {
        Next::End
    } else if std::mem::take(&mut told.is_due) {
        Next::Busy
    } else {
        Next::Look
    }
}

/// Waits without a timer until someone comes; whether it is over.
fn sleep(shared: &Shared, commits_seen: u64) -> bool {
    let bell = &shared.bell;
    let mut told = bell.told();
    told.is_woken = false;
    bell.is_asleep.store(true, Ordering::SeqCst);
    // Whoever commits counts first and looks then whether the thread sleeps: one of the two sees the other.
    if shared.commits() != commits_seen {
        bell.is_asleep.store(false, Ordering::SeqCst);
        return told.is_over;
    }
    let quiet = |told: &mut Told| !told.is_over && !told.is_due && !told.is_woken;
    let told = bell.rung.wait_while(told, quiet).unwrap_or_else(PoisonError::into_inner);
    bell.is_asleep.store(false, Ordering::SeqCst);
    told.is_over
}

/// One run of the chores; whether something is left. Who watches is woken when the write side is free again.
fn do_chores(shared: &Shared, occasion: Occasion) -> bool {
    let more = with_the_write_side(shared, occasion);
    shared.hub.wake();
    more
}

fn with_the_write_side(shared: &Shared, occasion: Occasion) -> bool {
    let mut room = shared.room();
    let Some(room) = room.as_mut() else { return false };
    let someone_waits = || shared.door.waiting() > 0;
    match occasion {
        Occasion::Busy => room.do_due(&someone_waits),
        Occasion::Idle => room.do_chores(occasion, &someone_waits),
    }
}
