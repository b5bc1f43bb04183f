//! `database/key.json`: a fingerprint of the database's key beside the database.
//!
//! SQLCipher gives one answer to a wrong key and to a damaged first page; the fingerprint tells them apart before anything is
//! opened. It is a one-way derivation of a random key and reveals nothing. While the key is being rotated the file names the
//! next one too: whoever opens the database after a kill tries both.

use crate::{
    StoreError,
    keyset::{KeyEntry, KeyRole, Keyset},
    layout,
};
use ring::hkdf;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{Secret, Sha256Digest};
use std::path::Path;

const INFO: &[u8] = b"snaptrak.database/1 fingerprint";
const FILE_BYTES_MAX: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct File {
    #[serde(flatten)]
    current: Named,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Named>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    key_version: u32,
    fingerprint: Sha256Digest,
}

impl Named {
    fn new(entry: &KeyEntry) -> Self {
        Self { key_version: entry.version, fingerprint: fingerprint(&entry.key) }
    }

    fn find<'a>(&self, keyset: &'a Keyset) -> Result<&'a KeyEntry, StoreError> {
        let entry = keyset.version(KeyRole::Database, self.key_version).ok_or(StoreError::WrongKey)?;
        if fingerprint(&entry.key) == self.fingerprint { Ok(entry) } else { Err(StoreError::WrongKey) }
    }
}

/// The keys that may open the database, each checked against its fingerprint, in the order in which to try them.
pub(crate) fn find<'a>(path: &Path, keyset: &'a Keyset) -> Result<Vec<&'a KeyEntry>, StoreError> {
    let Some(bytes) = layout::read_small(path, FILE_BYTES_MAX, "database key fingerprint")? else {
        // It is derived, so it can be made again once a key has proven itself by opening.
        let mut entries: Vec<_> = keyset.keys.iter().filter(|entry| entry.role == KeyRole::Database).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.version));
        return if entries.is_empty() { Err(StoreError::KeysetDamaged) } else { Ok(entries) };
    };
    let file: File =
        serde_json::from_slice(&bytes).map_err(|_| StoreError::Damaged { what: "database key fingerprint" })?;
    std::iter::once(&file.current).chain(&file.next).map(|named| named.find(keyset)).collect()
}

/// Writes the file for the key that opens the database, and the one to which it is being changed, if any.
pub(crate) fn write(path: &Path, current: &KeyEntry, next: Option<&KeyEntry>) -> Result<(), StoreError> {
    let file = File { current: Named::new(current), next: next.map(Named::new) };
    layout::replace_file(path, &serde_json::to_vec(&file).expect("numbers and texts always have JSON"))
}

fn fingerprint(key: &Secret) -> Sha256Digest {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            32
        }
    }
    let mut bytes = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(key.expose())
        .expand(&[INFO], Length)
        .and_then(|output| output.fill(&mut bytes))
        .expect("32 bytes are fewer than the 255 blocks that HKDF can give");
    Sha256Digest(bytes)
}
