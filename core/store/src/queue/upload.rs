//! The begun upload of a piece: URL and capability, sealed in the piece's row.

use super::sealed_fields;
use crate::{StoreError, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetId, Secret, queue_store::Upload};

/// What the seal of a piece's upload is bound to: a capability cannot stand where another one does.
pub(crate) fn purpose(asset_id: AssetId, index: u32) -> String {
    format!("snaptrak.upload/1 {asset_id} {index}")
}

/// An upload as one secret.
pub(crate) fn join(upload: &Upload) -> Result<Secret, StoreError> {
    let expires = sealed_fields::time_field(upload.expires);
    sealed_fields::join(&[upload.url.as_bytes(), upload.capability.expose(), &expires])
}

/// The upload in a secret that [`join`] made.
pub(crate) fn split(joined: &Secret) -> Result<Upload, StoreError> {
    let [url, capability, expires] = sealed_fields::split::<3>(joined)?;
    let url = std::str::from_utf8(url.expose()).map_err(|_| StoreError::Damaged { what: "upload" })?.to_owned();
    Ok(Upload { url, capability, expires: sealed_fields::time_of(&expires)? })
}

/// Writes or forgets the sealed upload of a piece.
pub(crate) fn save(
    connection: &Connection,
    asset_id: AssetId,
    index: u32,
    sealed: Option<&[u8]>,
) -> Result<(), StoreError> {
    let changed = rows::change(
        connection,
        "UPDATE piece SET upload = ?3 WHERE asset_id = ?1 AND piece_index = ?2",
        params![asset_id.as_bytes(), index, sealed],
    )?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Missing { what: "piece" }) }
}

/// The sealed upload of a piece.
pub(crate) fn load(connection: &Connection, asset_id: AssetId, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
    rows::first(
        connection,
        "SELECT upload FROM piece WHERE asset_id = ?1 AND piece_index = ?2",
        params![asset_id.as_bytes(), index],
        |row| Ok(row.get(0)?),
    )?
    .ok_or(StoreError::Missing { what: "piece" })
}
