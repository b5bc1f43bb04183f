//! The key and nonces of one piece: header, associated data, file key, and AES-256-GCM over single segments.
//!
//! Owns what Tink's AES256-GCM-HKDF streaming specification says of bytes. Refuses to know files and hashing.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use snaptrak_domain::{AssetId, Random, RandomError};

use super::layout::{HEADER_BYTES, TAG_BYTES};
use crate::data_key::DataKey;

const SALT_BYTES: usize = 32;
const NONCE_PREFIX_BYTES: usize = 7;
const ASSOCIATED_DATA_LABEL: &[u8] = b"snaptrak.piece/1";

/// Label, asset id and piece index.
const ASSOCIATED_DATA_BYTES: usize = ASSOCIATED_DATA_LABEL.len() + 16 + 4;

/// What a piece is bound to: opening it under another address fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceAddress {
    /// The asset that the piece belongs to.
    pub asset_id: AssetId,
    /// Its place in the asset's list of pieces, from 0.
    pub index: u32,
}

impl PieceAddress {
    /// Tink's associated data of the piece: `"snaptrak.piece/1"`, 16 bytes of asset id, big-endian index.
    #[must_use]
    pub fn associated_data(&self) -> [u8; ASSOCIATED_DATA_BYTES] {
        let mut data = [0; ASSOCIATED_DATA_BYTES];
        let (label, rest) = data.split_at_mut(ASSOCIATED_DATA_LABEL.len());
        let (id, index) = rest.split_at_mut(16);
        label.copy_from_slice(ASSOCIATED_DATA_LABEL);
        id.copy_from_slice(self.asset_id.as_bytes());
        index.copy_from_slice(&self.index.to_be_bytes());
        data
    }
}

/// The first 40 bytes of a piece. Deliberately neither `Clone` nor built from parts: one is drawn for each sealing.
pub(super) struct Header([u8; HEADER_BYTES]);

impl Header {
    pub(super) fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = HEADER_BYTES as u8;
        random.fill(&mut bytes[1..])?;
        Ok(Self(bytes))
    }

    /// `None` where the length byte is not that of this format.
    pub(super) fn parse(bytes: [u8; HEADER_BYTES]) -> Option<Self> {
        (usize::from(bytes[0]) == HEADER_BYTES).then_some(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; HEADER_BYTES] {
        &self.0
    }

    fn salt(&self) -> &[u8] {
        &self.0[1..=SALT_BYTES]
    }

    fn nonce_prefix(&self) -> &[u8] {
        &self.0[1 + SALT_BYTES..]
    }
}

/// The file key of one piece with its nonce prefix.
pub(super) struct SegmentCipher {
    key: LessSafeKey,
    nonce_prefix: [u8; NONCE_PREFIX_BYTES],
}

impl SegmentCipher {
    pub(super) fn derive(data_key: &DataKey, address: &PieceAddress, header: &Header) -> Self {
        let file_key = data_key.derive(header.salt(), &[&address.associated_data()]);
        let key = UnboundKey::new(&AES_256_GCM, file_key.as_slice()).expect("the file key has AES-256's 32 bytes");
        let mut nonce_prefix = [0; NONCE_PREFIX_BYTES];
        nonce_prefix.copy_from_slice(header.nonce_prefix());
        Self { key: LessSafeKey::new(key), nonce_prefix }
    }

    /// Encrypts in place and returns the tag.
    pub(super) fn seal(&self, segment: u32, last: bool, plain: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(segment, last), Aad::empty(), plain)
            .expect("a segment is far shorter than AES-GCM's limit of 64 GiB");
        let mut bytes = [0; TAG_BYTES];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Decrypts ciphertext and tag in place; the plaintext's length, or `None` where they do not authenticate (the
    /// buffer's content is then of no meaning).
    pub(super) fn open(&self, segment: u32, last: bool, sealed: &mut [u8]) -> Option<usize> {
        let plain = self.key.open_in_place(self.nonce(segment, last), Aad::empty(), sealed).ok()?;
        Some(plain.len())
    }

    fn nonce(&self, segment: u32, last: bool) -> Nonce {
        let mut bytes = [0; 12];
        bytes[..NONCE_PREFIX_BYTES].copy_from_slice(&self.nonce_prefix);
        bytes[NONCE_PREFIX_BYTES..11].copy_from_slice(&segment.to_be_bytes());
        bytes[11] = u8::from(last);
        Nonce::assume_unique_for_key(bytes)
    }
}
