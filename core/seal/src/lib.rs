#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base64_bytes;
mod cbor;
pub mod chain;
mod cose;
pub mod countersign;
pub mod data_key;
pub mod envelope;
pub mod error;
pub mod keyset;
pub mod piece;
pub mod receipt;
pub mod recipient_key;
pub mod signed_models;
pub mod software_signer;
pub mod trust;
pub mod trust_body;
pub mod wrap;

#[cfg(test)]
mod receipt_tests;
#[cfg(test)]
mod test_random;

pub use chain::{ChainLink, ChainReport, Gap, check_chain};
pub use countersign::{CountersignClaims, UntrustedCountersignature, countersign};
pub use data_key::DataKey;
pub use envelope::{
    Envelope, EnvelopeContent, EnvelopeError, EnvelopeReceipts, NewEnvelope, PieceEntry, UntrustedEnvelope,
};
pub use error::Error;
pub use keyset::{KeyRole, Keyset, KeysetError, KeysetFile, KeysetKey, KeysetKeyState};
pub use piece::{PieceAddress, PieceError, PieceOpener, PieceSealer, SealedPiece, SegmentSealer};
pub use receipt::{FIRST_PREVIOUS, ReceiptClaims, ReceiptError, UntrustedReceipt, sign_receipt};
pub use recipient_key::{KemAlgorithm, RecipientKeyError, RecipientPrivateKey, RecipientPublicKey, key_id, sha256};
pub use signed_models::{AcceptedModels, ModelsClaims, SignedModelsError, accept_models, open_models, sign_models};
pub use software_signer::SoftwareSigner;
pub use trust::{
    AcceptedTrust, AcceptedVersion, RootKey, TrustAnchor, TrustError, accept_trust_bundle, sign_trust_bundle,
};
pub use trust_body::{KeyState, RoleAlgorithm, RoleKey, RoleKeys, RootPublic, TrustBody};
pub use wrap::{Recipient, RecipientRole, Wrap, WrapError};
