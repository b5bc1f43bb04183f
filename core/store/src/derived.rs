//! Derived assets: a small rendition of a capture beside its original, with a data key, a piece and an envelope of its own.
//!
//! Order of events. Look whether there is one already; draw id and key; seal the piece into `incoming/ASSET/` and sync it;
//! write the envelope and sync it; sync the folder and `incoming/`; insert the rows and settle the step that was to make it;
//! answer. Killed before the envelope, the folder is swept at the next opening; killed between envelope and rows, it is adopted
//! by the rendition that the envelope names. The first one of a rendition stays: a second one replaces nothing and is no
//! error, so that making one twice after a kill does no harm.
//!
//! It is withheld: it does not leave, stands in no record, and has no receipt. Its envelope carries the capture's metadata, as
//! the original's does, so that either brings the capture back. Refuses to know what the bytes are.

use crate::{
    Store, StoreError, capture, capture_rows,
    envelopes::envelope_failed,
    layout,
    queue::{outgoing, step_row, step_row::StepWrite},
    rows,
    sealing::{self, SealedAsset},
    writer::WriteTransaction,
};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, EventKind, PieceState, Reason, Rendition, Sha256Digest, StepKind, StepState,
    StoreEvent, UnixMs,
    asset::{self, AssetFacts},
    limits::PIECE_PLAIN_BYTES_MAX,
    step_event::StepEvent,
};
use snaptrak_seal::{DataKey, SealedPiece};
use std::{io::Write, path::Path};

/// A derived asset that is durable as files.
#[derive(Debug, Clone)]
pub(crate) struct NewDerived {
    pub(crate) capture_id: CaptureId,
    pub(crate) asset_id: AssetId,
    pub(crate) rendition: Rendition,
    pub(crate) piece: SealedPiece,
    pub(crate) now: UnixMs,
}

/// Whether the analysis of a capture, before which its thumbnail is not made by itself, has ended or does not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Analysis {
    /// It has, well or not.
    Settled,
    /// It has not.
    Waiting,
}

/// A thumbnail that is still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingThumbnail {
    /// Row of the step.
    pub step_id: i64,
    /// Of which capture.
    pub capture_id: CaptureId,
}

impl Store {
    /// Keeps a derived rendition of a capture, of at most one piece; durable when it returns. The answer is the asset of this
    /// rendition: the new one, or the one that was there.
    pub fn add_derived(
        &self,
        capture_id: CaptureId,
        rendition: Rendition,
        plain: &[u8],
    ) -> Result<AssetId, StoreError> {
        if rendition == Rendition::Original {
            return Err(StoreError::Refused { code: "rendition" });
        }
        if plain.is_empty() {
            return Err(StoreError::Refused { code: "empty" });
        }
        if plain.len() as u64 > PIECE_PLAIN_BYTES_MAX {
            return Err(StoreError::Refused { code: "too_large" });
        }
        if let Some(there) = self.find_asset_of(capture_id, rendition)? {
            return Ok(there);
        }
        let _held = self.hold()?;
        let now = self.clock().now();
        let asset_id = AssetId::new(now, self.random())?;
        let folder = self.layout().incoming_asset(asset_id);
        layout::create_folder(&folder)?;
        let sealed = self.seal_derived(&folder, capture_id, rendition, asset_id, plain);
        let result =
            sealed.and_then(|piece| self.commit_derived(NewDerived { capture_id, asset_id, rendition, piece, now }));
        match &result {
            // Someone else was faster.
            Ok(kept) if *kept != asset_id => capture::remove_unfinished(&folder),
            Ok(_) => tracing::info!(%capture_id, %asset_id, rendition = rendition.as_str(), "derived asset kept"),
            // After a failed commit nobody knows whether the row is there: the next opening does.
            Err(StoreError::Database { .. } | StoreError::Io { .. }) => {}
            Err(_) => capture::remove_unfinished(&folder),
        }
        result
    }

    fn seal_derived(
        &self,
        folder: &Path,
        capture_id: CaptureId,
        rendition: Rendition,
        asset_id: AssetId,
        plain: &[u8],
    ) -> Result<SealedPiece, StoreError> {
        let metadata = self.read(|connection| outgoing::metadata(connection, capture_id))?;
        let data_key = DataKey::generate(self.random())?;
        let (sealed, piece) = sealing::seal_inline(plain, &data_key, asset_id, self.random())?;
        let mut file = layout::create_file(&folder.join(layout::piece_name(piece.index)))?;
        file.write_all(&sealed).map_err(|error| StoreError::io("write a piece", error))?;
        sealing::sync(&file)?;
        let mut envelope = self.inner.sealer.new_envelope_of(rendition, &metadata, asset_id, &data_key)?;
        envelope.add_piece(&piece).map_err(envelope_failed)?;
        let asset = SealedAsset { bytes: piece.bytes, sha256: piece.sha256, pieces: vec![piece] };
        let bytes = self.inner.sealer.close_envelope(&mut envelope, &metadata, &data_key, &asset)?;
        // Also syncs the folder, and with it the name of the piece.
        layout::replace_file(&folder.join(layout::ENVELOPE_NAME), &bytes)?;
        self.sync_incoming()?;
        // What was just made needs no viewing key.
        self.inner.keys.remember(asset_id, data_key);
        Ok(piece)
    }

    fn commit_derived(&self, new: NewDerived) -> Result<AssetId, StoreError> {
        self.write(move |transaction| insert(transaction, &new))
    }

    /// Inserts the rows of a derived asset whose envelope is whole. One whose capture is not known stays where it is.
    pub(crate) fn adopt_derived(&self, asset_id: AssetId, folder: &Path) -> Result<(), StoreError> {
        let found = self.find(asset_id, folder)?;
        let content = found.envelope.content();
        let (Some(_), [piece]) = (found.metadata.sha256, found.pieces.as_slice()) else {
            return Err(StoreError::Damaged { what: "envelope of a derived asset" });
        };
        self.sync_incoming()?;
        let kept = self.commit_derived(NewDerived {
            capture_id: content.capture_id,
            asset_id,
            rendition: content.rendition,
            piece: *piece,
            now: self.clock().now(),
        })?;
        if kept == asset_id {
            tracing::info!(%asset_id, rendition = content.rendition.as_str(), "a derived asset without rows was adopted");
        } else {
            capture::remove_unfinished(folder);
        }
        Ok(())
    }

    /// The asset of a capture in a rendition, if there is one.
    pub fn find_asset_of(&self, capture_id: CaptureId, rendition: Rendition) -> Result<Option<AssetId>, StoreError> {
        self.read(|connection| asset_of(connection, capture_id, rendition))
    }

    /// Thumbnails that are still to be made, in pages by step: of captures whose analysis has settled, or of the others.
    pub fn waiting_thumbnails(
        &self,
        analysis: Analysis,
        after_step_id: i64,
        limit: usize,
    ) -> Result<Vec<WaitingThumbnail>, StoreError> {
        let waits = match analysis {
            Analysis::Settled => 0,
            Analysis::Waiting => 1,
        };
        let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| {
            rows::all(connection, WAITING, params![waits, after_step_id, rows_max], |row| {
                Ok(WaitingThumbnail { step_id: row.get(0)?, capture_id: rows::capture_id(row, 1)? })
            })
        })
    }

    /// Says that a capture's thumbnail cannot be made here, and why. It is set aside without being parked: nobody has to look
    /// at it, and the app may still give a picture.
    pub fn give_up_thumbnail(&self, capture_id: CaptureId, reason: &Reason) -> Result<(), StoreError> {
        let (reason, now) = (reason.clone(), self.clock().now());
        self.write(move |transaction| settle(transaction, capture_id, Some(&reason), now))
    }
}

/// Along the index `step_ready`: a thumbnail's step waits for one other at most, is neither held nor delayed, and sends nothing,
/// so that its lane is the first.
const WAITING: &str = "SELECT id, capture_id FROM step
  WHERE kind = 'thumbnail' AND state = 'waiting' AND held = 0 AND waits_for = ?1 AND not_before_ms IS NULL
    AND bytes / 4194304 = 0 AND id > ?2 ORDER BY id LIMIT ?3";

fn asset_of(
    connection: &Connection,
    capture_id: CaptureId,
    rendition: Rendition,
) -> Result<Option<AssetId>, StoreError> {
    rows::first(
        connection,
        "SELECT id FROM asset WHERE capture_id = ?1 AND rendition = ?2",
        params![capture_id.as_bytes(), rendition.as_str()],
        |row| rows::asset_id(row, 0),
    )
}

/// The rows of a derived asset whose files are in `incoming/`; the answer is the asset that is kept, which may be an earlier
/// one.
pub(crate) fn insert(transaction: &WriteTransaction<'_>, new: &NewDerived) -> Result<AssetId, StoreError> {
    let known =
        rows::first(transaction, "SELECT 1 FROM capture WHERE id = ?1", [new.capture_id.as_bytes()], |_| Ok(()));
    known?.ok_or(StoreError::Missing { what: "capture" })?;
    if let Some(there) = asset_of(transaction, new.capture_id, new.rendition)? {
        return Ok(there);
    }
    insert_asset(transaction, new, new.piece.sha256)?;
    capture_rows::insert_piece(transaction, new.asset_id, &new.piece, None)?;
    let NewDerived { capture_id, asset_id, rendition, .. } = *new;
    transaction.announce(StoreEvent { kind: EventKind::Added, capture_id, asset_id, rendition, state: first_state() });
    match new.rendition {
        Rendition::Thumbnail => settle(transaction, new.capture_id, None, new.now)?,
        Rendition::Original | Rendition::Redacted => {}
    }
    Ok(new.asset_id)
}

/// The state of a new derived asset.
fn first_state() -> AssetState {
    asset::derive(AssetFacts {
        closed: true,
        withheld: true,
        prepared: true,
        parked: false,
        pieces: &[PieceState::Sealed],
    })
}

fn insert_asset(connection: &Connection, new: &NewDerived, sha256: Sha256Digest) -> Result<(), StoreError> {
    let state = first_state();
    rows::change(
        connection,
        "INSERT INTO asset (id, capture_id, rendition, state, closed, withheld, bytes, sha256, in_incoming, state_since_ms)
         VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6, 1, ?7)",
        params![
            new.asset_id.as_bytes(),
            new.capture_id.as_bytes(),
            new.rendition.as_str(),
            state.as_str(),
            rows::signed(new.piece.bytes)?,
            sha256.as_bytes(),
            new.now.0,
        ],
    )?;
    Ok(())
}

/// Settles the step that was to make the thumbnail: done, or not to be done for a reason. A capture of an older store has no
/// such step, and needs none.
fn settle(
    connection: &Connection,
    capture_id: CaptureId,
    impossible: Option<&Reason>,
    now: UnixMs,
) -> Result<(), StoreError> {
    for step in step_row::of_capture(connection, capture_id)?.iter().filter(|step| step.kind == StepKind::Thumbnail) {
        let event = if impossible.is_none() {
            StepEvent::Supplied
        } else if step.state == StepState::Done {
            continue;
        } else {
            StepEvent::Cancel
        };
        let settled = StepWrite {
            state: step.after(event)?,
            attempts: step.attempts + 1,
            failures: 0,
            failed_since: None,
            not_before: None,
            lease_until: None,
            reason: impossible.cloned(),
        };
        step_row::write(connection, step, &settled, now)?;
    }
    Ok(())
}
