//! An asset's envelope and device receipt, replaced whole.

use super::verification;
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{AssetId, Sha256Digest, UnixMs};
use snaptrak_seal::envelope::PieceEntry;

/// What is stored of an envelope that was authenticated.
pub(crate) struct NewEnvelopeRow {
    pub(crate) asset_id: AssetId,
    pub(crate) envelope: Vec<u8>,
    pub(crate) closed: bool,
    pub(crate) pieces: Vec<PieceEntry>,
    pub(crate) device_receipt: Option<Vec<u8>>,
    pub(crate) content_sealed: Vec<u8>,
}

/// What is compared with a new envelope.
pub(crate) struct EnvelopeRow {
    pub(crate) closed: bool,
    pub(crate) pieces: Vec<PieceEntry>,
    pub(crate) device_receipt: Option<Vec<u8>>,
}

/// The envelope that an asset has, if it has one.
pub(crate) fn current(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<Option<EnvelopeRow>, Error> {
    let found = transaction
        .prepare_cached("SELECT envelope_closed, device_receipt FROM asset WHERE id = ?1 AND envelope IS NOT NULL")?
        .query_row([asset_id.to_string()], |row| Ok((row.get("envelope_closed")?, row.get("device_receipt")?)))
        .optional()?;
    let Some((closed, device_receipt)) = found else { return Ok(None) };
    Ok(Some(EnvelopeRow { closed, pieces: pieces(transaction, asset_id)?, device_receipt }))
}

/// The exact bytes.
pub(crate) fn file(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<Option<Vec<u8>>, Error> {
    Ok(transaction.query_row("SELECT envelope FROM asset WHERE id = ?1", [asset_id.to_string()], |row| row.get(0))?)
}

/// What the accepted envelope says of one piece.
pub(crate) fn piece(transaction: &Transaction<'_>, asset_id: AssetId, index: u32) -> Result<Option<PieceEntry>, Error> {
    Ok(transaction
        .prepare_cached(
            "SELECT piece_index, sealed_bytes, sealed_sha256 FROM envelope_piece WHERE asset_id = ?1 AND piece_index = ?2",
        )?
        .query_row(params![asset_id.to_string(), index], entry)
        .optional()?)
}

/// Every piece that the accepted envelope lists.
pub(crate) fn pieces(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<Vec<PieceEntry>, Error> {
    let mut statement = transaction.prepare_cached(
        "SELECT piece_index, sealed_bytes, sealed_sha256 FROM envelope_piece WHERE asset_id = ?1 ORDER BY piece_index",
    )?;
    let rows = statement.query_map([asset_id.to_string()], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Replaces an asset's envelope and says whether the asset is now ready to be verified.
pub(crate) fn replace(transaction: &Transaction<'_>, row: &NewEnvelopeRow, now: UnixMs) -> Result<bool, Error> {
    let id = row.asset_id.to_string();
    transaction.execute(
        "UPDATE asset SET envelope = ?2, envelope_closed = ?3, device_receipt = ifnull(?4, device_receipt),
           content_sealed = ?5 WHERE id = ?1",
        params![id, row.envelope, row.closed, row.device_receipt, row.content_sealed],
    )?;
    transaction.execute("DELETE FROM envelope_piece WHERE asset_id = ?1", [&id])?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO envelope_piece (asset_id, piece_index, sealed_bytes, sealed_sha256) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for piece in &row.pieces {
        insert.execute(params![id, piece.index, piece.sealed_bytes, piece.sealed_sha256.to_string()])?;
    }
    verification::changed(transaction, row.asset_id, now)
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<PieceEntry> {
    let sealed_sha256: Sha256Digest = super::parsed(row, "sealed_sha256")?;
    Ok(PieceEntry { index: row.get("piece_index")?, sealed_bytes: row.get("sealed_bytes")?, sealed_sha256 })
}
