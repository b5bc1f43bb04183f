//! Why an operation as a whole could not be done. What concerns one item is an outcome in the queue, never an error here.

use snaptrak_domain::queue_store::QueueError;
use snaptrak_domain::transport::TransferError;
use snaptrak_domain::{RandomError, Sha256Digest};
use snaptrak_seal::TrustError;

use crate::api::ApiError;
use crate::origin::OriginError;
use crate::session::RefreshError;

/// Everything that can end an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// The server's address is not taken; plain HTTP beyond this machine is among these.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// There was no answer.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The server refused, or answered something else than the protocol.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The store could not do it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The organisation's keys were not accepted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The organisation's root is another one than the app gave or than was accepted before.
    #[error("the organisation's root key is {found}, expected {expected}")]
    OtherRoot {
        /// What was given or pinned.
        expected: Sha256Digest,
        /// What the server showed.
        found: Sha256Digest,
    },
    /// The store belongs to another account: one store an account.
    #[error("this store is enrolled with another account")]
    OtherAccount,
    /// Nobody has enrolled this device.
    #[error("this device is not enrolled")]
    NotEnrolled,
    /// The session is over: someone has to sign in.
    #[error("the session ended")]
    SignedOut,
    /// The app that gives the tokens has none now.
    #[error("the app has no access token now")]
    NoToken,
    /// There is no app that gives tokens.
    #[error("this instance was opened without a token provider")]
    NoProvider,
    /// The server gave other bytes for a piece than were sealed on this device; they replaced nothing.
    #[error("the server gave other bytes than were sealed on this device")]
    OtherBytes,
    /// The server does not hold a purged piece any more; it is set aside as lost.
    #[error("the server does not hold the purged bytes any more")]
    ServerLost,
    /// Another operation of the same kind is under way.
    #[error("a sync is already under way")]
    AlreadyRunning,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<RefreshError> for SyncError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::SignedOut => Self::SignedOut,
            RefreshError::NoToken => Self::NoToken,
            RefreshError::OtherAccount => Self::OtherAccount,
            RefreshError::Later(error) | RefreshError::Refused(error) => error.into(),
            RefreshError::Transfer(error) => error.into(),
            RefreshError::Queue(error) => error.into(),
        }
    }
}
