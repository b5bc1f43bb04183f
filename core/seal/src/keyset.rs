//! A keyset: the random, versioned keys of one class, and the file that holds them wrapped by the platform's key store.
//!
//! Owns the plaintext's JSON, the file's JSON and what binds the two. The key store wraps; the store writes files atomically and
//! keeps the previous generation. Nothing is deleted when something does not open: every cause is its own answer.

use serde::{Deserialize, Serialize};
use snaptrak_domain::key_store::WrappedKeys;
use snaptrak_domain::{KeyClass, KeyStore, KeyStoreError, Secret, Sha256Digest, UnixMs};
use zeroize::Zeroizing;

use crate::base64_bytes;
use crate::recipient_key::sha256;

/// Longest keyset file. Ten keys of 2 KiB are 40 KB; the bound leaves room for years of rotations.
pub const KEYSET_BYTES_MAX: usize = 1024 * 1024;

const FORMAT: &str = "snaptrak.keyset/1";
const FORMAT_NAME: &str = "snaptrak.keyset/";

/// What a key is for. Each role lives in one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// SQLCipher's raw key, 32 bytes.
    Database,
    /// Seals access and refresh tokens inside the database, 32 bytes.
    Token,
    /// Seals the search index, 32 bytes.
    Search,
    /// Software signing: PKCS#8 of a P-256 key.
    Signing,
    /// X25519 private key to which helpers seal captures, 32 bytes.
    Inbox,
    /// Public half of `media`.
    MediaPublic,
    /// Private half of `media`: X-Wing's seed or X25519's scalar, 32 bytes.
    MediaPrivate,
}

impl KeyRole {
    /// The class whose file holds the role.
    #[must_use]
    pub fn class(self) -> KeyClass {
        match self {
            Self::Database | Self::Token | Self::Search | Self::Signing | Self::Inbox | Self::MediaPublic => {
                KeyClass::Background
            }
            Self::MediaPrivate => KeyClass::Viewing,
        }
    }
}

/// Whether a key is used for what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeysetKeyState {
    /// Used for what is new; one in each role.
    Active,
    /// Kept to open what was made with it.
    Retired,
}

/// One key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysetKey {
    /// What it is for.
    pub role: KeyRole,
    /// From 1, counted for each role.
    pub version: u32,
    /// When it was drawn.
    pub created_ms: UnixMs,
    /// Whether it is used for what is new.
    pub state: KeysetKeyState,
    #[serde(with = "base64_bytes::secret")]
    key: Zeroizing<Vec<u8>>,
}

impl KeysetKey {
    /// The key itself. Never log it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.key
    }
}

impl std::fmt::Debug for KeysetKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "KeysetKey({:?} version {}, redacted)", self.role, self.version)
    }
}

/// Why a keyset was not written or not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysetError {
    /// The key store's answer instead of the keys. Only `Lost` quarantines.
    #[error("the key store does not open the keyset")]
    KeyStore(#[from] KeyStoreError),
    /// Written by a later version: update.
    #[error("the keyset has format version {version}, which is newer than this software")]
    Newer {
        /// The version that the file names.
        version: u64,
    },
    /// The sealed bytes are not those that were written: damage, told before the key store is asked for anything.
    #[error("the keyset's sealed bytes are damaged")]
    Damaged,
    /// Not a keyset, or one that breaks a rule.
    #[error("the keyset is malformed: {reason}")]
    Malformed {
        /// Which rule.
        reason: &'static str,
    },
    /// A role that does not live in this class.
    #[error("the role does not belong to this class of keys")]
    WrongClass,
}

/// The keys of one class in memory.
#[derive(Debug, Clone)]
pub struct Keyset {
    class: KeyClass,
    generation: u64,
    keys: Vec<KeysetKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plaintext {
    class: KeyClass,
    generation: u64,
    keys: Vec<KeysetKey>,
}

/// JSON of one key without the key itself.
const KEY_JSON_BYTES: usize = 160;

impl Plaintext {
    /// The JSON in a buffer that never grows: growing would leave copies of keys in memory that nobody wipes.
    fn to_secret(&self) -> Result<Secret, KeysetError> {
        let bytes = self.keys.iter().fold(KEY_JSON_BYTES, |sum, key| sum + KEY_JSON_BYTES + key.key.len() * 2);
        let mut json = Vec::with_capacity(bytes);
        serde_json::to_writer(&mut json, self).map_err(|_| KeysetError::Malformed { reason: "no JSON" })?;
        debug_assert!(json.len() <= bytes, "the buffer has grown");
        Ok(Secret::new(json))
    }
}

impl Keyset {
    /// An empty keyset of generation 0; sealing it writes generation 1.
    #[must_use]
    pub fn new(class: KeyClass) -> Self {
        Self { class, generation: 0, keys: Vec::new() }
    }

    /// Which class it is.
    #[must_use]
    pub fn class(&self) -> KeyClass {
        self.class
    }

    /// How often it has been written.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds a key as the active one of its role, retires its predecessor, and tells its version.
    pub fn add(&mut self, role: KeyRole, key: &Secret, created_ms: UnixMs) -> Result<u32, KeysetError> {
        if role.class() != self.class {
            return Err(KeysetError::WrongClass);
        }
        let mut version = 1;
        for known in self.keys.iter_mut().filter(|known| known.role == role) {
            known.state = KeysetKeyState::Retired;
            version = version.max(known.version.saturating_add(1));
        }
        let key = Zeroizing::new(key.expose().to_vec());
        self.keys.push(KeysetKey { role, version, created_ms, state: KeysetKeyState::Active, key });
        Ok(version)
    }

    /// The key of a role that is used for what is new.
    #[must_use]
    pub fn active(&self, role: KeyRole) -> Option<&KeysetKey> {
        self.keys.iter().find(|key| key.role == role && key.state == KeysetKeyState::Active)
    }

    /// A certain version of a role's key.
    #[must_use]
    pub fn version(&self, role: KeyRole, version: u32) -> Option<&KeysetKey> {
        self.keys.iter().find(|key| key.role == role && key.version == version)
    }

    /// Every key, in the order in which they were added.
    pub fn keys(&self) -> impl Iterator<Item = &KeysetKey> {
        self.keys.iter()
    }

    /// Wraps the next generation with the key store; the file's bytes. The generation counts up only when this succeeds.
    pub fn seal(&mut self, key_store: &dyn KeyStore) -> Result<Vec<u8>, KeysetError> {
        let generation = self.generation.saturating_add(1);
        let plaintext = Plaintext { class: self.class, generation, keys: self.keys.clone() };
        let wrapped = key_store.wrap(self.class, &plaintext.to_secret()?, &associated_data(self.class, generation))?;
        let file = File {
            format: FORMAT.to_owned(),
            class: self.class,
            generation,
            key_store: wrapped.parameters,
            sha256: sha256(&wrapped.sealed),
            sealed: wrapped.sealed,
        };
        let mut bytes = serde_json::to_vec(&file).map_err(|_| KeysetError::Malformed { reason: "no JSON" })?;
        bytes.push(b'\n');
        self.generation = generation;
        Ok(bytes)
    }

    fn check_rules(&self) -> Result<(), KeysetError> {
        for (place, key) in self.keys.iter().enumerate() {
            if key.role.class() != self.class {
                return Err(KeysetError::WrongClass);
            }
            let clashes = |other: &KeysetKey| {
                let both_active = key.state == KeysetKeyState::Active && other.state == KeysetKeyState::Active;
                other.role == key.role && (other.version == key.version || both_active)
            };
            if self.keys[place + 1..].iter().any(clashes) {
                return Err(KeysetError::Malformed { reason: "two keys of a role in one place" });
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    class: KeyClass,
    generation: u64,
    key_store: serde_json::Value,
    #[serde(with = "base64_bytes")]
    sealed: Vec<u8>,
    sha256: Sha256Digest,
}

/// A keyset file that was read and whose sealed bytes are the ones that were written. The keys are still wrapped.
pub struct KeysetFile {
    class: KeyClass,
    generation: u64,
    wrapped: WrappedKeys,
}

impl KeysetFile {
    /// Reads a file; needs no key.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeysetError> {
        #[derive(Deserialize)]
        struct Format {
            format: String,
        }
        let malformed = |reason| KeysetError::Malformed { reason };
        if bytes.len() > KEYSET_BYTES_MAX {
            return Err(malformed("too long"));
        }
        let Format { format } =
            serde_json::from_slice(bytes).map_err(|_| malformed("not a JSON object with a format"))?;
        if format != FORMAT {
            let version = format.strip_prefix(FORMAT_NAME).and_then(|version| version.parse::<u64>().ok());
            return Err(match version {
                Some(version) if version > 1 => KeysetError::Newer { version },
                Some(_) | None => malformed("another format"),
            });
        }
        let file: File = serde_json::from_slice(bytes).map_err(|_| malformed("not the JSON of a keyset"))?;
        if sha256(&file.sealed) != file.sha256 {
            return Err(KeysetError::Damaged);
        }
        let wrapped = WrappedKeys { parameters: file.key_store, sealed: file.sealed };
        Ok(Self { class: file.class, generation: file.generation, wrapped })
    }

    /// Which class it says it is.
    #[must_use]
    pub fn class(&self) -> KeyClass {
        self.class
    }

    /// Which generation it says it is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the key store wrote beside the sealed bytes; its `kind` tells which key store is needed.
    #[must_use]
    pub fn key_store(&self) -> &serde_json::Value {
        &self.wrapped.parameters
    }

    /// Lets the key store unwrap the keys. Class and generation are bound into the sealing, so a file that was renamed or edited
    /// does not open.
    pub fn open(&self, key_store: &dyn KeyStore) -> Result<Keyset, KeysetError> {
        let json = key_store.unwrap(self.class, &self.wrapped, &associated_data(self.class, self.generation))?;
        let plaintext: Plaintext = serde_json::from_slice(json.expose())
            .map_err(|_| KeysetError::Malformed { reason: "the keys are not JSON of keys" })?;
        if plaintext.class != self.class || plaintext.generation != self.generation {
            return Err(KeysetError::Malformed { reason: "file and keys name different generations" });
        }
        let keyset = Keyset { class: plaintext.class, generation: plaintext.generation, keys: plaintext.keys };
        keyset.check_rules()?;
        Ok(keyset)
    }
}

/// What binds the sealed keys to their file: label, class word, big-endian generation.
#[must_use]
pub fn associated_data(class: KeyClass, generation: u64) -> Vec<u8> {
    [FORMAT.as_bytes(), class.as_str().as_bytes(), &generation.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keeps the associated data beside a masked copy: enough to see what is bound, not a sealing.
    struct MaskingKeyStore;

    impl KeyStore for MaskingKeyStore {
        fn wrap(&self, _: KeyClass, keys: &Secret, associated_data: &[u8]) -> Result<WrappedKeys, KeyStoreError> {
            let sealed = [associated_data, b"|", keys.expose()].concat().iter().map(|byte| byte ^ 0x55).collect();
            Ok(WrappedKeys { parameters: serde_json::json!({"kind": "masking"}), sealed })
        }

        fn unwrap(&self, _: KeyClass, wrapped: &WrappedKeys, associated_data: &[u8]) -> Result<Secret, KeyStoreError> {
            let bytes: Vec<u8> = wrapped.sealed.iter().map(|byte| byte ^ 0x55).collect();
            let keys = bytes.strip_prefix([associated_data, b"|"].concat().as_slice());
            keys.map(|keys| Secret::new(keys.to_vec())).ok_or(KeyStoreError::Damaged)
        }
    }

    fn secret(byte: u8) -> Secret {
        Secret::new(vec![byte; 32])
    }

    fn file() -> (Keyset, Vec<u8>) {
        let mut keyset = Keyset::new(KeyClass::Background);
        keyset.add(KeyRole::Database, &secret(1), UnixMs(10)).unwrap();
        keyset.add(KeyRole::Token, &secret(2), UnixMs(10)).unwrap();
        keyset.add(KeyRole::Database, &secret(3), UnixMs(20)).unwrap();
        let bytes = keyset.seal(&MaskingKeyStore).unwrap();
        (keyset, bytes)
    }

    #[test]
    fn a_file_round_trips_with_rotated_roles() {
        let (written, bytes) = file();
        let file = KeysetFile::parse(&bytes).unwrap();
        assert_eq!((file.class(), file.generation()), (KeyClass::Background, 1));
        assert_eq!(file.key_store()["kind"], "masking");
        let keyset = file.open(&MaskingKeyStore).unwrap();
        assert_eq!(keyset.generation(), written.generation());
        assert_eq!(keyset.active(KeyRole::Database).unwrap().expose(), [3; 32]);
        assert_eq!(keyset.active(KeyRole::Database).unwrap().version, 2);
        assert_eq!(keyset.version(KeyRole::Database, 1).unwrap().expose(), [1; 32]);
        assert_eq!(keyset.active(KeyRole::Token).unwrap().version, 1);
        assert!(keyset.active(KeyRole::Search).is_none());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("{\"format\":\"snaptrak.keyset/1\",\"class\":\"background\",\"generation\":1,"));
    }

    #[test]
    fn a_role_lives_in_its_class_only() {
        let mut viewing = Keyset::new(KeyClass::Viewing);
        assert_eq!(viewing.add(KeyRole::Database, &secret(1), UnixMs(0)), Err(KeysetError::WrongClass));
        assert_eq!(viewing.add(KeyRole::MediaPrivate, &secret(1), UnixMs(0)), Ok(1));
    }

    #[test]
    fn damage_newer_and_another_generation_are_different_answers() {
        let (_, bytes) = file();
        let text = String::from_utf8(bytes).unwrap();
        let parse = |text: &str| KeysetFile::parse(text.as_bytes()).err();
        let sealed_start = text.find("\"sealed\":\"").unwrap() + 10;
        let mut damaged = text.clone();
        let other = if text.as_bytes()[sealed_start] == b'A' { "B" } else { "A" };
        damaged.replace_range(sealed_start..sealed_start + 1, other);
        assert_eq!(parse(&damaged), Some(KeysetError::Damaged));
        assert_eq!(parse(&text.replace("keyset/1", "keyset/2")), Some(KeysetError::Newer { version: 2 }));
        assert!(matches!(parse(&text.replace("keyset/1", "other/1")), Some(KeysetError::Malformed { .. })));
        let renamed = text.replace("\"generation\":1", "\"generation\":2");
        let opened = KeysetFile::parse(renamed.as_bytes()).unwrap().open(&MaskingKeyStore);
        assert_eq!(opened.unwrap_err(), KeysetError::KeyStore(KeyStoreError::Damaged));
    }

    #[test]
    fn debug_output_redacts_keys() {
        let (keyset, _) = file();
        let debug = format!("{keyset:?}");
        assert!(debug.contains("Database version 2, redacted"));
        assert!(!debug.contains("[3,") && !debug.contains("AwMD"), "neither as numbers nor as base64");
    }

    #[test]
    fn the_key_stores_answer_is_passed_on() {
        struct Locked;
        impl KeyStore for Locked {
            fn wrap(&self, _: KeyClass, _: &Secret, _: &[u8]) -> Result<WrappedKeys, KeyStoreError> {
                Err(KeyStoreError::NotYet)
            }
            fn unwrap(&self, _: KeyClass, _: &WrappedKeys, _: &[u8]) -> Result<Secret, KeyStoreError> {
                Err(KeyStoreError::NeedsUser { wrong_answer: true })
            }
        }
        let (mut keyset, bytes) = file();
        assert_eq!(keyset.seal(&Locked), Err(KeysetError::KeyStore(KeyStoreError::NotYet)));
        assert_eq!(keyset.generation(), 1, "nothing was written, so nothing counts");
        let error = KeysetFile::parse(&bytes).unwrap().open(&Locked).unwrap_err();
        assert_eq!(error, KeysetError::KeyStore(KeyStoreError::NeedsUser { wrong_answer: true }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(KeysetFile::parse(&bytes).is_err());
        }
    }
}
