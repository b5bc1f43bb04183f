//! Length and digest of an asset's plaintext, which would confirm a known file and are therefore sealed at rest.

use crate::at_rest::AtRest;
use crate::edge::OsRandom;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, Sha256Digest};

const COLUMN: &str = "asset.content";

/// What an envelope's metadata says of the whole asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) bytes: u64,
    pub(crate) sha256: Option<Sha256Digest>,
}

impl Content {
    pub(crate) fn seal(&self, at_rest: &AtRest, asset_id: AssetId) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_vec(self).expect("numbers and text always serialize");
        at_rest.seal(COLUMN, asset_id.to_string().as_bytes(), &json, &OsRandom)
    }

    pub(crate) fn open(at_rest: &AtRest, asset_id: AssetId, sealed: &[u8]) -> Result<Self, Error> {
        let json = at_rest.open(COLUMN, asset_id.to_string().as_bytes(), sealed)?;
        serde_json::from_slice(&json).map_err(|_| Error::SealedColumn { column: COLUMN })
    }
}
