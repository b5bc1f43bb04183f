//! The platform's key store: it wraps and unwraps the sealed blob of a class of keys and never hands out its own key.

use crate::Secret;
use serde::{Deserialize, Serialize};

/// When a class of keys may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyClass {
    /// After the first unlock since boot: capture, sync, redaction of what was just taken.
    Background,
    /// When the person is there (an app may ask for biometrics): opening what was captured earlier.
    Viewing,
}

impl KeyClass {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Background, Self::Viewing];

    /// The word in file names and associated data.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Viewing => "viewing",
        }
    }
}

/// What a key store answers instead of a key. Only [`KeyStoreError::Lost`] lets a store be quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyStoreError {
    /// The device has not been unlocked since it started: try again later.
    #[error("the device has not been unlocked since it started")]
    NotYet,
    /// The person must be there (passphrase, biometrics), or gave the wrong answer.
    #[error("the person must unlock this store")]
    NeedsUser {
        /// An answer was given and it was wrong.
        wrong_answer: bool,
    },
    /// The platform key is gone for good.
    #[error("the platform key no longer exists")]
    Lost,
    /// The blob is not what this key store sealed.
    #[error("the sealed keys are damaged")]
    Damaged,
}

/// A sealed blob and what the key store needs to know to open it again (never a secret).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKeys {
    /// Parameters, for example the salt and costs of a passphrase; a JSON object with a `kind`.
    pub parameters: serde_json::Value,
    /// Authenticated ciphertext.
    pub sealed: Vec<u8>,
}

/// Wraps the keyset with a key that only the platform holds. `Ready` is a successful answer; the other three are errors.
pub trait KeyStore: Send + Sync {
    /// Seals `keys`, bound to `associated_data`.
    fn wrap(&self, class: KeyClass, keys: &Secret, associated_data: &[u8]) -> Result<WrappedKeys, KeyStoreError>;
    /// Opens what [`KeyStore::wrap`] sealed under the same associated data.
    fn unwrap(&self, class: KeyClass, wrapped: &WrappedKeys, associated_data: &[u8]) -> Result<Secret, KeyStoreError>;
}
