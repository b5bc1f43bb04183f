//! Rows of the server itself, its organisation and that organisation's keys.

use super::parsed;
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{OrganisationId, Sha256Digest, UnixMs};

/// An organisation with its signed bundle.
pub(crate) struct OrganisationRow {
    pub(crate) id: OrganisationId,
    pub(crate) server_id: String,
    pub(crate) trust_version: u64,
    pub(crate) trust_expires_ms: UnixMs,
    pub(crate) trust_bundle: Vec<u8>,
}

/// One of an organisation's key pairs.
pub(crate) struct OrganisationKeyRow {
    pub(crate) key_id: Sha256Digest,
    pub(crate) role: String,
    pub(crate) algorithm: String,
    pub(crate) public: Vec<u8>,
    pub(crate) private_sealed: Vec<u8>,
    pub(crate) state: String,
}

/// What the folder says about its data key; `None` before the first start.
pub(crate) fn key_check(transaction: &Transaction<'_>) -> Result<Option<Vec<u8>>, Error> {
    Ok(transaction.query_row("SELECT key_check FROM server", [], |row| row.get(0)).optional()?)
}

pub(crate) fn insert_server(
    transaction: &Transaction<'_>,
    server_id: &str,
    key_check: &[u8],
    now: UnixMs,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO server (only_row, server_id, key_check, created_ms) VALUES (1, ?1, ?2, ?3)",
        params![server_id, key_check, now.0],
    )?;
    Ok(())
}

pub(crate) fn insert_organisation(
    transaction: &Transaction<'_>,
    row: &OrganisationRow,
    name_sealed: &[u8],
    now: UnixMs,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO organisation (id, name_sealed, trust_version, trust_expires_ms, trust_bundle, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.id.to_string(), name_sealed, row.trust_version, row.trust_expires_ms.0, row.trust_bundle, now.0],
    )?;
    Ok(())
}

pub(crate) fn insert_key(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
    row: &OrganisationKeyRow,
    now: UnixMs,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO organisation_key
         (organisation_id, key_id, role, algorithm, public, private_sealed, state, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            organisation_id.to_string(),
            row.key_id.to_string(),
            row.role,
            row.algorithm,
            row.public,
            row.private_sealed,
            row.state,
            now.0
        ],
    )?;
    Ok(())
}

/// Moves every key of a role that is in one state to another.
pub(crate) fn move_keys(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
    role: &str,
    from: &str,
    to: &str,
) -> Result<(), Error> {
    transaction.execute(
        "UPDATE organisation_key SET state = ?4 WHERE organisation_id = ?1 AND role = ?2 AND state = ?3",
        params![organisation_id.to_string(), role, from, to],
    )?;
    Ok(())
}

pub(crate) fn set_trust_bundle(transaction: &Transaction<'_>, row: &OrganisationRow) -> Result<(), Error> {
    transaction.execute(
        "UPDATE organisation SET trust_version = ?2, trust_expires_ms = ?3, trust_bundle = ?4 WHERE id = ?1",
        params![row.id.to_string(), row.trust_version, row.trust_expires_ms.0, row.trust_bundle],
    )?;
    Ok(())
}

/// The one organisation of a reference server.
pub(crate) fn organisation(transaction: &Transaction<'_>) -> Result<OrganisationRow, Error> {
    Ok(transaction.query_row(
        "SELECT organisation.id, server_id, trust_version, trust_expires_ms, trust_bundle
         FROM organisation, server ORDER BY organisation.created_ms, organisation.id LIMIT 1",
        [],
        |row| {
            Ok(OrganisationRow {
                id: parsed(row, "id")?,
                server_id: row.get("server_id")?,
                trust_version: row.get("trust_version")?,
                trust_expires_ms: UnixMs(row.get("trust_expires_ms")?),
                trust_bundle: row.get("trust_bundle")?,
            })
        },
    )?)
}

pub(crate) fn keys(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
) -> Result<Vec<OrganisationKeyRow>, Error> {
    let mut statement = transaction.prepare_cached(
        "SELECT key_id, role, algorithm, public, private_sealed, state FROM organisation_key
         WHERE organisation_id = ?1 ORDER BY created_ms, key_id",
    )?;
    let rows = statement.query_map([organisation_id.to_string()], |row| {
        Ok(OrganisationKeyRow {
            key_id: parsed(row, "key_id")?,
            role: row.get("role")?,
            algorithm: row.get("algorithm")?,
            public: row.get("public")?,
            private_sealed: row.get("private_sealed")?,
            state: row.get("state")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
