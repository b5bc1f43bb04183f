//! One error for callers that touch several formats; each format's own enum says what to do.

use snaptrak_domain::RandomError;

use crate::{
    EnvelopeError, KeysetError, PieceError, ReceiptError, RecipientKeyError, SignedModelsError, TrustError, WrapError,
};

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No randomness for a new key.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A piece.
    #[error(transparent)]
    Piece(#[from] PieceError),
    /// A recipient's key.
    #[error(transparent)]
    RecipientKey(#[from] RecipientKeyError),
    /// A wrapped data key.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// An envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A receipt or countersignature.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// A trust bundle.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A signed manifest of models.
    #[error(transparent)]
    SignedModels(#[from] SignedModelsError),
    /// A keyset.
    #[error(transparent)]
    Keyset(#[from] KeysetError),
}
