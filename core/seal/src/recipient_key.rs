//! Key pairs to which data keys are wrapped: X-Wing (ML-KEM-768 with X25519) and X25519, as RFC 9180 serializes them.
//!
//! Owns names, lengths and ids of keys, and the file in which an organisation takes its private key into its own hands.
//! Private bytes are wiped when dropped here; what the `hpke` crate holds while it works it wipes itself, as far as it says.

use std::str::FromStr;

use hpke::{Deserializable, Kem as _, Serializable, kem};
use ring::digest;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{Random, RandomError, Sha256Digest};
use zeroize::Zeroizing;

use crate::base64_bytes;

/// Length of a private key: X25519's scalar, or the seed from which X-Wing expands both of its parts.
pub const PRIVATE_KEY_BYTES: usize = 32;

const PRIVATE_KEY_FORMAT: &str = "snaptrak.private-key/1";

/// The key encapsulation mechanism of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KemAlgorithm {
    /// ML-KEM-768 with X25519 (draft-connolly-cfrg-xwing-kem): what is recorded today stays sealed against tomorrow's
    /// computers. Public key 1,216 bytes, encapsulated key 1,120.
    #[serde(rename = "x-wing")]
    XWing,
    /// DHKEM(X25519, HKDF-SHA256) of RFC 9180. Public and encapsulated key 32 bytes.
    #[serde(rename = "x25519")]
    X25519,
}

impl KemAlgorithm {
    /// The word in trust bundles and key files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XWing => "x-wing",
            Self::X25519 => "x25519",
        }
    }

    /// The word in an envelope's wraps.
    #[must_use]
    pub fn wrap_name(self) -> &'static str {
        match self {
            Self::XWing => "x-wing",
            Self::X25519 => "dhkem-x25519-hkdf-sha256",
        }
    }

    /// HPKE's registered number.
    #[must_use]
    pub fn kem_id(self) -> u16 {
        match self {
            Self::XWing => kem::XWing::KEM_ID,
            Self::X25519 => kem::X25519HkdfSha256::KEM_ID,
        }
    }

    /// The algorithm with this number.
    #[must_use]
    pub fn from_kem_id(kem_id: u16) -> Option<Self> {
        [Self::XWing, Self::X25519].into_iter().find(|algorithm| algorithm.kem_id() == kem_id)
    }
}

impl FromStr for KemAlgorithm {
    type Err = RecipientKeyError;
    fn from_str(text: &str) -> Result<Self, RecipientKeyError> {
        [Self::XWing, Self::X25519]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or(RecipientKeyError::UnknownAlgorithm)
    }
}

/// Why bytes are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipientKeyError {
    /// Wrong length, or a point that the algorithm refuses.
    #[error("the bytes are not a key of this algorithm")]
    InvalidKey,
    /// An algorithm that this version does not know.
    #[error("the key's algorithm is unknown")]
    UnknownAlgorithm,
    /// A key file that is not of the format, or whose halves do not belong together.
    #[error("the key file is malformed")]
    MalformedFile,
}

/// The public half: what data keys are wrapped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientPublicKey {
    algorithm: KemAlgorithm,
    bytes: Vec<u8>,
}

impl RecipientPublicKey {
    /// Takes a serialized key and checks it.
    pub fn from_bytes(algorithm: KemAlgorithm, bytes: &[u8]) -> Result<Self, RecipientKeyError> {
        let valid = match algorithm {
            KemAlgorithm::XWing => <kem::XWing as hpke::Kem>::PublicKey::from_bytes(bytes).is_ok(),
            KemAlgorithm::X25519 => <kem::X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(bytes).is_ok(),
        };
        if valid { Ok(Self { algorithm, bytes: bytes.to_vec() }) } else { Err(RecipientKeyError::InvalidKey) }
    }

    /// Which mechanism it is for.
    #[must_use]
    pub fn algorithm(&self) -> KemAlgorithm {
        self.algorithm
    }

    /// The serialized key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the serialized key: its name in wraps, trust bundles and countersignatures.
    #[must_use]
    pub fn key_id(&self) -> Sha256Digest {
        key_id(&self.bytes)
    }
}

/// The private half.
#[derive(Clone)]
pub struct RecipientPrivateKey {
    algorithm: KemAlgorithm,
    bytes: Zeroizing<[u8; PRIVATE_KEY_BYTES]>,
}

impl RecipientPrivateKey {
    /// Draws a new pair. For both algorithms every 32 bytes are a private key.
    pub fn generate(algorithm: KemAlgorithm, random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; PRIVATE_KEY_BYTES]);
        random.fill(bytes.as_mut_slice())?;
        Ok(Self { algorithm, bytes })
    }

    /// Takes a key that was kept elsewhere.
    pub fn from_bytes(algorithm: KemAlgorithm, bytes: &[u8]) -> Result<Self, RecipientKeyError> {
        let mut key = Zeroizing::new([0; PRIVATE_KEY_BYTES]);
        if bytes.len() != key.len() {
            return Err(RecipientKeyError::InvalidKey);
        }
        key.copy_from_slice(bytes);
        Ok(Self { algorithm, bytes: key })
    }

    /// Which mechanism it is for.
    #[must_use]
    pub fn algorithm(&self) -> KemAlgorithm {
        self.algorithm
    }

    /// The serialized key, for a keyset or an export that its owner asked for. Never log it.
    #[must_use]
    pub fn expose(&self) -> &[u8; PRIVATE_KEY_BYTES] {
        &self.bytes
    }

    /// The other half.
    #[must_use]
    pub fn public_key(&self) -> RecipientPublicKey {
        let bytes = match self.algorithm {
            KemAlgorithm::XWing => public_bytes::<kem::XWing>(self.expose()),
            KemAlgorithm::X25519 => public_bytes::<kem::X25519HkdfSha256>(self.expose()),
        };
        RecipientPublicKey { algorithm: self.algorithm, bytes }
    }

    /// The pair as the JSON file `snaptrak.private-key/1` that `snaptrak-server export-upload-key` writes.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let public = base64_bytes::encode(self.public_key().as_bytes());
        let private = Zeroizing::new(base64_bytes::encode(self.expose()));
        Zeroizing::new(format!(
            "{{\"format\":\"{PRIVATE_KEY_FORMAT}\",\"algorithm\":\"{}\",\"public\":\"{public}\",\"private\":\"{}\"}}\n",
            self.algorithm.as_str(),
            private.as_str(),
        ))
    }

    /// Reads what [`to_file`](Self::to_file) wrote and checks that both halves belong together.
    pub fn from_file(text: &str) -> Result<Self, RecipientKeyError> {
        #[derive(Deserialize)]
        struct File<'a> {
            format: &'a str,
            algorithm: &'a str,
            #[serde(with = "base64_bytes")]
            public: Vec<u8>,
            #[serde(with = "base64_bytes::secret")]
            private: Zeroizing<Vec<u8>>,
        }
        let file: File<'_> = serde_json::from_str(text).map_err(|_| RecipientKeyError::MalformedFile)?;
        if file.format != PRIVATE_KEY_FORMAT {
            return Err(RecipientKeyError::MalformedFile);
        }
        let key = Self::from_bytes(file.algorithm.parse()?, &file.private)?;
        if key.public_key().as_bytes() == file.public { Ok(key) } else { Err(RecipientKeyError::MalformedFile) }
    }
}

impl std::fmt::Debug for RecipientPrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RecipientPrivateKey({}, redacted)", self.algorithm.as_str())
    }
}

/// SHA-256 of a serialized public key of any kind: how keys are named everywhere.
#[must_use]
pub fn key_id(public_key: &[u8]) -> Sha256Digest {
    sha256(public_key)
}

/// SHA-256 of bytes that are in memory anyway.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    Sha256Digest(digest)
}

fn public_bytes<K: hpke::Kem>(private: &[u8; PRIVATE_KEY_BYTES]) -> Vec<u8> {
    let private = K::PrivateKey::from_bytes(private).expect("any 32 bytes are a private key of both algorithms");
    K::sk_to_pk(&private).to_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_random::{CountingRandom, NoRandom};

    #[test]
    fn numbers_are_the_registered_ones() {
        assert_eq!(KemAlgorithm::XWing.kem_id(), 25_722);
        assert_eq!(KemAlgorithm::X25519.kem_id(), 32);
        assert_eq!(KemAlgorithm::from_kem_id(32), Some(KemAlgorithm::X25519));
        assert_eq!(KemAlgorithm::from_kem_id(1), None);
    }

    #[test]
    fn key_files_round_trip_and_mixed_halves_are_refused() {
        let random = CountingRandom::new(3);
        for (algorithm, public_bytes) in [(KemAlgorithm::XWing, 1216), (KemAlgorithm::X25519, 32)] {
            let key = RecipientPrivateKey::generate(algorithm, &random).unwrap();
            assert_eq!(key.public_key().as_bytes().len(), public_bytes);
            let back = RecipientPrivateKey::from_file(&key.to_file()).unwrap();
            assert_eq!(back.expose(), key.expose());
            let other = RecipientPrivateKey::generate(algorithm, &random).unwrap();
            let mixed = key.to_file().replace(
                &base64_bytes::encode(key.public_key().as_bytes()),
                &base64_bytes::encode(other.public_key().as_bytes()),
            );
            assert_eq!(RecipientPrivateKey::from_file(&mixed).unwrap_err(), RecipientKeyError::MalformedFile);
        }
        assert!(RecipientPrivateKey::generate(KemAlgorithm::XWing, &NoRandom).is_err());
    }

    #[test]
    fn debug_output_redacts_the_key() {
        let key = RecipientPrivateKey::from_bytes(KemAlgorithm::X25519, &[0xab; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "RecipientPrivateKey(x25519, redacted)");
    }

    #[test]
    fn keys_of_a_wrong_length_are_refused() {
        assert!(RecipientPublicKey::from_bytes(KemAlgorithm::XWing, &[1; 32]).is_err());
        assert!(RecipientPublicKey::from_bytes(KemAlgorithm::X25519, &[1; 31]).is_err());
        assert!(RecipientPrivateKey::from_bytes(KemAlgorithm::X25519, &[1; 33]).is_err());
    }
}
