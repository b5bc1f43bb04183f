//! Receipts: the device's signed statement of what it sealed, when, and in which place of its chain.
//!
//! Two phases, because a signer may be slow or locked: the payload's bytes are made in the capture's transaction (their
//! digest is the next receipt's `previous`), the signature follows whenever the signer can.

use ciborium::Value;
use snaptrak_domain::{
    AssetId, BootId, CaptureId, DeviceId, Instant, MonotonicMs, Rendition, Sha256Digest, Signer, UnixMs, WallTime,
};

pub use crate::cose::{PUBLIC_KEY_BYTES, ReceiptError, SIGNED_BYTES_MAX};

use crate::cbor::{self, MapReader};
use crate::cose::{self, UntrustedMessage, malformed};
use crate::envelope::{PIECES_MAX, PieceEntry};
use crate::recipient_key::sha256;

const FORMAT: &str = "snaptrak.receipt/1";
const FORMAT_NAME: &str = "snaptrak.receipt/";
const CONTENT_TYPE: &str = "application/vnd.snaptrak.receipt+cbor";

/// Longest zone name or boot id: the longest of IANA's zones has 32 characters, a boot id is a UUID.
const LABEL_BYTES_MAX: usize = 256;

/// What stands in `previous` of the first receipt of a chain.
pub const FIRST_PREVIOUS: Sha256Digest = Sha256Digest([0; 32]);

/// What a receipt states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptClaims {
    /// The asset.
    pub asset_id: AssetId,
    /// Its capture.
    pub capture_id: CaptureId,
    /// The device.
    pub device_id: DeviceId,
    /// Which rendition it is.
    pub rendition: Rendition,
    /// Place in the device's chain, from 1.
    pub sequence: u64,
    /// SHA-256 of the previous receipt's payload, [`FIRST_PREVIOUS`] in the first.
    pub previous: Sha256Digest,
    /// SHA-256 of the asset's plaintext.
    pub sha256: Sha256Digest,
    /// Plaintext bytes.
    pub bytes: u64,
    /// The sealed pieces in order.
    pub pieces: Vec<PieceEntry>,
    /// Wall time of the capture, by the device's clock.
    pub wall: WallTime,
    /// The same moment in time that cannot be set.
    pub instant: Instant,
    /// Server's clock minus the device's, as last known.
    pub server_offset_ms: Option<i64>,
    /// Whether the signing key lives in hardware.
    pub hardware: bool,
}

impl ReceiptClaims {
    /// The deterministic CBOR that is signed.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let text = |text: &str| Value::Text(text.to_owned());
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        cbor::encode_map(vec![
            ("format", text(FORMAT)),
            ("asset_id", bytes(self.asset_id.as_bytes())),
            ("capture_id", bytes(self.capture_id.as_bytes())),
            ("device_id", bytes(self.device_id.as_bytes())),
            ("rendition", text(self.rendition.as_str())),
            ("sequence", self.sequence.into()),
            ("previous", bytes(self.previous.as_bytes())),
            ("sha256", bytes(self.sha256.as_bytes())),
            ("bytes", self.bytes.into()),
            ("pieces", pieces_to_value(&self.pieces)),
            ("wall_ms", self.wall.unix_ms.0.into()),
            ("offset_minutes", self.wall.offset_minutes.into()),
            ("zone", self.wall.zone.as_deref().map_or(Value::Null, text)),
            ("monotonic_ms", self.instant.monotonic_ms.0.into()),
            ("boot_id", text(&self.instant.boot_id.0)),
            ("server_offset_ms", self.server_offset_ms.map_or(Value::Null, Value::from)),
            ("hardware", self.hardware.into()),
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
        // A second spelling, a repeated or an unknown field would all show here.
        if claims.to_payload() != payload {
            return Err(malformed("not deterministic CBOR of this format"));
        }
        claims.check_rules()?;
        Ok(claims)
    }

    fn read(map: &mut MapReader) -> Option<Self> {
        Some(Self {
            asset_id: AssetId::from_bytes(map.bytes("asset_id")?),
            capture_id: CaptureId::from_bytes(map.bytes("capture_id")?),
            device_id: DeviceId::from_bytes(map.bytes("device_id")?),
            rendition: map.text("rendition")?.parse().ok()?,
            sequence: map.unsigned("sequence")?,
            previous: Sha256Digest(map.bytes("previous")?),
            sha256: Sha256Digest(map.bytes("sha256")?),
            bytes: map.unsigned("bytes")?,
            pieces: pieces_from_value(map.take("pieces")?)?,
            wall: WallTime {
                unix_ms: UnixMs(map.signed("wall_ms")?),
                offset_minutes: i32::try_from(map.signed("offset_minutes")?).ok()?,
                zone: map.nullable("zone", |value| value.into_text().ok())?,
            },
            instant: Instant {
                monotonic_ms: MonotonicMs(map.signed("monotonic_ms")?),
                boot_id: BootId(map.text("boot_id")?),
            },
            server_offset_ms: map.nullable("server_offset_ms", cbor::signed)?,
            hardware: map.boolean("hardware")?,
        })
    }

    fn check_rules(&self) -> Result<(), ReceiptError> {
        let zone_bytes = self.wall.zone.as_ref().map_or(0, String::len);
        if zone_bytes > LABEL_BYTES_MAX || self.instant.boot_id.0.len() > LABEL_BYTES_MAX {
            return Err(malformed("a label is too long"));
        }
        if self.sequence == 0 {
            return Err(malformed("the sequence begins at 1"));
        }
        check_pieces(&self.pieces)
    }
}

/// A receipt that was read and whose signature has not been checked.
pub struct UntrustedReceipt {
    message: UntrustedMessage,
    claims: ReceiptClaims,
}

/// Signs a payload that [`ReceiptClaims::to_payload`] made; a tagged COSE_Sign1.
pub fn sign_receipt(payload: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, ReceiptError> {
    cose::sign(payload, CONTENT_TYPE, signer)
}

impl UntrustedReceipt {
    /// Reads a tagged COSE_Sign1 of the receipt's content type.
    pub fn parse(signed: &[u8]) -> Result<Self, ReceiptError> {
        let message = UntrustedMessage::parse(signed, CONTENT_TYPE)?;
        let claims = ReceiptClaims::from_payload(message.payload())?;
        Ok(Self { message, claims })
    }

    /// What the receipt states, not vouched for yet.
    #[must_use]
    pub fn claims(&self) -> &ReceiptClaims {
        &self.claims
    }

    /// SHA-256 of the SEC1 public key that is said to have signed.
    #[must_use]
    pub fn key_id(&self) -> Sha256Digest {
        self.message.key_id()
    }

    /// SHA-256 of the payload: what the next receipt and the countersignature name.
    #[must_use]
    pub fn payload_sha256(&self) -> Sha256Digest {
        sha256(self.message.payload())
    }

    /// Checks the signature by an uncompressed SEC1 point.
    pub fn verify(self, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<ReceiptClaims, ReceiptError> {
        self.message.verify(public_key)?;
        Ok(self.claims)
    }
}

pub(crate) fn pieces_to_value(pieces: &[PieceEntry]) -> Value {
    let entry = |piece: &PieceEntry| {
        let digest = Value::Bytes(piece.sealed_sha256.as_bytes().to_vec());
        Value::Array(vec![piece.index.into(), piece.sealed_bytes.into(), digest])
    };
    Value::Array(pieces.iter().map(entry).collect())
}

pub(crate) fn pieces_from_value(value: Value) -> Option<Vec<PieceEntry>> {
    let entry = |value: Value| {
        let [index, sealed_bytes, sealed_sha256] = cbor::array(value)?;
        Some(PieceEntry {
            index: u32::try_from(cbor::unsigned(index)?).ok()?,
            sealed_bytes: cbor::unsigned(sealed_bytes)?,
            sealed_sha256: cbor::digest(sealed_sha256)?,
        })
    };
    value.into_array().ok()?.into_iter().map(entry).collect()
}

pub(crate) fn check_pieces(pieces: &[PieceEntry]) -> Result<(), ReceiptError> {
    if pieces.is_empty() || pieces.len() > PIECES_MAX {
        return Err(malformed("no pieces, or too many"));
    }
    if pieces.iter().enumerate().any(|(place, piece)| piece.index as usize != place) {
        return Err(malformed("pieces are not in order"));
    }
    Ok(())
}
