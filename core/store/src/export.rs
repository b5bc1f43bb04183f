//! One asset's data key for its owner, with what is needed to open its pieces without this software.

use crate::{Store, StoreError, layout, rows};
use snaptrak_domain::AssetId;
use snaptrak_seal::{DataKey, PieceAddress};
use std::path::PathBuf;

/// A piece as an owner opens it with Tink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedPiece {
    /// Place in the asset, from 0.
    pub index: u32,
    /// The sealed file; `None` for a note, whose sealed bytes are in [`ExportedPiece::sealed`].
    pub path: Option<PathBuf>,
    /// The sealed bytes of a note.
    pub sealed: Option<Vec<u8>>,
    /// Tink's associated data.
    pub associated_data: Vec<u8>,
}

/// What opens one asset.
#[derive(Debug)]
pub struct ExportedKey {
    /// The data key: whoever has it reads this asset, and no other.
    pub data_key: DataKey,
    /// Its pieces in order.
    pub pieces: Vec<ExportedPiece>,
}

impl Store {
    /// Hands out an asset's data key.
    pub fn export_key(&self, asset_id: AssetId) -> Result<ExportedKey, StoreError> {
        let found = self.read(|connection| {
            rows::all(
                connection,
                "SELECT piece_index, sealed, state = 'purged' FROM piece WHERE asset_id = ?1 ORDER BY piece_index",
                [asset_id.as_bytes()],
                |row| Ok((rows::small(row, 0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, bool>(2)?)),
            )
        })?;
        if found.is_empty() {
            return Err(StoreError::Missing { what: "asset" });
        }
        if found.iter().any(|(_, _, purged)| *purged) {
            return Err(StoreError::Purged);
        }
        let piece = |(index, sealed, _): (u32, Option<Vec<u8>>, bool)| ExportedPiece {
            index,
            path: sealed.is_none().then(|| self.layout().find_in_asset(asset_id, &layout::piece_name(index))),
            sealed,
            associated_data: PieceAddress { asset_id, index }.associated_data().to_vec(),
        };
        Ok(ExportedKey { data_key: self.data_key(asset_id)?, pieces: found.into_iter().map(piece).collect() })
    }
}
