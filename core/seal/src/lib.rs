#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base64_bytes;
pub mod data_key;
pub mod envelope;
pub mod piece;
pub mod recipient_key;
pub mod wrap;

#[cfg(test)]
mod test_random;

pub use data_key::DataKey;
pub use envelope::{
    Envelope, EnvelopeContent, EnvelopeError, EnvelopeReceipts, NewEnvelope, PieceEntry, UntrustedEnvelope,
};
pub use piece::{PieceAddress, PieceError, PieceOpener, PieceSealer, SealedPiece, SegmentSealer};
pub use recipient_key::{KemAlgorithm, RecipientKeyError, RecipientPrivateKey, RecipientPublicKey, key_id, sha256};
pub use wrap::{Recipient, RecipientRole, Wrap, WrapError};
