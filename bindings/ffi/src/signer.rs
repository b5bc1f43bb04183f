//! The device's signing key, as the app implements it.

use crate::SnapTrakError;
use snaptrak::{ErrorCode, SignerError};
use std::sync::Arc;

/// SEC1 uncompressed point of P-256, and r || s of a signature.
const PUBLIC_KEY_BYTES: usize = 65;
const SIGNATURE_BYTES: usize = 64;

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Error)]
pub enum SignerFailure {
    /// The key cannot be used now; the receipt stays unsigned and is signed later.
    NotNow,
    /// The key no longer exists.
    Lost,
    /// None of the above; taken as `NotNow`.
    Unexpected {
        /// For a developer.
        detail: String,
    },
}

impl std::fmt::Display for SignerFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotNow => f.write_str("the signing key is not available now"),
            Self::Lost => f.write_str("the signing key no longer exists"),
            Self::Unexpected { detail } => write!(f, "the signer failed: {detail}"),
        }
    }
}

impl std::error::Error for SignerFailure {}

impl From<uniffi::UnexpectedUniFFICallbackError> for SignerFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unexpected { detail: error.reason }
    }
}

/// ES256 (ECDSA P-256 with SHA-256) with a key of the platform: Android Keystore, the Secure Enclave.
#[uniffi::export(with_foreign)]
pub trait Signer: Send + Sync {
    /// The public key: SEC1 uncompressed point, 65 bytes. Asked once, at opening.
    fn public_key(&self) -> Result<Vec<u8>, SignerFailure>;

    /// Whether the private key lives in hardware that never hands it out. Asked once, at opening.
    fn is_hardware(&self) -> Result<bool, SignerFailure>;

    /// Signs the message; the answer is r || s, 64 bytes.
    fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, SignerFailure>;
}

struct Adapted {
    signer: Arc<dyn Signer>,
    public_key: [u8; PUBLIC_KEY_BYTES],
    is_hardware: bool,
}

/// The app's signer as the core asks for it.
pub(crate) fn adapted(signer: Arc<dyn Signer>) -> Result<Arc<dyn snaptrak::Signer>, SnapTrakError> {
    let not_ready = |failure: SignerFailure| SnapTrakError::new(ErrorCode::NotYet, &failure.to_string());
    let public_key = signer.public_key().map_err(not_ready)?.try_into().map_err(|_| {
        SnapTrakError::new(ErrorCode::InvalidArgument, "a signer's public key is a SEC1 point of 65 bytes")
    })?;
    let is_hardware = signer.is_hardware().map_err(not_ready)?;
    Ok(Arc::new(Adapted { signer, public_key, is_hardware }))
}

impl snaptrak::Signer for Adapted {
    fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.public_key
    }

    fn is_hardware(&self) -> bool {
        self.is_hardware
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        let signature = self.signer.sign(message.to_vec()).map_err(|failure| match failure {
            SignerFailure::NotNow => SignerError::NotNow,
            SignerFailure::Lost => SignerError::Lost,
            SignerFailure::Unexpected { detail } => {
                tracing::error!(detail, "the app's signer threw what it had not declared");
                SignerError::NotNow
            }
        })?;
        signature.try_into().map_err(|_| {
            tracing::error!("the app's signer gave no signature of 64 bytes");
            SignerError::NotNow
        })
    }
}
