//! The open piece of a recording: filled, synced, finished and listed.
//!
//! A piece is durable before it is listed, listed in the envelope before it has a row, and leaves only once it has one. The
//! envelope is changed as it lies on disk, under the lock for that: a sync may have added wraps to it meanwhile.

use super::{PieceDone, Recording};
use crate::{
    StoreError,
    capture_rows::{self, AddedPiece},
    content,
    envelopes::{envelope_failed, sealed_metadata},
    layout,
    sealing::{self, seal_failed},
};
use snaptrak_seal::{
    Envelope, PieceAddress, PieceSealer, SealedPiece, UntrustedEnvelope,
    envelope::{ENVELOPE_BYTES_MAX, PIECES_MAX},
};
use std::fs::File;

impl Recording {
    /// How many of so many bytes go into the open piece (or the next one) now.
    pub(super) fn room_bytes(&self, wanted: usize) -> usize {
        let options = self.pace.options();
        let in_piece = options.piece_bytes - self.open.as_ref().map_or(0, PieceSealer::plain_bytes);
        let in_all = options.max_bytes.map_or(u64::MAX, |max_bytes| max_bytes.saturating_sub(self.bytes));
        usize::try_from(in_piece.min(in_all)).unwrap_or(usize::MAX).min(wanted)
    }

    pub(super) fn piece_is_full(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.plain_bytes() >= self.pace.options().piece_bytes)
    }

    /// As many bytes as were allowed, or as many pieces as an envelope lists.
    pub(super) fn is_as_long_as_it_may_be(&self) -> bool {
        self.pace.options().max_bytes.is_some_and(|max_bytes| self.bytes >= max_bytes)
            || (self.pieces.len() + 1 >= PIECES_MAX && self.piece_is_full())
    }

    /// Adds bytes for which there is room.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut sealer = self.open_piece()?;
        sealer.write_all(bytes).map_err(seal_failed)?;
        self.open = Some(sealer);
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.pace.took(bytes.len() as u64, self.store.clock().monotonic());
        Ok(())
    }

    fn open_piece(&mut self) -> Result<PieceSealer<File>, StoreError> {
        if let Some(sealer) = self.open.take() {
            return Ok(sealer);
        }
        let index = u32::try_from(self.pieces.len()).map_err(|_| StoreError::Refused { code: "too_large" })?;
        let file = layout::create_file(&self.folder.join(layout::piece_name(index)))?;
        // Its name is durable before its bytes are: a kill must not leave bytes that nobody finds.
        layout::sync_folder(&self.folder)?;
        let address = PieceAddress { asset_id: self.asset_id, index };
        PieceSealer::start(file, &self.data_key, address, self.store.random()).map_err(seal_failed)
    }

    /// Syncs the open piece if that is due; whether it was.
    pub(super) fn sync_if_due(&mut self) -> Result<bool, StoreError> {
        if !self.pace.sync_is_due(self.store.clock().monotonic()) {
            return Ok(false);
        }
        if let Some(sealer) = &mut self.open {
            sealing::sync(sealer.writer_mut())?;
        }
        self.pace.synced();
        Ok(true)
    }

    /// Finishes the open piece, if there is one, lists it and lets it leave.
    pub(super) fn finish_piece(&mut self) -> Result<Option<PieceDone>, StoreError> {
        let Some(piece) = self.seal_open_piece()? else { return Ok(None) };
        if piece.index == 0 {
            // From now on the server may know what it is: the kind stays.
            self.detect();
        }
        let sealed = sealed_metadata(&self.metadata, &self.pieces, None);
        self.change_envelope(|recording, envelope| {
            envelope.add_piece(&piece).map_err(envelope_failed)?;
            envelope.set_metadata(&sealed, &recording.data_key, recording.store.random()).map_err(envelope_failed)?;
            envelope.to_bytes(&recording.data_key).map_err(envelope_failed)
        })?;
        let added = AddedPiece {
            asset_id: self.asset_id,
            metadata: self.metadata.clone(),
            piece,
            now: self.store.clock().now(),
        };
        self.store.write(move |transaction| capture_rows::add_piece(transaction, &added))?;
        self.listed = self.pieces.len();
        Ok(Some((&piece).into()))
    }

    /// Seals the last segment of the open piece and syncs its file.
    pub(super) fn seal_open_piece(&mut self) -> Result<Option<SealedPiece>, StoreError> {
        let Some(sealer) = self.open.take() else { return Ok(None) };
        let (file, piece) = sealer.finish().map_err(seal_failed)?;
        sealing::sync(&file)?;
        self.pace.piece_finished();
        self.pieces.push(piece);
        Ok(Some(piece))
    }

    /// What the first bytes say of the whole.
    pub(super) fn detect(&mut self) {
        let found = content::detect(&self.head);
        self.metadata.content_type = found.content_type.to_owned();
        if !self.kind_given {
            self.metadata.kind = found.kind;
            self.kind_given = true;
        }
    }

    pub(super) fn change_envelope(
        &self,
        change: impl FnOnce(&Self, &mut Envelope) -> Result<Vec<u8>, StoreError>,
    ) -> Result<(), StoreError> {
        let _alone = self.store.inner.files.rewrite();
        let path = self.folder.join(layout::ENVELOPE_NAME);
        let bytes = layout::read_small(&path, ENVELOPE_BYTES_MAX as u64, "envelope")?
            .ok_or(StoreError::Damaged { what: "envelope missing" })?;
        let parsed = UntrustedEnvelope::parse(&bytes).map_err(envelope_failed)?;
        let mut envelope = parsed.authenticate(&self.data_key).map_err(envelope_failed)?;
        layout::replace_file(&path, &change(self, &mut envelope)?)
    }
}
