//! A capture as rows: the transaction that makes it part of the store.
//!
//! Capture, asset, pieces, place in the receipt chain and steps come into being together or not at all. A recording's
//! capture and asset come first, its pieces one by one, receipt and steps when it is closed.

use crate::{
    StoreError,
    queue::{
        derive::derive_asset_state,
        outgoing, recorded,
        steps::{self, NewSteps},
    },
    receipts, rows,
    writer::WriteTransaction,
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, CaptureMetadata, EventKind, Instant, Kind, PieceState, Rendition, Sha256Digest,
    StoreEvent, UnixMs,
    asset::{self, AssetFacts},
};
use snaptrak_seal::{PieceEntry, ReceiptClaims, SealedPiece};

/// Where an asset's sealed bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Files in `incoming/`.
    Incoming,
    /// In the rows: envelope and only piece.
    Row { envelope: Vec<u8>, piece: Vec<u8> },
}

/// What a receipt says of the moment and the signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witness {
    pub(crate) instant: Instant,
    pub(crate) hardware: bool,
}

/// A capture whose original is complete and durable.
#[derive(Debug, Clone)]
pub(crate) struct NewCapture {
    pub(crate) metadata: CaptureMetadata,
    pub(crate) asset_id: AssetId,
    pub(crate) place: Place,
    pub(crate) pieces: Vec<SealedPiece>,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256Digest,
    pub(crate) witness: Witness,
    pub(crate) now: UnixMs,
}

/// The state of a new capture's original.
pub(crate) fn first_state(kind: Kind, content_type: &str, pieces: usize) -> AssetState {
    asset::derive(AssetFacts {
        closed: true,
        withheld: false,
        prepared: !steps::wants_analysis(kind, content_type),
        parked: false,
        pieces: &vec![PieceState::Sealed; pieces],
    })
}

/// Inserts a whole capture, and announces it; the state of its original.
pub(crate) fn insert(transaction: &WriteTransaction<'_>, new: &NewCapture) -> Result<AssetState, StoreError> {
    let state = insert_announced(transaction, new)?;
    transaction.announce(added(new.metadata.capture_id, new.asset_id, state));
    Ok(state)
}

/// The original of a capture that is new.
pub(crate) fn added(capture_id: CaptureId, asset_id: AssetId, state: AssetState) -> StoreEvent {
    StoreEvent { kind: EventKind::Added, capture_id, asset_id, rendition: Rendition::Original, state }
}

/// Inserts a whole capture that was announced when it was taken in.
pub(crate) fn insert_announced(transaction: &Connection, new: &NewCapture) -> Result<AssetState, StoreError> {
    insert_capture(transaction, &new.metadata)?;
    let state = first_state(new.metadata.kind, &new.metadata.content_type, new.pieces.len());
    let (envelope, piece) = match &new.place {
        Place::Incoming => (None, None),
        Place::Row { envelope, piece } => (Some(envelope), Some(piece)),
    };
    rows::change(
        transaction,
        "INSERT INTO asset (id, capture_id, rendition, state, closed, bytes, sha256, envelope, in_incoming, state_since_ms)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9)",
        params![
            new.asset_id.as_bytes(),
            new.metadata.capture_id.as_bytes(),
            Rendition::Original.as_str(),
            state.as_str(),
            rows::signed(new.bytes)?,
            new.sha256.as_bytes(),
            envelope,
            envelope.is_none(),
            new.now.0,
        ],
    )?;
    for one in &new.pieces {
        insert_piece(transaction, new.asset_id, one, piece.map(Vec::as_slice))?;
    }
    take_receipt(transaction, new)?;
    with_steps(new, |new| steps::insert(transaction, *new))?;
    Ok(state)
}

/// The rows of a recording before its first piece.
pub(crate) fn insert_open(
    transaction: &WriteTransaction<'_>,
    metadata: &CaptureMetadata,
    asset_id: AssetId,
    now: UnixMs,
) -> Result<(), StoreError> {
    insert_capture(transaction, metadata)?;
    rows::change(
        transaction,
        "INSERT INTO asset (id, capture_id, rendition, state, closed, bytes, in_incoming, state_since_ms)
         VALUES (?1, ?2, ?3, ?4, 0, 0, 1, ?5)",
        params![
            asset_id.as_bytes(),
            metadata.capture_id.as_bytes(),
            Rendition::Original.as_str(),
            AssetState::Recording.as_str(),
            now.0
        ],
    )?;
    transaction.announce(added(metadata.capture_id, asset_id, AssetState::Recording));
    Ok(())
}

/// A piece of a recording that is durable and listed in the envelope.
#[derive(Debug, Clone)]
pub(crate) struct AddedPiece {
    pub(crate) asset_id: AssetId,
    /// As far as it is known by now.
    pub(crate) metadata: CaptureMetadata,
    pub(crate) piece: SealedPiece,
    pub(crate) now: UnixMs,
}

/// A finished piece of a recording, with the steps by which it leaves.
pub(crate) fn add_piece(transaction: &WriteTransaction<'_>, added: &AddedPiece) -> Result<(), StoreError> {
    let AddedPiece { asset_id, metadata, piece, now } = added;
    insert_piece(transaction, *asset_id, piece, None)?;
    rows::change(
        transaction,
        "UPDATE asset SET bytes = bytes + ?2 WHERE id = ?1",
        params![asset_id.as_bytes(), rows::signed(piece.bytes)?],
    )?;
    if piece.index == 0 {
        update_metadata(transaction, metadata)?;
    }
    let new = NewSteps {
        capture_id: metadata.capture_id,
        asset_id: *asset_id,
        kind: metadata.kind,
        content_type: &metadata.content_type,
        pieces: &[],
        now: *now,
    };
    recorded::piece_added(transaction, &new, piece.index, piece.sealed_bytes)
}

/// Closes a recording whose pieces are those of `new`; the state of its original.
pub(crate) fn close(transaction: &WriteTransaction<'_>, new: &NewCapture) -> Result<AssetState, StoreError> {
    for piece in &new.pieces {
        // What was durable before a kill may lack its row.
        insert_piece(transaction, new.asset_id, piece, None)?;
    }
    let record_changed =
        outgoing::metadata(transaction, new.metadata.capture_id)?.content_type != new.metadata.content_type;
    update_metadata(transaction, &new.metadata)?;
    rows::change(
        transaction,
        "UPDATE asset SET closed = 1, bytes = ?2, sha256 = ?3 WHERE id = ?1",
        params![new.asset_id.as_bytes(), rows::signed(new.bytes)?, new.sha256.as_bytes()],
    )?;
    take_receipt(transaction, new)?;
    with_steps(new, |steps| recorded::closed(transaction, steps, record_changed))?;
    derive_asset_state(transaction, new.asset_id, new.now)
}

fn update_metadata(connection: &Connection, metadata: &CaptureMetadata) -> Result<(), StoreError> {
    rows::change(
        connection,
        "UPDATE capture SET kind = ?2, metadata = ?3 WHERE id = ?1",
        params![metadata.capture_id.as_bytes(), metadata.kind.as_str(), metadata_text(metadata)?],
    )?;
    Ok(())
}

/// Takes back a recording that never had a byte.
pub(crate) fn remove_empty(transaction: &WriteTransaction<'_>, asset_id: AssetId) -> Result<(), StoreError> {
    let id = asset_id.as_bytes();
    let capture = rows::first(
        transaction,
        "SELECT capture_id FROM asset WHERE id = ?1 AND closed = 0
         AND NOT EXISTS (SELECT 1 FROM piece WHERE asset_id = ?1)",
        [id],
        |row| rows::capture_id(row, 0),
    )?;
    if let Some(capture_id) = capture {
        rows::change(transaction, "DELETE FROM asset WHERE id = ?1", [id])?;
        rows::change(transaction, "DELETE FROM capture WHERE id = ?1", [capture_id.as_bytes()])?;
        transaction.announce(removed(capture_id, asset_id));
    }
    Ok(())
}

/// The original of a recording that never was.
pub(crate) fn removed(capture_id: CaptureId, asset_id: AssetId) -> StoreEvent {
    let (rendition, state) = (Rendition::Original, AssetState::Cancelled);
    StoreEvent { kind: EventKind::Removed, capture_id, asset_id, rendition, state }
}

pub(crate) fn insert_capture(connection: &Connection, metadata: &CaptureMetadata) -> Result<(), StoreError> {
    rows::change(
        connection,
        "INSERT INTO capture (id, number, kind, created_ms, metadata)
         VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM capture), ?2, ?3, ?4)",
        params![
            metadata.capture_id.as_bytes(),
            metadata.kind.as_str(),
            metadata.created.unix_ms.0,
            metadata_text(metadata)?
        ],
    )?;
    Ok(())
}

fn metadata_text(metadata: &CaptureMetadata) -> Result<String, StoreError> {
    serde_json::to_string(metadata).map_err(|_| StoreError::Refused { code: "metadata_invalid" })
}

pub(crate) fn insert_piece(
    connection: &Connection,
    asset_id: AssetId,
    piece: &SealedPiece,
    sealed: Option<&[u8]>,
) -> Result<(), StoreError> {
    rows::change(
        connection,
        "INSERT INTO piece (asset_id, piece_index, state, bytes, sha256, sealed_bytes, sealed_sha256, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (asset_id, piece_index) DO NOTHING",
        params![
            asset_id.as_bytes(),
            piece.index,
            PieceState::Sealed.as_str(),
            rows::signed(piece.bytes)?,
            piece.sha256.as_bytes(),
            rows::signed(piece.sealed_bytes)?,
            piece.sealed_sha256.as_bytes(),
            sealed
        ],
    )?;
    Ok(())
}

fn take_receipt(connection: &Connection, new: &NewCapture) -> Result<(), StoreError> {
    receipts::take_place(connection, |sequence, previous| ReceiptClaims {
        asset_id: new.asset_id,
        capture_id: new.metadata.capture_id,
        device_id: new.metadata.device_id,
        rendition: Rendition::Original,
        sequence,
        previous,
        sha256: new.sha256,
        bytes: new.bytes,
        pieces: new.pieces.iter().map(PieceEntry::from).collect(),
        wall: new.metadata.created.clone(),
        instant: new.witness.instant.clone(),
        server_offset_ms: None,
        hardware: new.witness.hardware,
    })
}

fn with_steps<T>(new: &NewCapture, work: impl FnOnce(&NewSteps<'_>) -> T) -> T {
    let sealed_bytes: Vec<u64> = new.pieces.iter().map(|piece| piece.sealed_bytes).collect();
    work(&NewSteps {
        capture_id: new.metadata.capture_id,
        asset_id: new.asset_id,
        kind: new.metadata.kind,
        content_type: &new.metadata.content_type,
        pieces: &sealed_bytes,
        now: new.now,
    })
}
