//! `database/key.json`: a fingerprint of the database's key beside the database.
//!
//! SQLCipher gives one answer to a wrong key and to a damaged first page; the fingerprint tells them apart before anything is
//! opened. It is a one-way derivation of a random key and reveals nothing. While the key is being rotated the file names the
//! next one too: whoever opens the database after a kill tries both. What authenticates the pages is named beside them; a file
//! without that word is of a time that had one answer.

use crate::{
    StoreError,
    connection::{Cipher, PageMac},
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
    #[serde(default, skip_serializing_if = "is_default")]
    page_mac: PageMac,
}

/// As short as it always was, for whoever reads it with an older version.
fn is_default(page_mac: &PageMac) -> bool {
    *page_mac == PageMac::default()
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

/// What may open a database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) entry: &'a KeyEntry,
    pub(crate) page_mac: PageMac,
}

impl Candidate<'_> {
    pub(crate) fn cipher(&self) -> Cipher {
        Cipher { key: self.entry.key.clone(), page_mac: self.page_mac }
    }
}

/// What may open the database, each key checked against its fingerprint, in the order in which to try them.
pub(crate) fn find<'a>(path: &Path, keyset: &'a Keyset) -> Result<Vec<Candidate<'a>>, StoreError> {
    let Some(bytes) = layout::read_small(path, FILE_BYTES_MAX, "database key fingerprint")? else {
        // It is derived, so it can be made again once a key has proven itself by opening.
        let mut entries: Vec<_> = keyset.keys.iter().filter(|entry| entry.role == KeyRole::Database).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.version));
        let of = |page_mac| entries.iter().map(move |entry| Candidate { entry, page_mac });
        let candidates: Vec<_> = of(PageMac::NEW).chain(of(PageMac::default())).collect();
        return if candidates.is_empty() { Err(StoreError::KeysetDamaged) } else { Ok(candidates) };
    };
    let file: File =
        serde_json::from_slice(&bytes).map_err(|_| StoreError::Damaged { what: "database key fingerprint" })?;
    let named = std::iter::once(&file.current).chain(&file.next);
    named.map(|named| Ok(Candidate { entry: named.find(keyset)?, page_mac: file.page_mac })).collect()
}

/// Writes the file for what opens the database, and the key to which it is being changed, if any.
pub(crate) fn write(path: &Path, current: Candidate<'_>, next: Option<&KeyEntry>) -> Result<(), StoreError> {
    let Candidate { entry, page_mac } = current;
    let file = File { current: Named::new(entry), next: next.map(Named::new), page_mac };
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
