//! How much of the queue is left.

use super::ready;
use crate::{StoreError, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetState, PieceState, Rendition, StepKind, UnixMs, queue_store::Backlog};

/// Whether an original in this state is still on its way.
pub(crate) fn is_waiting(state: AssetState) -> bool {
    match state {
        AssetState::Recording
        | AssetState::Saved
        | AssetState::Prepared
        | AssetState::Queued
        | AssetState::Sending
        | AssetState::Received => true,
        AssetState::Verified
        | AssetState::Purged
        | AssetState::Withheld
        | AssetState::Parked
        | AssetState::Cancelled => false,
    }
}

/// Whether the server does not hold all of a piece in this state.
pub(crate) fn is_unsent(state: PieceState) -> bool {
    match state {
        PieceState::Sealed | PieceState::Queued | PieceState::Sending => true,
        PieceState::Received
        | PieceState::Verified
        | PieceState::Purged
        | PieceState::Parked
        | PieceState::Cancelled => false,
    }
}

/// Originals in a state.
pub(crate) fn originals(connection: &Connection, state: AssetState) -> Result<u64, StoreError> {
    rows::only(
        connection,
        "SELECT count(*) FROM asset WHERE state = ?1 AND rendition = ?2",
        params![state.as_str(), Rendition::Original.as_str()],
        |row| rows::count(row, 0),
    )
}

/// Sealed bytes of all originals in a state that the server does not hold yet; one walk over their pieces.
pub(crate) fn unsent_bytes(connection: &Connection, state: AssetState) -> Result<u64, StoreError> {
    let unsent: Vec<String> = PieceState::ALL
        .into_iter()
        .filter(|piece| is_unsent(*piece))
        .map(|piece| format!("'{}'", piece.as_str()))
        .collect();
    let sql = format!(
        "SELECT coalesce(sum(piece.sealed_bytes), 0) FROM asset JOIN piece ON piece.asset_id = asset.id
          WHERE asset.state = ?1 AND asset.rendition = ?2 AND piece.state IN ({})",
        unsent.join(", ")
    );
    rows::only(connection, &sql, params![state.as_str(), Rendition::Original.as_str()], |row| rows::count(row, 0))
}

/// What is left, in captures and bytes, and when a delayed step comes back.
pub(crate) fn backlog(connection: &Connection, now: UnixMs) -> Result<Backlog, StoreError> {
    let mut backlog = Backlog { parked: originals(connection, AssetState::Parked)?, ..Backlog::default() };
    for state in AssetState::ALL.into_iter().filter(|state| is_waiting(*state)) {
        backlog.captures += originals(connection, state)?;
        backlog.bytes += unsent_bytes(connection, state)?;
    }
    for kind in StepKind::ALL.into_iter().filter(|kind| kind.is_sending()) {
        let next = ready::next_try(connection, kind, now)?;
        backlog.next_try = [backlog.next_try, next].into_iter().flatten().min();
    }
    Ok(backlog)
}
