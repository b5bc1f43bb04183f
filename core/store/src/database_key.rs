//! `database/key.json`: a fingerprint of the database's key beside the database.
//!
//! SQLCipher gives one answer to a wrong key and to a damaged first page; the fingerprint tells them apart before anything is
//! opened. It is a one-way derivation of a random key and reveals nothing.

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
    key_version: u32,
    fingerprint: Sha256Digest,
}

/// The key that opens the database, checked against its fingerprint.
pub(crate) fn find(path: &Path, keyset: &Keyset) -> Result<Secret, StoreError> {
    let Some(bytes) = layout::read_small(path, FILE_BYTES_MAX, "database key fingerprint")? else {
        // It is derived, so it can be made again once the key has proven itself by opening.
        return Ok(keyset.active(KeyRole::Database)?.key.clone());
    };
    let file: File =
        serde_json::from_slice(&bytes).map_err(|_| StoreError::Damaged { what: "database key fingerprint" })?;
    let entry = keyset.version(KeyRole::Database, file.key_version).ok_or(StoreError::WrongKey)?;
    if fingerprint(&entry.key) == file.fingerprint { Ok(entry.key.clone()) } else { Err(StoreError::WrongKey) }
}

/// Writes the file for a key that opens the database.
pub(crate) fn write(path: &Path, entry: &KeyEntry) -> Result<(), StoreError> {
    let file = File { key_version: entry.version, fingerprint: fingerprint(&entry.key) };
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
