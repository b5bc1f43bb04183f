//! What an organisation takes into its own hands: its private upload key, and its root's fingerprint. Both work beside a
//! running server.

use crate::at_rest::AtRest;
use crate::data_key::{self, DataKeySource};
use crate::database::Database;
use crate::error::Error;
use crate::folder::{Folder, write_new_private};
use crate::organisation::Organisation;
use snaptrak_domain::{OrganisationId, Sha256Digest};
use std::path::Path;

/// How devices recognise the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustRoot {
    /// The organisation.
    pub organisation_id: OrganisationId,
    /// SHA-256 of the raw root key.
    pub fingerprint: Sha256Digest,
}

/// Writes the private upload key to a new file that only its owner can read; its key id.
pub fn export_upload_key(data: &Path, source: &DataKeySource, to: &Path) -> Result<Sha256Digest, Error> {
    let organisation = open(data, source)?;
    let key = organisation.active_upload_key()?;
    write_new_private(to, key.to_file().as_bytes())?;
    Ok(key.public_key().key_id())
}

/// The fingerprint that `--trust-root` of a client pins.
pub fn trust_root(data: &Path, source: &DataKeySource) -> Result<TrustRoot, Error> {
    let organisation = open(data, source)?;
    Ok(TrustRoot { organisation_id: organisation.id, fingerprint: organisation.root_fingerprint })
}

fn open(data: &Path, source: &DataKeySource) -> Result<Organisation, Error> {
    let folder = Folder::existing(data)?;
    let at_rest = AtRest::new(&*data_key::load(source, &folder)?);
    Organisation::existing(&Database::open(&folder.database())?, &at_rest)
}
