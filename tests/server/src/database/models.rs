//! Rows of the models that an organisation publishes.

use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{OrganisationId, Sha256Digest, UnixMs};

/// A release.
pub(crate) struct ReleaseRow {
    pub(crate) version: u64,
    pub(crate) signed: Vec<u8>,
}

/// The newest release.
pub(crate) fn newest(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
) -> Result<Option<ReleaseRow>, Error> {
    let row = transaction.query_row(
        "SELECT version, signed FROM models_release WHERE organisation_id = ?1 ORDER BY version DESC LIMIT 1",
        [organisation_id.to_string()],
        |row| Ok(ReleaseRow { version: row.get("version")?, signed: row.get("signed")? }),
    );
    Ok(row.optional()?)
}

pub(crate) fn insert_release(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
    row: &ReleaseRow,
    now: UnixMs,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO models_release (organisation_id, version, signed, created_ms) VALUES (?1, ?2, ?3, ?4)",
        params![organisation_id.to_string(), row.version, row.signed, now.0],
    )?;
    Ok(())
}

/// The length of a file that some release names.
pub(crate) fn file_bytes(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
    sha256: &Sha256Digest,
) -> Result<Option<u64>, Error> {
    let bytes = transaction.query_row(
        "SELECT bytes FROM models_file WHERE organisation_id = ?1 AND sha256 = ?2",
        params![organisation_id.to_string(), sha256.to_string()],
        |row| row.get(0),
    );
    Ok(bytes.optional()?)
}

/// A file that is there already stays as it is.
pub(crate) fn insert_file(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
    sha256: &Sha256Digest,
    bytes: u64,
    now: UnixMs,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO models_file (organisation_id, sha256, bytes, created_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
        params![organisation_id.to_string(), sha256.to_string(), bytes, now.0],
    )?;
    Ok(())
}
