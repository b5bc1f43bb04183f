//! Countersignatures: the server's signed answer that it durably holds what a receipt states.

use ciborium::Value;
use snaptrak_domain::{AssetId, OrganisationId, Sha256Digest, Signer, UnixMs};

use crate::cbor::{self, MapReader};
use crate::cose::{self, PUBLIC_KEY_BYTES, ReceiptError, SIGNED_BYTES_MAX, UntrustedMessage, malformed};
use crate::envelope::PieceEntry;
use crate::receipt::{ReceiptClaims, check_pieces, pieces_from_value, pieces_to_value};

const FORMAT: &str = "snaptrak.countersign/1";
const FORMAT_NAME: &str = "snaptrak.countersign/";
const CONTENT_TYPE: &str = "application/vnd.snaptrak.countersign+cbor";

/// Longest name of a server: a host name has at most 253 characters.
const SERVER_ID_BYTES_MAX: usize = 256;

/// What the server states after its durable commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountersignClaims {
    /// The organisation for which it holds the asset.
    pub organisation_id: OrganisationId,
    /// The asset.
    pub asset_id: AssetId,
    /// SHA-256 of the device receipt's payload.
    pub receipt: Sha256Digest,
    /// SHA-256 of the plaintext, where the server opened the pieces; absent in `customer_held` mode.
    pub sha256: Option<Sha256Digest>,
    /// Plaintext bytes.
    pub bytes: u64,
    /// The sealed pieces that it holds.
    pub pieces: Vec<PieceEntry>,
    /// Id of the upload key to which the data key is wrapped.
    pub wrap_key_id: Sha256Digest,
    /// When it was verified, by the server's clock.
    pub verified_ms: UnixMs,
    /// Which server says so.
    pub server_id: String,
}

impl CountersignClaims {
    /// The deterministic CBOR that is signed.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        cbor::encode_map(vec![
            ("format", Value::Text(FORMAT.to_owned())),
            ("organisation_id", bytes(self.organisation_id.as_bytes())),
            ("asset_id", bytes(self.asset_id.as_bytes())),
            ("receipt", bytes(self.receipt.as_bytes())),
            ("sha256", self.sha256.map_or(Value::Null, |digest| bytes(digest.as_bytes()))),
            ("bytes", self.bytes.into()),
            ("pieces", pieces_to_value(&self.pieces)),
            ("wrap_key_id", bytes(self.wrap_key_id.as_bytes())),
            ("verified_ms", self.verified_ms.0.into()),
            ("server_id", Value::Text(self.server_id.clone())),
        ])
    }

    /// Reads a payload, which must be spelled exactly as [`to_payload`](Self::to_payload) would.
    pub fn from_payload(payload: &[u8]) -> Result<Self, ReceiptError> {
        if payload.len() > SIGNED_BYTES_MAX {
            return Err(ReceiptError::TooLarge { bytes_max: SIGNED_BYTES_MAX });
        }
        let mut map = MapReader::parse(payload).ok_or(malformed("not a CBOR map with text keys"))?;
        cose::check_format(&map.text("format").ok_or(malformed("no format"))?, FORMAT_NAME)?;
        let claims = Self::read(&mut map).ok_or(malformed("a field is missing or has a wrong type"))?;
        if claims.to_payload() != payload {
            return Err(malformed("not deterministic CBOR of this format"));
        }
        if claims.server_id.len() > SERVER_ID_BYTES_MAX {
            return Err(malformed("a label is too long"));
        }
        check_pieces(&claims.pieces)?;
        Ok(claims)
    }

    fn read(map: &mut MapReader) -> Option<Self> {
        Some(Self {
            organisation_id: OrganisationId::from_bytes(map.bytes("organisation_id")?),
            asset_id: AssetId::from_bytes(map.bytes("asset_id")?),
            receipt: Sha256Digest(map.bytes("receipt")?),
            sha256: map.nullable("sha256", cbor::digest)?,
            bytes: map.unsigned("bytes")?,
            pieces: pieces_from_value(map.take("pieces")?)?,
            wrap_key_id: Sha256Digest(map.bytes("wrap_key_id")?),
            verified_ms: UnixMs(map.signed("verified_ms")?),
            server_id: map.text("server_id")?,
        })
    }

    /// Whether the server speaks of the same bytes as the device: everything that both state must be equal. Without this a
    /// valid countersignature of another asset would let local bytes be purged.
    pub fn check_against(&self, receipt: &ReceiptClaims, payload_sha256: &Sha256Digest) -> Result<(), ReceiptError> {
        let differs = |field| Err(ReceiptError::Contradiction { field });
        if self.receipt != *payload_sha256 {
            return differs("receipt");
        }
        if self.asset_id != receipt.asset_id {
            return differs("asset_id");
        }
        if self.bytes != receipt.bytes {
            return differs("bytes");
        }
        if self.pieces != receipt.pieces {
            return differs("pieces");
        }
        if self.sha256.is_some_and(|digest| digest != receipt.sha256) {
            return differs("sha256");
        }
        Ok(())
    }
}

/// Signs the server's statement; a tagged COSE_Sign1.
pub fn countersign(claims: &CountersignClaims, signer: &dyn Signer) -> Result<Vec<u8>, ReceiptError> {
    cose::sign(&claims.to_payload(), CONTENT_TYPE, signer)
}

/// A countersignature that was read and whose signature has not been checked.
pub struct UntrustedCountersignature {
    message: UntrustedMessage,
    claims: CountersignClaims,
}

impl UntrustedCountersignature {
    /// Reads a tagged COSE_Sign1 of the countersignature's content type.
    pub fn parse(signed: &[u8]) -> Result<Self, ReceiptError> {
        let message = UntrustedMessage::parse(signed, CONTENT_TYPE)?;
        let claims = CountersignClaims::from_payload(message.payload())?;
        Ok(Self { message, claims })
    }

    /// What the server is said to state, not vouched for yet.
    #[must_use]
    pub fn claims(&self) -> &CountersignClaims {
        &self.claims
    }

    /// Which countersign key of the trust bundle is said to have signed.
    #[must_use]
    pub fn key_id(&self) -> Sha256Digest {
        self.message.key_id()
    }

    /// Checks the signature by an uncompressed SEC1 point.
    pub fn verify(self, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<CountersignClaims, ReceiptError> {
        self.message.verify(public_key)?;
        Ok(self.claims)
    }
}
