//! Rows of uploads and of the capabilities that let a transport send them.

use super::{parsed, verification};
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use snaptrak_domain::{AssetId, OrganisationId, Sha256Digest, UnixMs};
use std::str::FromStr;
use uuid::Uuid;

/// Capabilities of one upload that are kept: each repeated creation draws one, and an old one may still be in a transfer.
const CAPABILITIES_MAX: u32 = 8;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadState {
    /// Bytes are missing.
    Receiving,
    /// Whole, checked, and in its place.
    Stored,
}

impl FromStr for UploadState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "receiving" => Ok(Self::Receiving),
            "stored" => Ok(Self::Stored),
            _ => Err(()),
        }
    }
}

/// One piece's upload.
#[derive(Debug, Clone)]
pub(crate) struct UploadRow {
    pub(crate) id: Uuid,
    pub(crate) organisation_id: OrganisationId,
    pub(crate) asset_id: AssetId,
    pub(crate) piece_index: u32,
    pub(crate) sealed_bytes: u64,
    pub(crate) sealed_sha256: Sha256Digest,
    pub(crate) state: UploadState,
    pub(crate) offset_bytes: u64,
    pub(crate) expires_ms: UnixMs,
}

const COLUMNS: &str =
    "upload.id, organisation_id, asset_id, piece_index, sealed_bytes, sealed_sha256, state, offset_bytes,
    upload.expires_ms";

fn upload_row(row: &Row<'_>) -> rusqlite::Result<UploadRow> {
    Ok(UploadRow {
        id: parsed(row, "id")?,
        organisation_id: parsed(row, "organisation_id")?,
        asset_id: parsed(row, "asset_id")?,
        piece_index: row.get("piece_index")?,
        sealed_bytes: row.get("sealed_bytes")?,
        sealed_sha256: parsed(row, "sealed_sha256")?,
        state: parsed(row, "state")?,
        offset_bytes: row.get("offset_bytes")?,
        expires_ms: UnixMs(row.get("expires_ms")?),
    })
}

/// The upload of a piece, whatever its digest.
pub(crate) fn of_piece(
    transaction: &Transaction<'_>,
    organisation_id: OrganisationId,
    asset_id: AssetId,
    index: u32,
) -> Result<Option<UploadRow>, Error> {
    Ok(transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM upload WHERE organisation_id = ?1 AND asset_id = ?2 AND piece_index = ?3"
        ))?
        .query_row(params![organisation_id.to_string(), asset_id.to_string(), index], upload_row)
        .optional()?)
}

pub(crate) fn insert(transaction: &Transaction<'_>, row: &UploadRow, now: UnixMs) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO upload (id, organisation_id, asset_id, piece_index, sealed_bytes, sealed_sha256, state,
                             offset_bytes, created_ms, expires_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'receiving', 0, ?7, ?8)",
        params![
            row.id.to_string(),
            row.organisation_id.to_string(),
            row.asset_id.to_string(),
            row.piece_index,
            row.sealed_bytes,
            row.sealed_sha256.to_string(),
            now.0,
            row.expires_ms.0
        ],
    )?;
    Ok(())
}

pub(crate) fn add_capability(
    transaction: &Transaction<'_>,
    upload_id: Uuid,
    digest: &[u8; 32],
    expires_ms: UnixMs,
    now: UnixMs,
) -> Result<(), Error> {
    let id = upload_id.to_string();
    transaction.execute(
        "INSERT INTO capability (digest, upload_id, expires_ms) VALUES (?1, ?2, ?3)",
        params![digest, id, expires_ms.0],
    )?;
    transaction.execute(
        "DELETE FROM capability WHERE upload_id = ?1 AND (expires_ms <= ?2 OR digest NOT IN (SELECT digest FROM
           capability WHERE upload_id = ?1 ORDER BY expires_ms DESC LIMIT ?3))",
        params![id, now.0, CAPABILITIES_MAX],
    )?;
    Ok(())
}

/// The upload that this capability is for, and when the capability ends.
pub(crate) fn by_capability(
    transaction: &Transaction<'_>,
    upload_id: Uuid,
    digest: &[u8; 32],
) -> Result<Option<(UploadRow, UnixMs)>, Error> {
    Ok(transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, capability.expires_ms AS capability_expires_ms
             FROM upload JOIN capability ON capability.upload_id = upload.id WHERE upload.id = ?1 AND digest = ?2"
        ))?
        .query_row(params![upload_id.to_string(), digest], |row| {
            Ok((upload_row(row)?, UnixMs(row.get("capability_expires_ms")?)))
        })
        .optional()?)
}

/// Says how many bytes are durable. The caller has synced them.
pub(crate) fn set_offset(transaction: &Transaction<'_>, upload_id: Uuid, offset_bytes: u64) -> Result<(), Error> {
    transaction.execute(
        "UPDATE upload SET offset_bytes = ?2 WHERE id = ?1 AND state = 'receiving'",
        params![upload_id.to_string(), offset_bytes],
    )?;
    Ok(())
}

/// Says that a piece is whole and in its place; whether its asset is now ready to be verified.
pub(crate) fn set_stored(transaction: &Transaction<'_>, upload: &UploadRow, now: UnixMs) -> Result<bool, Error> {
    transaction.execute(
        "UPDATE upload SET state = 'stored', offset_bytes = sealed_bytes WHERE id = ?1",
        [upload.id.to_string()],
    )?;
    verification::changed(transaction, upload.asset_id, now)
}

/// Keeps an unfinished upload for longer.
pub(crate) fn extend(transaction: &Transaction<'_>, upload_id: Uuid, expires_ms: UnixMs) -> Result<(), Error> {
    transaction.execute(
        "UPDATE upload SET expires_ms = ?2 WHERE id = ?1 AND state = 'receiving'",
        params![upload_id.to_string(), expires_ms.0],
    )?;
    Ok(())
}

/// Takes an unfinished upload back.
pub(crate) fn delete(transaction: &Transaction<'_>, upload_id: Uuid) -> Result<(), Error> {
    transaction.execute("DELETE FROM upload WHERE id = ?1 AND state = 'receiving'", [upload_id.to_string()])?;
    Ok(())
}

/// Every upload that is under way.
pub(crate) fn receiving(transaction: &Transaction<'_>) -> Result<Vec<UploadRow>, Error> {
    let mut statement = transaction.prepare(&format!("SELECT {COLUMNS} FROM upload WHERE state = 'receiving'"))?;
    let rows = statement.query_map([], upload_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The pieces of an asset that are whole.
pub(crate) fn stored(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<Vec<UploadRow>, Error> {
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM upload WHERE asset_id = ?1 AND state = 'stored' ORDER BY piece_index"
    ))?;
    let rows = statement.query_map([asset_id.to_string()], upload_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many bytes of an asset's pieces have arrived, finished or not.
pub(crate) fn any_bytes(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<bool, Error> {
    Ok(transaction
        .prepare_cached("SELECT 1 FROM upload WHERE asset_id = ?1 AND offset_bytes > 0 LIMIT 1")?
        .exists([asset_id.to_string()])?)
}
