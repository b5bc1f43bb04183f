//! Whose turn it is to talk to the server: one operation's at a time.
//!
//! An operation that was cancelled still has its turn for a moment, while its transfers end and its steps go back. Whoever comes
//! in that moment waits for it instead of being refused: to the app the former call is over.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use snaptrak_domain::CancelToken;

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// An operation that nobody has cancelled has it.
    Taken,
    /// Whoever asked was cancelled meanwhile.
    Cancelled,
}

/// The turns of one client.
#[derive(Default)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The token of whoever has the turn.
    holder: Mutex<Option<CancelToken>>,
    changed: Condvar,
}

impl Shared {
    fn holder(&self) -> MutexGuard<'_, Option<CancelToken>> {
        // A panic of whoever has the turn ends it; it holds no invariant of ours.
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn, until it is dropped.
pub(crate) struct Turn<'a>(&'a Shared);

impl Turns {
    /// Takes the turn. One that another operation has is waited for only if that was cancelled.
    pub(crate) fn take_or_refuse(&self, cancel: &CancelToken) -> Result<Turn<'_>, NoTurn> {
        self.take(cancel, CancelToken::is_cancelled)
    }

    /// Takes the turn once it is free.
    pub(crate) fn wait(&self, cancel: &CancelToken) -> Result<Turn<'_>, NoTurn> {
        self.take(cancel, |_| true)
    }

    fn take(&self, cancel: &CancelToken, is_waited_for: fn(&CancelToken) -> bool) -> Result<Turn<'_>, NoTurn> {
        let shared = Arc::clone(&self.0);
        let _woken = cancel.on_cancel(move || {
            // Under the lock, so that nobody falls asleep between its last look and this word.
            let _holder = shared.holder();
            shared.changed.notify_all();
        });
        let mut holder = self.0.holder();
        loop {
            match holder.as_ref() {
                None => {
                    *holder = Some(cancel.clone());
                    return Ok(Turn(&self.0));
                }
                Some(_) if cancel.is_cancelled() => return Err(NoTurn::Cancelled),
                Some(other) if !is_waited_for(other) => return Err(NoTurn::Taken),
                Some(_) => holder = self.0.changed.wait(holder).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.holder() = None;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_turn_that_nobody_cancelled_is_refused_to_others() {
        let (turns, first) = (Turns::default(), CancelToken::new());
        let turn = turns.take_or_refuse(&first).unwrap();
        assert_eq!(turns.take_or_refuse(&CancelToken::new()).err(), Some(NoTurn::Taken));
        drop(turn);
        assert!(turns.take_or_refuse(&CancelToken::new()).is_ok());
    }

    #[test]
    fn one_that_was_cancelled_is_waited_for() {
        let (turns, held) = (Turns::default(), CancelToken::new());
        let turn = turns.take_or_refuse(&held).unwrap();
        held.cancel();
        let (asking, asked) = mpsc::channel();
        let told = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                asking.send(()).unwrap();
                turns.take_or_refuse(&CancelToken::new()).err()
            });
            asked.recv().unwrap();
            drop(turn);
            other.join().unwrap()
        });
        assert_eq!(told, None);
        assert!(turns.wait(&CancelToken::new()).is_ok(), "it was given back");
    }

    #[test]
    fn who_waits_can_be_cancelled_too() {
        let (turns, held, cancel) = (Turns::default(), CancelToken::new(), CancelToken::new());
        let turn = turns.wait(&held).unwrap();
        let told = std::thread::scope(|scope| {
            let other = scope.spawn(|| turns.wait(&cancel).err());
            cancel.cancel();
            other.join().unwrap()
        });
        assert_eq!(told, Some(NoTurn::Cancelled));
        drop(turn);
    }
}
