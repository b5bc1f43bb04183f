//! What an organisation does with its keys by hand: take out its private upload key, its root's fingerprint, a recovery key;
//! give itself a new upload key, vouch for a key for models. All of it works beside a running server, which serves new keys from its next start on.

use crate::at_rest::AtRest;
use crate::data_key::{self, DataKeySource};
use crate::database::Database;
use crate::edge::{OsRandom, system_time};
use crate::error::Error;
use crate::folder::{Folder, write_new_private};
use crate::organisation::{self, Organisation};
use snaptrak_domain::{OrganisationId, Sha256Digest, UnixMs};
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

/// Gives the organisation a new upload key; its key id. With `revoke` the one before is not believed any more.
pub fn rotate_upload_key(data: &Path, source: &DataKeySource, revoke: bool) -> Result<Sha256Digest, Error> {
    let (database, at_rest) = existing(data, source)?;
    database.write_now(|transaction| organisation::rotate_upload_key(transaction, &at_rest, revoke, now(), &OsRandom))
}

/// Gives the organisation a recovery key and writes its private half to a new file; the server never keeps it.
pub fn make_recovery_key(data: &Path, source: &DataKeySource, to: &Path) -> Result<Sha256Digest, Error> {
    let (database, at_rest) = existing(data, source)?;
    database.write_now(|transaction| {
        let key = organisation::make_recovery_key(transaction, &at_rest, now(), &OsRandom)?;
        // Before the commit: a key for which devices wrap must be in somebody's hands.
        write_new_private(to, key.to_file().as_bytes())?;
        Ok(key.public_key().key_id())
    })
}

/// Vouches for a key that signs manifests of models (its raw public half); its key id. With `revoke` those before it are not
/// believed any more.
pub fn add_models_key(data: &Path, source: &DataKeySource, public: &[u8], revoke: bool) -> Result<Sha256Digest, Error> {
    let (database, at_rest) = existing(data, source)?;
    database.write_now(|transaction| organisation::add_models_key(transaction, public, &at_rest, revoke, now()))
}

pub(crate) fn now() -> UnixMs {
    system_time()()
}

pub(crate) fn existing(data: &Path, source: &DataKeySource) -> Result<(Database, AtRest), Error> {
    let folder = Folder::existing(data)?;
    let at_rest = AtRest::new(&*data_key::load(source, &folder)?);
    let database = Database::open(&folder.database())?;
    // Refuses another folder's key before anything is written.
    Organisation::existing(&database, &at_rest)?;
    Ok((database, at_rest))
}

fn open(data: &Path, source: &DataKeySource) -> Result<Organisation, Error> {
    let (database, at_rest) = existing(data, source)?;
    Organisation::existing(&database, &at_rest)
}
