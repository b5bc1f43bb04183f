//! What an error of the store means for the app.

use crate::{Error, ErrorCode};
use snaptrak_domain::queue_store::QueueError;
use snaptrak_store::StoreError;

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        use ErrorCode as C;
        let code = match &error {
            StoreError::InUse => C::InUse,
            StoreError::NotAStore => C::NotAStore,
            StoreError::NotEmpty => C::NotEmpty,
            StoreError::WrongKey => C::WrongKey,
            StoreError::NotYet => C::NotYet,
            StoreError::NeedsUser => C::NeedsUser,
            StoreError::KeysLost => C::KeysLost,
            StoreError::KeysetMissing => C::KeysetMissing,
            StoreError::KeysetDamaged | StoreError::Damaged { .. } => C::Damaged,
            StoreError::NewerSchema { .. } => C::NewerVersion,
            StoreError::Full => C::StorageFull,
            StoreError::Missing { .. } => C::NotFound,
            StoreError::Purged => C::Purged,
            StoreError::Refused { code: "empty" } => C::EmptyFile,
            StoreError::Refused { .. } => C::InvalidArgument,
            StoreError::Source { .. } => C::Unreadable,
            StoreError::Closed | StoreError::Cancelled => C::Cancelled,
            StoreError::NoCipher
            | StoreError::Random(_)
            | StoreError::Seal { .. }
            | StoreError::Io { .. }
            | StoreError::Database { .. }
            | StoreError::Panicked => C::Internal,
        };
        if code == C::Internal {
            tracing::error!(error = %DisplayChain(&error), "the store failed");
        }
        Self::new(code, DisplayChain(&error).to_string())
    }
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        use ErrorCode as C;
        let code = match &error {
            QueueError::Full => C::StorageFull,
            QueueError::Damaged { .. } => C::Damaged,
            QueueError::NeedsUser => C::NeedsUser,
            QueueError::Missing { .. } => C::NotFound,
            QueueError::Closed => C::Cancelled,
            QueueError::Unavailable { .. } => C::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// An error with its sources, as one sentence.
pub(crate) struct DisplayChain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for DisplayChain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
