//! One capture with everything that hangs on it.

use crate::{
    Store, StoreError, annotations, keep, layout,
    queue::{outgoing, step_row},
    rows,
};
use rusqlite::Connection;
use snaptrak_domain::{
    Annotation, AssetId, AssetState, CaptureId, CaptureMetadata, Finding, PieceState, Reason, Rendition, Sha256Digest,
    StepKind, StepState, UnixMs,
};
use std::path::PathBuf;

/// A capture, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureDetail {
    /// Its metadata.
    pub metadata: CaptureMetadata,
    /// Whether its bytes are to stay on this device.
    pub pinned: bool,
    /// Its assets, the original first.
    pub assets: Vec<AssetDetail>,
    /// What was found in it.
    pub findings: Vec<Finding>,
    /// What people said of it later, by field.
    pub annotations: Vec<Annotation>,
    /// What was and is to be done with it.
    pub steps: Vec<StepDetail>,
}

/// An asset of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetDetail {
    /// The asset.
    pub asset_id: AssetId,
    /// Which rendition.
    pub rendition: Rendition,
    /// Where it stands.
    pub state: AssetState,
    /// Since when.
    pub since: UnixMs,
    /// Plaintext bytes.
    pub bytes: u64,
    /// Plaintext digest; not known while it is being recorded.
    pub sha256: Option<Sha256Digest>,
    /// Its pieces in order.
    pub pieces: Vec<PieceDetail>,
}

/// A piece of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceDetail {
    /// Place in the asset.
    pub index: u32,
    /// The sealed file; `None`: the sealed bytes are in the database, or purged.
    pub path: Option<PathBuf>,
    /// Where it stands.
    pub state: PieceState,
    /// Sealed bytes.
    pub bytes: u64,
    /// Digest of the sealed bytes.
    pub sha256: Sha256Digest,
}

/// A step of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDetail {
    /// What.
    pub step: StepKind,
    /// For which piece.
    pub piece: Option<u32>,
    /// Where it stands.
    pub state: StepState,
    /// Attempts that counted.
    pub attempts: u32,
    /// Why it waits or is parked.
    pub reason: Option<Reason>,
}

impl Store {
    /// Everything that is known of a capture, of one moment.
    pub fn show(&self, capture_id: CaptureId) -> Result<CaptureDetail, StoreError> {
        let mut detail = self.read(|connection| detail(connection, capture_id))?;
        for asset in &mut detail.assets {
            for piece in asset.pieces.iter_mut().filter(|piece| piece.path.is_some()) {
                piece.path = Some(self.layout().find_in_asset(asset.asset_id, &layout::piece_name(piece.index)));
            }
        }
        Ok(detail)
    }

    /// The asset of a capture in a rendition.
    pub fn asset_of(&self, capture_id: CaptureId, rendition: Rendition) -> Result<AssetId, StoreError> {
        self.read(|connection| {
            rows::first(
                connection,
                "SELECT id FROM asset WHERE capture_id = ?1 AND rendition = ?2",
                rusqlite::params![capture_id.as_bytes(), rendition.as_str()],
                |row| rows::asset_id(row, 0),
            )?
            .ok_or(StoreError::Missing { what: if rendition == Rendition::Original { "capture" } else { "asset" } })
        })
    }
}

pub(crate) fn detail(connection: &Connection, capture_id: CaptureId) -> Result<CaptureDetail, StoreError> {
    let metadata = outgoing::metadata(connection, capture_id)?;
    let mut assets = rows::all(
        connection,
        "SELECT id, rendition, state, state_since_ms, bytes, sha256 FROM asset WHERE capture_id = ?1",
        [capture_id.as_bytes()],
        |row| {
            let sha256: Option<[u8; 32]> = row.get(5)?;
            Ok(AssetDetail {
                asset_id: rows::asset_id(row, 0)?,
                rendition: rows::word(row, 1, "rendition")?,
                state: rows::word(row, 2, "asset state")?,
                since: rows::unix_ms(row, 3)?,
                bytes: rows::count(row, 4)?,
                sha256: sha256.map(Sha256Digest),
                pieces: Vec::new(),
            })
        },
    )?;
    assets.sort_by_key(|asset| Rendition::ALL.iter().position(|rendition| *rendition == asset.rendition));
    for asset in &mut assets {
        asset.pieces = pieces(connection, asset.asset_id)?;
    }
    let steps = step_row::of_capture(connection, capture_id)?.into_iter().map(|step| StepDetail {
        step: step.kind,
        piece: step.piece_index,
        state: step.state,
        attempts: step.attempts,
        reason: step.reason,
    });
    Ok(CaptureDetail {
        metadata,
        pinned: keep::is_pinned(connection, capture_id)?,
        assets,
        findings: outgoing::findings(connection, capture_id)?,
        annotations: annotations::of_capture(connection, capture_id)?,
        steps: steps.collect(),
    })
}

/// The pieces of an asset; those that are files have an empty path, which [`Store::show`] fills in.
fn pieces(connection: &Connection, asset_id: AssetId) -> Result<Vec<PieceDetail>, StoreError> {
    rows::all(
        connection,
        "SELECT piece_index, state, sealed_bytes, sealed_sha256, sealed IS NULL FROM piece WHERE asset_id = ?1
          ORDER BY piece_index",
        [asset_id.as_bytes()],
        |row| {
            let state: PieceState = rows::word(row, 1, "piece state")?;
            let is_file = row.get::<_, bool>(4)? && state != PieceState::Purged;
            Ok(PieceDetail {
                index: rows::small(row, 0)?,
                path: is_file.then(PathBuf::new),
                state,
                bytes: rows::count(row, 2)?,
                sha256: rows::digest(row, 3)?,
            })
        },
    )
}
