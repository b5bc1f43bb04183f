//! What the envelope holds under the data key: everything that a person could be recognised by, and the digests of the
//! plaintext, which in clear would let anyone confirm that a known file is here.

use crate::{CaptureMetadata, Sha256Digest};
use serde::{Deserialize, Serialize};

/// Length and digest of a piece's plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceDigest {
    /// Place in the asset, from 0.
    pub index: u32,
    /// Plaintext bytes.
    pub bytes: u64,
    /// SHA-256 of the plaintext.
    pub sha256: Sha256Digest,
}

/// The sealed part of an envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedMetadata {
    /// The capture's metadata.
    pub capture: CaptureMetadata,
    /// Digests of the plaintext, piece by piece.
    pub pieces: Vec<PieceDigest>,
    /// Plaintext bytes of the whole asset so far.
    pub bytes: u64,
    /// SHA-256 of the whole asset's plaintext; absent until the asset is closed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Sha256Digest>,
}
