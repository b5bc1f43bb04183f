//! Calls that may take long: those that wait for the server, and those that work through many captures.
//!
//! Owns that closing an instance ends them: each has a token that closing cancels, and closing waits a moment for them to write
//! down what they have. Refuses to know what a call does.

use crate::{Error, ErrorCode};
use snaptrak_domain::CancelToken;
use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long closing waits for the calls that it has cancelled. A transfer ends within milliseconds; what takes longer than this (a
/// picture that is being analysed, an app's transport that does not listen) is answered by the store that it is closed.
const CLOSING_PATIENCE: Duration = Duration::from_millis(500);

/// The calls of one instance.
#[derive(Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    next: u64,
    tokens: BTreeMap<u64, CancelToken>,
}

/// One call, until it is dropped.
pub(crate) struct Call<'a> {
    calls: &'a Calls,
    number: u64,
    token: CancelToken,
}

impl Calls {
    /// Begins a call that ends with `cancel` or with the instance; refused once that is closed.
    pub(crate) fn begin(&self, cancel: &CancelToken) -> Result<Call<'_>, Error> {
        let token = cancel.child();
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        let number = state.next;
        state.next += 1;
        state.tokens.insert(number, token.clone());
        Ok(Call { calls: self, number, token })
    }

    /// Refuses every call from now on, cancels those under way and waits a moment for their end.
    pub(crate) fn close(&self) {
        let tokens: Vec<CancelToken> = {
            let mut state = self.state();
            state.closed = true;
            state.tokens.values().cloned().collect()
        };
        // Under no lock: a token wakes whoever waits on it.
        tokens.iter().for_each(CancelToken::cancel);
        let waited = self.ended.wait_timeout_while(self.state(), CLOSING_PATIENCE, |state| !state.tokens.is_empty());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.tokens.is_empty() {
            tracing::info!(calls = state.tokens.len(), "closed while calls were still ending");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Insertions and removals leave the map whole whatever happens between them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    /// What ends it.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    /// An error once it was cancelled: asked between two steps.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        if self.token.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "the call was broken off"));
        }
        Ok(())
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.state().tokens.remove(&self.number);
        self.calls.ended.notify_all();
    }
}

/// What every call after the end is told.
pub(crate) fn closed() -> Error {
    Error::new(ErrorCode::Cancelled, "the store is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn closing_cancels_what_is_under_way_waits_for_it_and_refuses_the_rest() {
        let (calls, of_the_app) = (Calls::default(), CancelToken::new());
        let (waking, woken) = mpsc::channel();
        std::thread::scope(|scope| {
            let call = calls.begin(&of_the_app).unwrap();
            scope.spawn(move || {
                let _kept = call.token().on_cancel(move || waking.send(()).unwrap());
                woken.recv().unwrap();
                assert_eq!(call.go_on().unwrap_err().code(), ErrorCode::Cancelled);
            });
            calls.close();
            assert!(calls.state().tokens.is_empty());
        });
        assert_eq!(calls.begin(&of_the_app).err().unwrap().code(), ErrorCode::Cancelled);
        assert!(!of_the_app.is_cancelled(), "another instance may use it");
    }

    #[test]
    fn the_apps_token_ends_its_call_alone() {
        let (calls, of_the_app) = (Calls::default(), CancelToken::new());
        let (one, other) = (calls.begin(&of_the_app).unwrap(), calls.begin(&CancelToken::new()).unwrap());
        of_the_app.cancel();
        assert!(one.go_on().is_err() && other.go_on().is_ok());
    }

    #[test]
    fn a_call_that_does_not_end_is_left_behind() {
        let calls = Calls::default();
        let call = calls.begin(&CancelToken::new()).unwrap();
        calls.close();
        assert!(call.go_on().is_err());
    }
}
