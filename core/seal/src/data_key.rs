//! The data key of one asset: 32 random bytes from which every other key of that asset is derived.
//!
//! Owns the bytes and their derivations. Refuses to know where wrapped copies of it lie. The bytes are wiped when the
//! value is dropped; what `ring` keeps of derived keys inside its own types is not wiped.

use ring::hkdf;
use snaptrak_domain::{AssetId, Random, RandomError};
use zeroize::Zeroizing;

/// Length of a data key.
pub const DATA_KEY_BYTES: usize = 32;

/// Length of every key that is derived here: AES-256 and HMAC-SHA256 both take 32 bytes.
const DERIVED_KEY_BYTES: usize = 32;

const ENVELOPE_MAC_INFO: &[u8] = b"snaptrak.envelope/1 mac";
const ENVELOPE_METADATA_INFO: &[u8] = b"snaptrak.envelope/1 metadata";

/// The random key of one asset, drawn once before its first piece.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; DATA_KEY_BYTES]>);

impl DataKey {
    /// Draws a new key.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES]);
        random.fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Takes a key that was unwrapped elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; DATA_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself, for wrapping and for an export that its owner asked for. Never log it.
    #[must_use]
    pub fn expose(&self) -> &[u8; DATA_KEY_BYTES] {
        &self.0
    }

    /// HKDF-SHA256 with this key as input keying material.
    pub(crate) fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; DERIVED_KEY_BYTES]> {
        let mut derived = Zeroizing::new([0; DERIVED_KEY_BYTES]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.as_slice())
            .expand(info, DerivedKeyLength)
            .and_then(|output| output.fill(derived.as_mut_slice()))
            .expect("32 bytes are fewer than the 255 blocks that HKDF can give");
        derived
    }

    /// The key of the HMAC that closes the asset's envelope.
    pub(crate) fn envelope_mac_key(&self, asset_id: AssetId) -> Zeroizing<[u8; DERIVED_KEY_BYTES]> {
        self.derive(&[], &[ENVELOPE_MAC_INFO, asset_id.as_bytes()])
    }

    /// The key under which the asset's metadata is sealed.
    pub(crate) fn metadata_key(&self, asset_id: AssetId) -> Zeroizing<[u8; DERIVED_KEY_BYTES]> {
        self.derive(&[], &[ENVELOPE_METADATA_INFO, asset_id.as_bytes()])
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DataKey(redacted)")
    }
}

struct DerivedKeyLength;

impl hkdf::KeyType for DerivedKeyLength {
    fn len(&self) -> usize {
        DERIVED_KEY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_redacts_the_key() {
        assert_eq!(format!("{:?}", DataKey::from_bytes([0xab; 32])), "DataKey(redacted)");
    }

    #[test]
    fn keys_of_different_purposes_and_salts_differ() {
        let key = DataKey::from_bytes([7; 32]);
        assert_ne!(key.derive(&[], &[b"one"]), key.derive(&[], &[b"two"]));
        assert_ne!(key.derive(&[1], &[b"one"]), key.derive(&[2], &[b"one"]));
    }
}
