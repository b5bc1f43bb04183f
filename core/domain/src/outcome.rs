//! The outcome of one attempt at a step.

use crate::Reason;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The step is done.
    Done,
    /// Nothing was tried (offline, signed out, no key): costs no attempt and no delay.
    NotAttempted(Reason),
    /// The other side works on it (verification pending): not a failure.
    NotYet {
        /// Why.
        reason: Reason,
        /// When to ask again.
        retry_after_ms: i64,
    },
    /// It may work later.
    Failed {
        /// Why.
        reason: Reason,
        /// What the server asked for, if it did.
        retry_after_ms: Option<i64>,
    },
    /// A verdict on the data: the same attempt would end the same way.
    Refused(Reason),
}
