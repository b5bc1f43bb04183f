//! Keysets: the random, versioned keys of one class, in a file that only the platform's key store can open.
//!
//! Owns the two files, their previous generations, and which of them is believed. Refuses to know what a key is for. A wrong
//! answer of the person, a damaged file and a missing one are three answers; no file is ever deleted.

use crate::{
    StoreError,
    layout::{self, Layout},
    store_file::check_format,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use snaptrak_domain::{KeyClass, KeyStore, KeyStoreError, Secret, Sha256Digest, UnixMs, key_store::WrappedKeys};
use std::path::PathBuf;
use zeroize::Zeroizing;

const FORMAT: &str = "snaptrak.keyset/1";
const FORMAT_NAME: &str = "snaptrak.keyset/";
const FORMAT_VERSION: u64 = 1;

/// Dozens of generations of every role; a longer file is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyRole {
    /// SQLCipher's raw key.
    Database,
    /// Seals tokens and upload capabilities inside the database.
    Token,
    /// Reserved for the search index.
    Search,
    /// The software signing key, PKCS#8.
    Signing,
    /// X25519 private key of the inbox.
    Inbox,
    /// X-Wing public key to which every data key is wrapped.
    MediaPublic,
    /// Its private seed.
    MediaPrivate,
}

/// Whether a key is used for what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyState {
    /// Used for what is new.
    Active,
    /// Opens what is old.
    Retired,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    pub(crate) role: KeyRole,
    /// From 1 within the role.
    pub(crate) version: u32,
    pub(crate) created_ms: UnixMs,
    pub(crate) state: KeyState,
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub(crate) key: Secret,
}

/// All keys of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keyset {
    pub(crate) class: KeyClass,
    /// Counts the file's replacements, from 1; bound into the wrapping.
    pub(crate) generation: u64,
    pub(crate) keys: Vec<KeyEntry>,
}

impl Keyset {
    /// The key that is used for what is new.
    pub(crate) fn active(&self, role: KeyRole) -> Result<&KeyEntry, StoreError> {
        let usable = |entry: &&KeyEntry| entry.role == role && entry.state == KeyState::Active;
        self.keys.iter().filter(usable).max_by_key(|entry| entry.version).ok_or(StoreError::KeysetDamaged)
    }

    /// A key by its version, retired or not.
    pub(crate) fn version(&self, role: KeyRole, version: u32) -> Option<&KeyEntry> {
        self.keys.iter().find(|entry| entry.role == role && entry.version == version)
    }
}

#[derive(Serialize, Deserialize)]
struct KeysetFile {
    format: String,
    class: KeyClass,
    generation: u64,
    key_store: serde_json::Value,
    sealed: String,
    sha256: Sha256Digest,
}

/// What a file held, before any key store was asked.
enum Found {
    Whole { generation: u64, wrapped: WrappedKeys },
    Damaged,
    Missing,
}

/// Reads and opens a class's keyset: the current file, or the previous generation where the current one is damaged.
pub(crate) fn read(layout: &Layout, class: KeyClass, key_store: &dyn KeyStore) -> Result<Keyset, StoreError> {
    let mut answer = StoreError::KeysetMissing;
    for path in [layout.keyset(class), previous(layout, class)] {
        match read_file(&path, class)? {
            Found::Whole { generation, wrapped } => match open(class, generation, &wrapped, key_store) {
                Err(StoreError::KeysetDamaged) => answer = StoreError::KeysetDamaged,
                // A damaged generation number, which no digest covers, looks like a wrong key: the previous file decides.
                Err(StoreError::WrongKey) => answer = StoreError::WrongKey,
                opened => return opened,
            },
            Found::Damaged if matches!(answer, StoreError::WrongKey) => {}
            Found::Damaged => answer = StoreError::KeysetDamaged,
            Found::Missing => {}
        }
        tracing::warn!(class = class.as_str(), "a keyset file cannot be used; the previous generation is tried");
    }
    Err(answer)
}

/// Wraps and writes a keyset, keeping the file that it replaces as the previous generation.
pub(crate) fn write(layout: &Layout, keyset: &Keyset, key_store: &dyn KeyStore) -> Result<(), StoreError> {
    let class = keyset.class;
    let plain = Secret::new(serde_json::to_vec(keyset).expect("words, numbers and texts always have JSON"));
    let wrapped = key_store.wrap(class, &plain, &associated_data(class, keyset.generation))?;
    let file = KeysetFile {
        format: FORMAT.to_owned(),
        class,
        generation: keyset.generation,
        key_store: wrapped.parameters,
        sha256: snaptrak_seal::sha256(&wrapped.sealed),
        sealed: STANDARD.encode(&wrapped.sealed),
    };
    let path = layout.keyset(class);
    // A damaged file does not take the place of the previous generation, which may be the only one that opens.
    if let Found::Whole { .. } = read_file(&path, class)?
        && let Some(current) = layout::read_small(&path, FILE_BYTES_MAX, "keyset")?
    {
        layout::replace_file(&previous(layout, class), &current)?;
    }
    layout::replace_file(&path, &serde_json::to_vec(&file).expect("words, numbers and texts always have JSON"))
}

fn previous(layout: &Layout, class: KeyClass) -> PathBuf {
    let mut path = layout.keyset(class).into_os_string();
    path.push(".previous");
    path.into()
}

fn associated_data(class: KeyClass, generation: u64) -> Vec<u8> {
    [FORMAT.as_bytes(), class.as_str().as_bytes(), &generation.to_be_bytes()].concat()
}

fn read_file(path: &std::path::Path, class: KeyClass) -> Result<Found, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let bytes = match layout::read_small(path, FILE_BYTES_MAX, "keyset") {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Found::Missing),
        Err(StoreError::Damaged { .. }) => return Ok(Found::Damaged),
        Err(error) => return Err(error),
    };
    let Ok(head) = serde_json::from_slice::<Head>(&bytes) else { return Ok(Found::Damaged) };
    match check_format(&head.format, FORMAT_NAME, FORMAT_VERSION..=FORMAT_VERSION, StoreError::KeysetDamaged) {
        Ok(()) => {}
        Err(StoreError::KeysetDamaged) => return Ok(Found::Damaged),
        Err(error) => return Err(error),
    }
    let Ok(file) = serde_json::from_slice::<KeysetFile>(&bytes) else { return Ok(Found::Damaged) };
    let Ok(sealed) = STANDARD.decode(&file.sealed) else { return Ok(Found::Damaged) };
    // The digest tells a damaged file from a wrong passphrase, which a cipher alone cannot.
    if file.class != class || snaptrak_seal::sha256(&sealed) != file.sha256 {
        return Ok(Found::Damaged);
    }
    Ok(Found::Whole { generation: file.generation, wrapped: WrappedKeys { parameters: file.key_store, sealed } })
}

fn open(
    class: KeyClass,
    generation: u64,
    wrapped: &WrappedKeys,
    key_store: &dyn KeyStore,
) -> Result<Keyset, StoreError> {
    let plain = match key_store.unwrap(class, wrapped, &associated_data(class, generation)) {
        Ok(plain) => plain,
        Err(KeyStoreError::Damaged) => return Err(StoreError::KeysetDamaged),
        Err(error) => return Err(error.into()),
    };
    let keyset: Keyset = serde_json::from_slice(plain.expose()).map_err(|_| StoreError::KeysetDamaged)?;
    if keyset.class != class || keyset.generation != generation {
        return Err(StoreError::KeysetDamaged);
    }
    Ok(keyset)
}

fn write_key<S: Serializer>(key: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    Zeroizing::new(STANDARD.encode(key.expose())).serialize(serializer)
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    STANDARD.decode(text.as_str()).map(Secret::new).map_err(serde::de::Error::custom)
}
