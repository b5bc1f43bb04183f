//! The fields of an envelope in the order in which they lie in the file.

use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, CaptureId, DeviceId, OrganisationId, Rendition, Sha256Digest, UnixMs};

use crate::base64_bytes;
use crate::piece::SealedPiece;
use crate::wrap::Wrap;

/// A sealed piece as anyone may see it: nothing here says what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceEntry {
    /// Place in the asset, from 0 without gaps.
    pub index: u32,
    /// Length of the sealed file.
    pub sealed_bytes: u64,
    /// SHA-256 of the sealed file.
    pub sealed_sha256: Sha256Digest,
}

impl From<&SealedPiece> for PieceEntry {
    fn from(piece: &SealedPiece) -> Self {
        Self { index: piece.index, sealed_bytes: piece.sealed_bytes, sealed_sha256: piece.sealed_sha256 }
    }
}

/// AES-256-GCM under the metadata key: 12 bytes of nonce, ciphertext with its tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataBox {
    /// Drawn anew for every sealing.
    #[serde(with = "base64_bytes")]
    pub nonce: Vec<u8>,
    /// Sealed JSON of `SealedMetadata`.
    #[serde(with = "base64_bytes")]
    pub ciphertext: Vec<u8>,
}

/// The signed receipts, each a tagged COSE_Sign1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeReceipts {
    /// The device's.
    #[serde(with = "base64_bytes")]
    pub device: Vec<u8>,
    /// The server's countersignature, once there is one.
    #[serde(with = "optional_base64")]
    pub server: Option<Vec<u8>>,
}

/// What an envelope says. Read from a file it is a claim until the data key has authenticated it.
///
/// An unknown field is refused: a rewrite would lose it, so a format with more fields has another version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeContent {
    pub(super) format: String,
    /// The organisation, once the device is enrolled.
    pub organisation_id: Option<OrganisationId>,
    /// The device that sealed the asset.
    pub device_id: DeviceId,
    /// The capture that the asset belongs to.
    pub capture_id: CaptureId,
    /// The asset; bound into keys, wraps and pieces.
    pub asset_id: AssetId,
    /// Which rendition it is.
    pub rendition: Rendition,
    /// When the capture was taken in.
    pub created_ms: UnixMs,
    /// Finished pieces in order.
    pub pieces: Vec<PieceEntry>,
    /// No piece will follow.
    pub closed: bool,
    /// The data key for each recipient.
    pub wraps: Vec<Wrap>,
    /// The sealed metadata.
    pub metadata: MetadataBox,
    /// The receipts, once there are any.
    pub receipt: Option<EnvelopeReceipts>,
}

impl EnvelopeContent {
    /// Sealed bytes of all pieces together.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.sealed_bytes))
    }

    /// The wrap for the recipient with this key id.
    #[must_use]
    pub fn wrap_for(&self, key_id: &Sha256Digest) -> Option<&Wrap> {
        self.wraps.iter().find(|wrap| wrap.key_id == *key_id)
    }
}

mod optional_base64 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::base64_bytes;

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(base64_bytes::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        base64_bytes::decode(&text).map(Some).ok_or_else(|| D::Error::custom("not padded base64"))
    }
}
