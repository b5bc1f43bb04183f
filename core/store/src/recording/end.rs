//! The end of a recording: the last piece, the closed envelope, then the rows with the receipt's place.

use super::{Life, PieceDone, Recorded, Recording};
use crate::{
    Captured, Store, StoreError, capture,
    capture_rows::{self, NewCapture, Place},
    envelopes::envelope_failed,
    sealing::SealedAsset,
};
use snaptrak_domain::{AssetId, CaptureMetadata, EndedBecause, Sha256Digest};
use snaptrak_seal::DataKey;

impl Recording {
    /// Ends it well; the piece that became durable by it.
    pub(super) fn end(&mut self, because: EndedBecause) -> Result<Vec<PieceDone>, StoreError> {
        self.metadata.ended_because = Some(because);
        if self.bytes == 0 {
            self.life = Life::Ended;
            self.store.inner.keys.recording_ended(self.asset_id);
            self.store.forget_empty_recording(self.asset_id)?;
            return Err(StoreError::Refused { code: "empty" });
        }
        self.life = Life::Failed;
        let last = self.seal_open_piece()?;
        self.detect();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.digest.clone().finish().as_ref());
        let asset = SealedAsset { pieces: self.pieces.clone(), bytes: self.bytes, sha256: Sha256Digest(sha256) };
        self.change_envelope(|recording, envelope| {
            if let Some(piece) = &last {
                envelope.add_piece(piece).map_err(envelope_failed)?;
            }
            recording.store.inner.sealer.close_envelope(envelope, &recording.metadata, &recording.data_key, &asset)
        })?;
        let captured = self.store.close_recording(self.metadata.clone(), self.asset_id, asset, &self.data_key)?;
        self.life = Life::Ended;
        self.store.inner.keys.recording_ended(self.asset_id);
        self.keep(captured, because, Vec::new());
        Ok(last.iter().map(PieceDone::from).collect())
    }

    /// Closes what a failed write left, as the next opening would; the pieces that became durable by it.
    pub(super) fn end_broken(&mut self) -> Result<Vec<PieceDone>, StoreError> {
        self.open = None;
        let closed = self.store.resume_recording(self.asset_id, &self.folder)?;
        self.life = Life::Ended;
        self.store.inner.keys.recording_ended(self.asset_id);
        let closed = closed.ok_or(StoreError::Refused { code: "empty" })?;
        let last = closed.pieces.iter().skip(self.listed).map(PieceDone::from).collect();
        self.pieces = closed.pieces;
        self.keep(closed.captured, closed.ended_because, Vec::new());
        Ok(last)
    }

    fn keep(&mut self, captured: Captured, ended_because: EndedBecause, last_pieces: Vec<PieceDone>) {
        let pieces = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        self.recorded = Some(Recorded { captured, ended_because, pieces, last_pieces });
    }
}

impl Store {
    /// Closes the rows of a recording whose envelope is closed and durable.
    pub(crate) fn close_recording(
        &self,
        metadata: CaptureMetadata,
        asset_id: AssetId,
        asset: SealedAsset,
        data_key: &DataKey,
    ) -> Result<Captured, StoreError> {
        let mut captured = captured(&metadata, asset_id, &asset);
        let new = NewCapture {
            metadata,
            asset_id,
            place: Place::Incoming,
            pieces: asset.pieces,
            bytes: asset.bytes,
            sha256: asset.sha256,
            witness: self.witness(),
            now: self.clock().now(),
        };
        captured.state = self.write(move |transaction| capture_rows::close(transaction, &new))?;
        self.inner.keys.remember(asset_id, data_key.clone());
        Ok(captured)
    }

    /// Takes back the rows and the folder of a recording that never had a byte.
    pub(crate) fn forget_empty_recording(&self, asset_id: AssetId) -> Result<(), StoreError> {
        self.write(move |transaction| capture_rows::remove_empty(transaction, asset_id))?;
        capture::remove_unfinished(&self.layout().incoming_asset(asset_id));
        Ok(())
    }
}

fn captured(metadata: &CaptureMetadata, asset_id: AssetId, asset: &SealedAsset) -> Captured {
    Captured {
        capture_id: metadata.capture_id,
        asset_id,
        kind: metadata.kind,
        content_type: metadata.content_type.clone(),
        created: metadata.created.unix_ms,
        bytes: asset.bytes,
        sha256: asset.sha256,
        state: snaptrak_domain::AssetState::Saved,
    }
}
