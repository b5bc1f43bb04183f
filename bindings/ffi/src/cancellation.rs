//! Breaking off a long call: by hand, or because nobody waits for its answer any more.

use crate::{SnapTrakError, threads};
use snaptrak::CancelToken;
use std::sync::Arc;

/// Ends the calls that it was given to; nothing is lost by it. It cannot be used again.
///
/// Kotlin: cancelling the coroutine does the same by itself. Swift: the package's wrappers do, through
/// `withTaskCancellationHandler`.
#[derive(Debug, Default, uniffi::Object)]
pub struct Cancellation(CancelToken);

#[uniffi::export]
impl Cancellation {
    /// One that nobody has used yet.
    #[uniffi::constructor]
    pub fn new() -> Result<Arc<Self>, SnapTrakError> {
        threads::here(|| Ok(Arc::default()))
    }

    /// Ends what it was given to; twice is no error.
    pub fn cancel(&self) -> Result<(), SnapTrakError> {
        threads::here(|| {
            self.0.cancel();
            Ok(())
        })
    }

    /// Whether someone has.
    pub fn is_cancelled(&self) -> Result<bool, SnapTrakError> {
        threads::here(|| Ok(self.0.is_cancelled()))
    }
}

/// What the app breaks a call off with, for work that goes on when nobody waits for its answer any more.
pub(crate) fn of_the_app(given: Option<Arc<Cancellation>>) -> CancelToken {
    given.map_or_else(CancelToken::new, |given| given.0.child())
}

/// The token of one call, which the app's own ends too. Dropped with the call's future before its answer came, it ends the call.
pub(crate) struct Waiting {
    token: CancelToken,
    answered: bool,
}

impl Waiting {
    pub(crate) fn for_call(given: Option<Arc<Cancellation>>) -> Self {
        Self { token: of_the_app(given), answered: false }
    }

    /// What ends the call.
    pub(crate) fn token(&self) -> CancelToken {
        self.token.clone()
    }

    /// The answer came: nothing is left to end.
    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            self.token.cancel();
        }
    }
}
