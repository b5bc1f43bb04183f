//! The platform's key store, as the app implements it.

use snaptrak::{KeyStoreError, Secret};
use std::sync::Arc;

/// When a class of keys may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum KeyClass {
    /// After the first unlock since boot: capture, sync.
    Background,
    /// When the person is there: opening what was captured earlier.
    Viewing,
}

/// A sealed blob and what the key store needs to know to open it again (never a secret).
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct WrappedKeys {
    /// A JSON object with a `kind`, for example `{"kind": "android_keystore", "alias": "..."}`.
    pub parameters_json: String,
    /// Authenticated ciphertext.
    pub sealed: Vec<u8>,
}

/// What a key store answers instead of a key.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Error)]
pub enum KeyStoreFailure {
    /// The device has not been unlocked since it started: the app calls again later.
    NotYet,
    /// The person must be there, or gave the wrong answer.
    NeedsUser {
        /// An answer was given and it was wrong.
        wrong_answer: bool,
    },
    /// The platform key is gone for good. Only this lets a store be quarantined.
    Lost,
    /// The blob is not what this key store sealed.
    Damaged,
    /// None of the above. The app's exceptions that are not declared arrive as this, and the call is refused with `not_yet`:
    /// nothing is concluded from them.
    Unexpected {
        /// For a developer.
        detail: String,
    },
}

impl std::fmt::Display for KeyStoreFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotYet => f.write_str("the device has not been unlocked since it started"),
            Self::NeedsUser { .. } => f.write_str("the person must unlock this store"),
            Self::Lost => f.write_str("the platform key no longer exists"),
            Self::Damaged => f.write_str("the sealed keys are damaged"),
            Self::Unexpected { detail } => write!(f, "the key store failed: {detail}"),
        }
    }
}

impl std::error::Error for KeyStoreFailure {}

impl From<uniffi::UnexpectedUniFFICallbackError> for KeyStoreFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unexpected { detail: error.reason }
    }
}

/// Wraps the keyset with a key that only the platform holds: Android Keystore, the Keychain or Secure Enclave, a passphrase.
///
/// It is called on threads of the instance, never on the main thread and never under a lock, at opening, at unlocking and when
/// keys are rotated.
#[uniffi::export(with_foreign)]
pub trait KeyStore: Send + Sync {
    /// Seals `keys` with an authenticated cipher, bound to `associated_data`.
    fn wrap(
        &self,
        key_class: KeyClass,
        keys: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> Result<WrappedKeys, KeyStoreFailure>;

    /// Opens what `KeyStore::wrap` sealed under the same associated data.
    fn unwrap(
        &self,
        key_class: KeyClass,
        wrapped: WrappedKeys,
        associated_data: Vec<u8>,
    ) -> Result<Vec<u8>, KeyStoreFailure>;
}

/// The app's key store as the core asks for it.
pub(crate) struct Adapted(pub(crate) Arc<dyn KeyStore>);

impl snaptrak::KeyStore for Adapted {
    fn wrap(
        &self,
        class: snaptrak::KeyClass,
        keys: &Secret,
        associated_data: &[u8],
    ) -> Result<snaptrak::WrappedKeys, KeyStoreError> {
        let wrapped = self.0.wrap(class.into(), keys.expose().to_vec(), associated_data.to_vec()).map_err(answer)?;
        let parameters = serde_json::from_str(&wrapped.parameters_json).map_err(|_| {
            tracing::error!("the key store's parameters are no JSON");
            KeyStoreError::Damaged
        })?;
        Ok(snaptrak::WrappedKeys { parameters, sealed: wrapped.sealed })
    }

    fn unwrap(
        &self,
        class: snaptrak::KeyClass,
        wrapped: &snaptrak::WrappedKeys,
        associated_data: &[u8],
    ) -> Result<Secret, KeyStoreError> {
        let wrapped = WrappedKeys { parameters_json: wrapped.parameters.to_string(), sealed: wrapped.sealed.clone() };
        self.0.unwrap(class.into(), wrapped, associated_data.to_vec()).map(Secret::new).map_err(answer)
    }
}

fn answer(failure: KeyStoreFailure) -> KeyStoreError {
    match failure {
        KeyStoreFailure::NotYet => KeyStoreError::NotYet,
        KeyStoreFailure::NeedsUser { wrong_answer } => KeyStoreError::NeedsUser { wrong_answer },
        KeyStoreFailure::Lost => KeyStoreError::Lost,
        KeyStoreFailure::Damaged => KeyStoreError::Damaged,
        KeyStoreFailure::Unexpected { detail } => {
            tracing::error!(detail, "the app's key store threw what it had not declared");
            KeyStoreError::NotYet
        }
    }
}

impl From<snaptrak::KeyClass> for KeyClass {
    fn from(class: snaptrak::KeyClass) -> Self {
        match class {
            snaptrak::KeyClass::Background => Self::Background,
            snaptrak::KeyClass::Viewing => Self::Viewing,
        }
    }
}
