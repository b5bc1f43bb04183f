//! `store.json`: what says that a folder is a store, and which. Nothing in it is secret.
//!
//! Its generation id is also in the database: a folder beside another database's rows is noticed.

use crate::{StoreError, layout};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{StoreId, UnixMs};
use std::{ops::RangeInclusive, path::Path};

const FORMAT_NAME: &str = "snaptrak.store/";
/// 2: the database says in `key.json` what authenticates its pages. An older library would find that database damaged; this number
/// tells it that it is too old.
const FORMAT_VERSION: u64 = 2;
const FORMAT_OLDEST: u64 = 1;

/// The file is 200 bytes; a longer one is something else.
const FILE_BYTES_MAX: u64 = 4096;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreFile {
    format: String,
    pub(crate) store_id: StoreId,
    pub(crate) generation_id: StoreId,
    pub(crate) created_ms: UnixMs,
}

impl StoreFile {
    pub(crate) fn new(store_id: StoreId, generation_id: StoreId, created_ms: UnixMs) -> Self {
        Self { format: format!("{FORMAT_NAME}{FORMAT_VERSION}"), store_id, generation_id, created_ms }
    }

    /// Reads the file; a folder without one is no store.
    pub(crate) fn read(path: &Path) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let damaged = StoreError::Damaged { what: "store.json" };
        let bytes = layout::read_small(path, FILE_BYTES_MAX, "store.json")?.ok_or(StoreError::NotAStore)?;
        let head: Head = serde_json::from_slice(&bytes).map_err(|_| damaged.clone())?;
        check_format(&head.format, FORMAT_NAME, FORMAT_OLDEST..=FORMAT_VERSION, damaged.clone())?;
        serde_json::from_slice(&bytes).map_err(|_| damaged)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), StoreError> {
        layout::replace_file(path, &serde_json::to_vec(self).expect("ids and numbers always have JSON"))
    }
}

/// `name/N`: a later number is [`StoreError::NewerSchema`], anything else is `damaged`.
pub(crate) fn check_format(
    format: &str,
    name: &str,
    known: RangeInclusive<u64>,
    damaged: StoreError,
) -> Result<(), StoreError> {
    match format.strip_prefix(name).and_then(|version| version.parse::<u64>().ok()) {
        Some(found) if found > *known.end() => Err(StoreError::NewerSchema { found, known: *known.end() }),
        Some(found) if known.contains(&found) => Ok(()),
        Some(_) | None => Err(damaged),
    }
}
