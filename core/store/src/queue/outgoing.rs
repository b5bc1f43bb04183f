//! What leaves: records, findings and where a piece's bytes are. Envelopes have a file of their own.

use crate::{Store, StoreError, chores, layout, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, CaptureId, CaptureMetadata, Finding, Sha256Digest,
    queue_store::{OutgoingPiece, PieceBytes},
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

/// The record: what the person and the app said of a capture. What the file says of itself (EXIF) stays sealed, and an asset
/// that stays on this device is not spoken of.
pub(crate) fn record(connection: &Connection, capture_id: CaptureId) -> Result<Record, StoreError> {
    let metadata = metadata(connection, capture_id)?;
    let assets = rows::all(
        connection,
        "SELECT id, rendition FROM asset WHERE capture_id = ?1 AND withheld = 0 ORDER BY rendition",
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

impl Store {
    /// A piece's sealed bytes: of its row, or the path at which its file stays.
    pub(crate) fn outgoing_piece(&self, asset_id: AssetId, index: u32) -> Result<OutgoingPiece, StoreError> {
        let (piece, place) = self.read(|connection| piece(connection, asset_id, index))?;
        let name = layout::piece_name(index);
        let source = match (piece.inline, place) {
            (Some(sealed), _) => PieceBytes::Inline(sealed),
            (None, PiecePlace::Settled) => PieceBytes::File(self.layout().settled_asset(asset_id).join(name)),
            (None, PiecePlace::MayMove) => {
                // A transfer may read the file long after this answer, so it must not be moved any more.
                chores::move_folders(&self.inner.files, &[asset_id])?;
                PieceBytes::File(self.layout().settled_asset(asset_id).join(name))
            }
            (None, PiecePlace::MustStay) => PieceBytes::File(self.layout().incoming_asset(asset_id).join(name)),
        };
        Ok(OutgoingPiece { source, sealed_bytes: piece.sealed_bytes, sealed_sha256: piece.sealed_sha256 })
    }
}

/// A piece's row as far as sending needs it.
struct PieceRow {
    /// Sealed bytes of a note; otherwise they are a file.
    inline: Option<Vec<u8>>,
    sealed_bytes: u64,
    sealed_sha256: Sha256Digest,
}

/// Where the folder of a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PiecePlace {
    /// In its place for good.
    Settled,
    /// In `incoming/`, and nobody needs it there.
    MayMove,
    /// In `incoming/`: it is still being recorded, or another of its pieces is being sent from there.
    MustStay,
}

/// One piece, and where its folder is.
fn piece(connection: &Connection, asset_id: AssetId, index: u32) -> Result<(PieceRow, PiecePlace), StoreError> {
    rows::first(
        connection,
        "SELECT piece.sealed, piece.sealed_bytes, piece.sealed_sha256, asset.in_incoming, asset.closed = 0 OR EXISTS
                  (SELECT 1 FROM piece AS other WHERE other.asset_id = ?1 AND other.piece_index <> ?2
                      AND other.state = 'sending')
           FROM piece JOIN asset ON asset.id = piece.asset_id WHERE piece.asset_id = ?1 AND piece.piece_index = ?2",
        params![asset_id.as_bytes(), index],
        |row| {
            let piece = PieceRow {
                inline: row.get(0)?,
                sealed_bytes: rows::count(row, 1)?,
                sealed_sha256: rows::digest(row, 2)?,
            };
            let place = match (row.get(3)?, row.get(4)?) {
                (false, _) => PiecePlace::Settled,
                (true, false) => PiecePlace::MayMove,
                (true, true) => PiecePlace::MustStay,
            };
            Ok((piece, place))
        },
    )?
    .ok_or(StoreError::Missing { what: "piece" })
}
