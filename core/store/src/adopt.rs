//! What a kill left in `incoming/`: finished, adopted or swept, under the store's lock.
//!
//! For each folder there: a closed row means that only the move is left (a chore); an open row is a recording, which is closed
//! with what is complete; a folder that is being taken back goes; no row but an envelope is a capture (or, by the rendition that the envelope names, a thumbnail of
//! one) that was durable and not yet answered, and is adopted; no envelope means that its key never reached the disk, so
//! nothing can ever open it, and it is swept. Anything that cannot be read now (no viewing key, damage, a full disk) stays
//! where it is for another opening: opening the store never fails on it.

use crate::{
    Captured, Store, StoreError, capture,
    capture_rows::{self, NewCapture, Place},
    envelopes::envelope_failed,
    layout, rows,
    salvage::salvage,
    sealing::{SealedAsset, seal_failed},
};
use ring::digest::{Context, SHA256};
use snaptrak_domain::{AssetId, EndedBecause, Rendition, SealedMetadata, Sha256Digest, UnixMs};
use snaptrak_seal::{
    DataKey, Envelope, PieceAddress, PieceOpener, SealedPiece, UntrustedEnvelope, envelope::ENVELOPE_BYTES_MAX,
};
use std::{
    fs::{self, File},
    path::Path,
    time::UNIX_EPOCH,
};

/// Recordings that broke off and are closed at one unlocking: more than a phone has cameras and microphones.
const BROKEN_OFF_MAX: i64 = 64;

/// Whether an asset in `incoming/` has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Closed,
    Open,
    Absent,
}

/// An asset as its envelope tells of it, with everything in it checked.
pub(crate) struct Found {
    pub(crate) envelope: Envelope,
    pub(crate) data_key: DataKey,
    pub(crate) metadata: SealedMetadata,
    pub(crate) pieces: Vec<SealedPiece>,
}

/// A recording that was closed with what was there of it.
pub(crate) struct ClosedRecording {
    pub(crate) captured: Captured,
    pub(crate) pieces: Vec<SealedPiece>,
    pub(crate) ended_because: EndedBecause,
}

impl Store {
    /// Looks through `incoming/` and nothing else.
    pub(crate) fn adopt_incoming(&self) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("list what is incoming", error);
        let (mut assets, mut cancelled) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(self.layout().incoming()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str() else { continue };
            // Nothing else is ever put there by us, and what is not ours is left alone.
            match name.strip_suffix(layout::CANCELLED_SUFFIX) {
                Some(name) => cancelled.extend(name.parse::<AssetId>().ok()),
                None => assets.extend(name.parse::<AssetId>().ok()),
            }
        }
        for asset_id in cancelled {
            if let Err(error) = self.finish_cancelling(asset_id) {
                tracing::warn!(%asset_id, %error, "what was taken back goes at another opening");
            }
        }
        assets.retain(|asset_id| !self.inner.keys.is_being_recorded(*asset_id));
        // In the order of their making, so that the receipts' chain is too.
        assets.sort_unstable();
        for asset_id in assets {
            if let Err(error) = self.adopt(asset_id) {
                tracing::warn!(%asset_id, %error, "what is incoming stays for another opening");
            }
        }
        Ok(())
    }

    /// Closes recordings that broke off before this process and could not be closed when it opened the store, now that keys or room
    /// may have come. Nobody is asked for a key. [`StoreError::Full`]: one of them waits for room; another failure keeps the others
    /// from nothing and is logged.
    pub fn close_broken_off(&self) -> Result<(), StoreError> {
        let mut full = false;
        for asset_id in self.broken_off()?.into_iter().filter(|asset_id| self.inner.keys.has_without_asking(*asset_id))
        {
            if let Err(error) = self.resume_recording(asset_id, &self.layout().incoming_asset(asset_id)) {
                tracing::warn!(%asset_id, %error, "a recording that broke off waits for another time");
                full |= matches!(error, StoreError::Full);
            }
        }
        if full { Err(StoreError::Full) } else { Ok(()) }
    }

    /// The same when the person is there: keys are asked for, and what still waits does so for another time.
    pub(crate) fn resume_interrupted(&self) -> Result<(), StoreError> {
        for asset_id in self.broken_off()? {
            if let Err(error) = self.resume_recording(asset_id, &self.layout().incoming_asset(asset_id)) {
                tracing::warn!(%asset_id, %error, "a recording that broke off waits for another time");
            }
        }
        Ok(())
    }

    fn broken_off(&self) -> Result<Vec<AssetId>, StoreError> {
        let open: Vec<AssetId> = self.read(|connection| {
            let sql = "SELECT id FROM asset INDEXED BY asset_in_incoming WHERE in_incoming = 1 AND closed = 0 LIMIT ?1";
            rows::all(connection, sql, [BROKEN_OFF_MAX], |row| rows::asset_id(row, 0))
        })?;
        Ok(open.into_iter().filter(|asset_id| !self.inner.keys.is_being_recorded(*asset_id)).collect())
    }

    fn adopt(&self, asset_id: AssetId) -> Result<(), StoreError> {
        let folder = self.layout().incoming_asset(asset_id);
        match self.row_of(asset_id)? {
            Row::Closed => Ok(()),
            Row::Open => self.resume_recording(asset_id, &folder).map(|_| ()),
            Row::Absent if folder.join(layout::ENVELOPE_NAME).exists() => match rendition_in(&folder)? {
                Rendition::Original => self.adopt_without_row(asset_id, &folder),
                Rendition::Redacted | Rendition::Thumbnail => self.adopt_derived(asset_id, &folder),
            },
            Row::Absent => {
                tracing::info!(%asset_id, "an unfinished capture is swept");
                capture::remove_unfinished(&folder);
                Ok(())
            }
        }
    }

    fn row_of(&self, asset_id: AssetId) -> Result<Row, StoreError> {
        let closed: Option<bool> = self.read(|connection| {
            rows::first(connection, "SELECT closed FROM asset WHERE id = ?1", [asset_id.as_bytes()], |row| {
                Ok(row.get(0)?)
            })
        })?;
        Ok(match closed {
            Some(true) => Row::Closed,
            Some(false) => Row::Open,
            None => Row::Absent,
        })
    }

    /// Closes a recording with its complete pieces and what its open piece still gives.
    pub(crate) fn resume_recording(
        &self,
        asset_id: AssetId,
        folder: &Path,
    ) -> Result<Option<ClosedRecording>, StoreError> {
        match self.close_found(asset_id, folder)? {
            Some((metadata, data_key, asset)) => {
                let pieces = asset.pieces.clone();
                let ended_because = metadata.capture.ended_because.unwrap_or(EndedBecause::Interrupted);
                let captured = self.close_recording(metadata.capture, asset_id, asset, &data_key)?;
                tracing::info!(%asset_id, "an interrupted recording was closed");
                Ok(Some(ClosedRecording { captured, pieces, ended_because }))
            }
            None => self.forget_empty_recording(asset_id).map(|()| None),
        }
    }

    /// Inserts the rows of a capture whose envelope is whole.
    fn adopt_without_row(&self, asset_id: AssetId, folder: &Path) -> Result<(), StoreError> {
        let Some((metadata, data_key, asset)) = self.close_found(asset_id, folder)? else {
            // A recording that was killed before its rows and its first byte.
            capture::remove_unfinished(folder);
            return Ok(());
        };
        // The kill may have come before the names in the folder were synced.
        layout::sync_folder(folder)?;
        self.sync_incoming()?;
        let new = NewCapture {
            metadata: metadata.capture,
            asset_id,
            place: Place::Incoming,
            pieces: asset.pieces,
            bytes: asset.bytes,
            sha256: asset.sha256,
            witness: self.witness(),
            now: self.clock().now(),
        };
        self.write(move |transaction| capture_rows::insert(transaction, &new))?;
        self.inner.keys.remember(asset_id, data_key);
        tracing::info!(%asset_id, "a capture without rows was adopted");
        Ok(())
    }

    /// Reads an asset by its envelope and closes it if it is open; `None` where it has no byte.
    fn close_found(
        &self,
        asset_id: AssetId,
        folder: &Path,
    ) -> Result<Option<(SealedMetadata, DataKey, SealedAsset)>, StoreError> {
        let Found { mut envelope, data_key, mut metadata, mut pieces } = self.find(asset_id, folder)?;
        if let Some(sha256) = metadata.sha256 {
            let asset = SealedAsset { bytes: metadata.bytes, pieces, sha256 };
            return Ok(Some((metadata, data_key, asset)));
        }
        let next = pieces.len() as u32;
        let salvaged = salvage(folder, &data_key, asset_id, next, self.random())?;
        let last = pieces.last().map(|piece| piece.index).max(salvaged.as_ref().map(|piece| piece.index));
        if let Some(piece) = salvaged {
            envelope.add_piece(&piece).map_err(envelope_failed)?;
            pieces.push(piece);
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        let asset = SealedAsset {
            bytes: pieces.iter().map(|piece| piece.bytes).sum(),
            sha256: whole_digest(folder, &data_key, asset_id, &pieces)?,
            pieces,
        };
        metadata.capture.interrupted = true;
        metadata.capture.interrupted_at_bytes = Some(asset.bytes);
        metadata.capture.interrupted_at_ms = last.and_then(|index| written_ms(&folder.join(layout::piece_name(index))));
        metadata.capture.ended_because = Some(EndedBecause::Interrupted);
        let bytes = self.inner.sealer.close_envelope(&mut envelope, &metadata.capture, &data_key, &asset)?;
        layout::replace_file(&folder.join(layout::ENVELOPE_NAME), &bytes)?;
        Ok(Some((metadata, data_key, asset)))
    }

    pub(crate) fn find(&self, asset_id: AssetId, folder: &Path) -> Result<Found, StoreError> {
        let parsed = read_envelope(folder)?;
        let data_key = match self.inner.keys.recent(asset_id) {
            Some(data_key) => data_key,
            None => self.unwrap_data_key(&parsed, asset_id)?,
        };
        let envelope = parsed.authenticate(&data_key).map_err(envelope_failed)?;
        let metadata = envelope.metadata(&data_key).map_err(envelope_failed)?;
        let pieces: Vec<SealedPiece> = metadata
            .pieces
            .iter()
            .zip(&envelope.content().pieces)
            .map(|(plain, sealed)| SealedPiece {
                index: plain.index,
                bytes: plain.bytes,
                sha256: plain.sha256,
                sealed_bytes: sealed.sealed_bytes,
                sealed_sha256: sealed.sealed_sha256,
            })
            .collect();
        for piece in &pieces {
            let there = fs::metadata(folder.join(layout::piece_name(piece.index))).map(|file| file.len());
            if there.ok() != Some(piece.sealed_bytes) {
                return Err(StoreError::Damaged { what: "piece missing" });
            }
        }
        Ok(Found { envelope, data_key, metadata, pieces })
    }
}

fn read_envelope(folder: &Path) -> Result<UntrustedEnvelope, StoreError> {
    let path = folder.join(layout::ENVELOPE_NAME);
    let bytes = layout::read_small(&path, ENVELOPE_BYTES_MAX as u64, "envelope")?
        .ok_or(StoreError::Damaged { what: "envelope missing" })?;
    UntrustedEnvelope::parse(&bytes).map_err(envelope_failed)
}

/// What the envelope calls itself; it is authenticated before anything is done with it.
fn rendition_in(folder: &Path) -> Result<Rendition, StoreError> {
    Ok(read_envelope(folder)?.claims().rendition)
}

/// When a file was last written, as the file system says; sealing again keeps it.
fn written_ms(path: &Path) -> Option<UnixMs> {
    let since = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMs)
}

/// The digest of an asset's whole plaintext, by opening every piece.
fn whole_digest(
    folder: &Path,
    data_key: &DataKey,
    asset_id: AssetId,
    pieces: &[SealedPiece],
) -> Result<Sha256Digest, StoreError> {
    let mut digest = Context::new(&SHA256);
    for piece in pieces {
        let path = folder.join(layout::piece_name(piece.index));
        let file = File::open(path).map_err(|error| StoreError::io("open a piece", error))?;
        let address = PieceAddress { asset_id, index: piece.index };
        let mut opener = PieceOpener::open(file, data_key, address).map_err(seal_failed)?;
        opener
            .open_all(|plain| {
                digest.update(plain);
                Ok(())
            })
            .map_err(seal_failed)?;
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    Ok(Sha256Digest(bytes))
}
