//! ES256 with a key in memory, for devices without signing hardware and for the server's countersign role.
//!
//! ring draws a key and each signature's nonce from the operating system itself; it takes no other source, so this is the
//! one place where chance is not an argument.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use snaptrak_domain::{RandomError, Secret, Signer, SignerError};

use crate::cose::PUBLIC_KEY_BYTES;

/// A P-256 key pair. What ring keeps of the private key is not wiped.
pub struct SoftwareSigner {
    pair: EcdsaKeyPair,
    public_key: [u8; PUBLIC_KEY_BYTES],
    random: SystemRandom,
}

impl SoftwareSigner {
    /// Draws a new key, as PKCS#8.
    pub fn generate_pkcs8() -> Result<Secret, RandomError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &system_random());
        Ok(Secret::new(document.map_err(|_| RandomError)?.as_ref().to_vec()))
    }

    /// Takes a key from a keyset. `None` where the bytes are not a P-256 key.
    #[must_use]
    pub fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let random = system_random();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).ok()?;
        let public_key = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pair, public_key, random })
    }
}

#[expect(clippy::disallowed_methods, reason = "ring signs with no other source of chance than its own")]
fn system_random() -> SystemRandom {
    SystemRandom::new()
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.public_key
    }

    fn is_hardware(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        // The only cause is an operating system without randomness at this moment.
        let signature = self.pair.sign(&self.random, message).map_err(|_| SignerError::NotNow)?;
        signature.as_ref().try_into().map_err(|_| SignerError::NotNow)
    }
}

impl std::fmt::Debug for SoftwareSigner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SoftwareSigner(redacted)")
    }
}
