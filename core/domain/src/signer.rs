//! The device's signing key: hardware where there is one, else software that says so.

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The key cannot be used now; the receipt stays unsigned and is signed later.
    #[error("the signing key is not available now")]
    NotNow,
    /// The key no longer exists.
    #[error("the signing key no longer exists")]
    Lost,
}

/// ES256 (ECDSA P-256 with SHA-256) signatures.
pub trait Signer: Send + Sync {
    /// The public key: SEC1 uncompressed point, 65 bytes.
    fn public_key(&self) -> [u8; 65];
    /// Whether the private key lives in hardware that never hands it out.
    fn is_hardware(&self) -> bool;
    /// Signs the message; the answer is r || s, 64 bytes.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError>;
}
