//! COSE_Sign1 (RFC 9052) with ES256 over a payload that is signed as it is: the wrapping of receipts and countersignatures.
//!
//! Owns headers and signatures. Refuses to know what a payload says. Only the three protected headers of this format are
//! accepted; nothing unprotected is, because nothing would vouch for it.

use coset::{CborSerializable, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, TaggedCborSerializable, iana};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use snaptrak_domain::{Sha256Digest, Signer, SignerError};

use crate::recipient_key::key_id;

/// Longest signed message: the piece list of the largest asset takes 700 KB in it. Checked before anything is parsed.
pub const SIGNED_BYTES_MAX: usize = 1024 * 1024;

/// Length of an uncompressed P-256 point.
pub const PUBLIC_KEY_BYTES: usize = 65;

/// Why a signed message was not made or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The signer gave no signature.
    #[error("no signature was made")]
    Signer(#[from] SignerError),
    /// Longer than any receipt is.
    #[error("a signed message has at most {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// Not a tagged COSE_Sign1 with these headers, or a payload that breaks a rule of its format.
    #[error("the signed message is malformed: {reason}")]
    Malformed {
        /// Which rule, in words without content.
        reason: &'static str,
    },
    /// A payload of a later version: update.
    #[error("the signed message has version {version}, which is newer than this software")]
    Newer {
        /// The version that it names.
        version: u64,
    },
    /// Signed by another key than the one given.
    #[error("the message is signed by the key {key_id}")]
    OtherKey {
        /// The key that would verify it.
        key_id: Sha256Digest,
    },
    /// The signature does not fit: the message was altered or the key is not the one it names.
    #[error("the signature does not verify")]
    BadSignature,
    /// The countersignature speaks of another receipt, asset or other bytes than the device's receipt.
    #[error("the countersignature contradicts the receipt: {field}")]
    Contradiction {
        /// The field that differs.
        field: &'static str,
    },
}

pub(crate) fn malformed(reason: &'static str) -> ReceiptError {
    ReceiptError::Malformed { reason }
}

/// A message whose signature has not been checked.
pub(crate) struct UntrustedMessage {
    message: CoseSign1,
    key_id: Sha256Digest,
}

/// Signs a payload; the tagged message.
pub(crate) fn sign(payload: &[u8], content_type: &str, signer: &dyn Signer) -> Result<Vec<u8>, ReceiptError> {
    let header = header(content_type, &key_id(&signer.public_key()));
    let message = CoseSign1Builder::new()
        .protected(header)
        .payload(payload.to_vec())
        .try_create_signature(&[], |to_be_signed| signer.sign(to_be_signed).map(|signature| signature.to_vec()))?
        .build();
    let bytes = message.to_tagged_vec().map_err(|_| malformed("not encodable"))?;
    if bytes.len() > SIGNED_BYTES_MAX {
        return Err(ReceiptError::TooLarge { bytes_max: SIGNED_BYTES_MAX });
    }
    Ok(bytes)
}

impl UntrustedMessage {
    pub(crate) fn parse(bytes: &[u8], content_type: &str) -> Result<Self, ReceiptError> {
        if bytes.len() > SIGNED_BYTES_MAX {
            return Err(ReceiptError::TooLarge { bytes_max: SIGNED_BYTES_MAX });
        }
        let message = CoseSign1::from_tagged_slice(bytes).map_err(|_| malformed("not a tagged COSE_Sign1"))?;
        let kid: [u8; 32] = message
            .protected
            .header
            .key_id
            .as_slice()
            .try_into()
            .map_err(|_| malformed("the key id has a wrong length"))?;
        let key_id = Sha256Digest(kid);
        let expected = header(content_type, &key_id);
        let same_bytes = match &message.protected.original_data {
            Some(original) => expected.clone().to_vec().is_ok_and(|bytes| bytes == *original),
            None => message.protected.header == expected,
        };
        if !same_bytes || message.unprotected != Header::default() {
            return Err(malformed("other headers than the format has"));
        }
        if message.payload.is_none() {
            return Err(malformed("no payload"));
        }
        Ok(Self { message, key_id })
    }

    pub(crate) fn key_id(&self) -> Sha256Digest {
        self.key_id
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.message.payload.as_deref().unwrap_or_default()
    }

    pub(crate) fn verify(&self, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<(), ReceiptError> {
        if key_id(public_key) != self.key_id {
            return Err(ReceiptError::OtherKey { key_id: self.key_id });
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key);
        self.message
            .verify_signature(&[], |signature, signed| key.verify(signed, signature))
            .map_err(|_| ReceiptError::BadSignature)
    }
}

fn header(content_type: &str, key_id: &Sha256Digest) -> Header {
    HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .content_type(content_type.to_owned())
        .key_id(key_id.as_bytes().to_vec())
        .build()
}

/// Reads the `format` of a payload: the version must be the one that is known.
pub(crate) fn check_format(format: &str, name: &str) -> Result<(), ReceiptError> {
    match format.strip_prefix(name) {
        Some("1") => Ok(()),
        Some(version) => match version.parse::<u64>() {
            Ok(version) if version > 1 => Err(ReceiptError::Newer { version }),
            Ok(_) | Err(_) => Err(malformed("another format")),
        },
        None => Err(malformed("another format")),
    }
}
