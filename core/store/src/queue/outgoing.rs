//! What leaves: records, findings and where a piece's bytes are. Envelopes have a file of their own.

use crate::{StoreError, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, CaptureId, CaptureMetadata, Finding, Sha256Digest,
    record::{Record, RecordAsset},
};

/// A capture's metadata.
pub(crate) fn metadata(connection: &Connection, capture_id: CaptureId) -> Result<CaptureMetadata, StoreError> {
    let text: String =
        rows::first(connection, "SELECT metadata FROM capture WHERE id = ?1", [capture_id.as_bytes()], |row| {
            Ok(row.get(0)?)
        })?
        .ok_or(StoreError::Missing { what: "capture" })?;
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged { what: "metadata" })
}

/// The record: what the person and the app said of a capture. What the file says of itself (EXIF) stays sealed.
pub(crate) fn record(connection: &Connection, capture_id: CaptureId) -> Result<Record, StoreError> {
    let metadata = metadata(connection, capture_id)?;
    let assets = rows::all(
        connection,
        "SELECT id, rendition FROM asset WHERE capture_id = ?1 ORDER BY rendition",
        [capture_id.as_bytes()],
        |row| Ok(RecordAsset { id: rows::asset_id(row, 0)?, rendition: rows::word(row, 1, "rendition")? }),
    )?;
    Ok(Record {
        id: capture_id,
        kind: metadata.kind,
        created_ms: metadata.created.unix_ms,
        offset_minutes: metadata.created.offset_minutes,
        device_id: metadata.device_id,
        note: metadata.note,
        tags: metadata.tags,
        project: metadata.project,
        file_name: metadata.file_name,
        location: metadata.location,
        content_type: Some(metadata.content_type),
        assets,
    })
}

/// What was found in a capture, in the order in which it was found.
pub(crate) fn findings(connection: &Connection, capture_id: CaptureId) -> Result<Vec<Finding>, StoreError> {
    rows::all(
        connection,
        "SELECT body FROM finding WHERE capture_id = ?1 ORDER BY id",
        [capture_id.as_bytes()],
        |row| {
            let body = row.get_ref(0)?.as_str().map_err(|_| StoreError::Damaged { what: "finding" })?;
            serde_json::from_str(body).map_err(|_| StoreError::Damaged { what: "finding" })
        },
    )
}

/// A piece's row as far as sending needs it.
pub(crate) struct PieceRow {
    /// Sealed bytes of a note; otherwise they are a file.
    pub(crate) inline: Option<Vec<u8>>,
    pub(crate) sealed_bytes: u64,
    pub(crate) sealed_sha256: Sha256Digest,
}

/// One piece.
pub(crate) fn piece(connection: &Connection, asset_id: AssetId, index: u32) -> Result<PieceRow, StoreError> {
    rows::first(
        connection,
        "SELECT sealed, sealed_bytes, sealed_sha256 FROM piece WHERE asset_id = ?1 AND piece_index = ?2",
        params![asset_id.as_bytes(), index],
        |row| {
            Ok(PieceRow {
                inline: row.get(0)?,
                sealed_bytes: rows::count(row, 1)?,
                sealed_sha256: rows::digest(row, 2)?,
            })
        },
    )?
    .ok_or(StoreError::Missing { what: "piece" })
}
