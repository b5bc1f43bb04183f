//! A piece's state in its row: the one place that changes it, by [`piece::next`].

use crate::{StoreError, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, PieceState,
    piece::{self, PieceEvent},
};

/// The state of one piece.
pub(crate) fn state(connection: &Connection, asset_id: AssetId, index: u32) -> Result<PieceState, StoreError> {
    rows::first(
        connection,
        "SELECT state FROM piece WHERE asset_id = ?1 AND piece_index = ?2",
        params![asset_id.as_bytes(), index],
        |row| rows::word(row, 0, "piece state"),
    )?
    .ok_or(StoreError::Missing { what: "piece" })
}

/// Moves one piece. An event that it cannot take is a bug of the caller: the error rolls the whole transaction back.
pub(crate) fn apply(
    connection: &Connection,
    asset_id: AssetId,
    index: u32,
    event: PieceEvent,
) -> Result<PieceState, StoreError> {
    let before = state(connection, asset_id, index)?;
    let after = piece::next(before, event).map_err(|refused| {
        tracing::warn!(%asset_id, piece = index, %refused, "an event that a piece cannot take");
        StoreError::Refused { code: "piece_event" }
    })?;
    if after != before {
        rows::change(
            connection,
            "UPDATE piece SET state = ?3 WHERE asset_id = ?1 AND piece_index = ?2",
            params![asset_id.as_bytes(), index, after.as_str()],
        )?;
    }
    Ok(after)
}

/// Moves every piece of an asset that is in a state which can take the event; the others stay. One statement a state, so that
/// an asset of thousands of pieces costs no more than one of two.
pub(crate) fn apply_where_possible(
    connection: &Connection,
    asset_id: AssetId,
    event: PieceEvent,
) -> Result<(), StoreError> {
    for before in PieceState::ALL {
        let Ok(after) = piece::next(before, event) else { continue };
        if after != before {
            rows::change(
                connection,
                "UPDATE piece SET state = ?3 WHERE asset_id = ?1 AND state = ?2",
                params![asset_id.as_bytes(), before.as_str(), after.as_str()],
            )?;
        }
    }
    Ok(())
}
