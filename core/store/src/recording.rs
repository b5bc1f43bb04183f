//! A recording: a capture whose end is not known, safe piece by piece while it goes on.
//!
//! Order of events. The envelope (without pieces) is durable and the rows exist before the first byte is taken. Bytes go into
//! the open piece, which is synced every few seconds or megabytes; a full piece is closed, synced, put into the envelope and
//! into the rows at once. Finishing closes the last piece, the envelope and the rows, and takes the receipt's place. Killed in
//! between, the next opening closes the recording with what is complete and says so in its metadata.

use crate::{
    CaptureRequest, Captured, Store, StoreError, capture,
    capture_rows::{self, NewCapture, Place},
    content::{self, Content, DETECT_BYTES},
    envelopes::{envelope_failed, sealed_metadata},
    layout,
    lock::Lock,
    sealing::{self, SealedAsset, seal_failed},
};
use ring::digest::{Context, SHA256};
use snaptrak_domain::{
    AssetId, CaptureId, CaptureMetadata, Kind, MonotonicMs, Sha256Digest, capture::EmbeddedMetadata,
};
use snaptrak_seal::{DataKey, Envelope, PieceAddress, PieceSealer, SealedPiece, envelope::PIECES_MAX};
use std::{fs::File, path::PathBuf, sync::Arc};

/// A power cut loses at most what came after the last sync: this many bytes ...
const SYNC_AFTER_BYTES: u64 = 4 * 1024 * 1024;
/// ... or what was written in this time.
const SYNC_AFTER_MS: i64 = 2_000;

/// A piece of a recording that is durable, in the envelope and in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceDone {
    /// Place in the asset, from 0.
    pub index: u32,
    /// Plaintext bytes.
    pub bytes: u64,
}

/// A recording that goes on. Dropping it finishes it with what it has.
pub struct Recording {
    store: Store,
    /// Kept after the store was closed, for as long as this may still write.
    _held: Arc<Lock>,
    folder: PathBuf,
    metadata: CaptureMetadata,
    /// The app said what it is; otherwise the first bytes do.
    kind_given: bool,
    asset_id: AssetId,
    data_key: DataKey,
    envelope: Envelope,
    pieces: Vec<SealedPiece>,
    open: Option<PieceSealer<File>>,
    /// First bytes, for the media type.
    head: Vec<u8>,
    digest: Context,
    bytes: u64,
    unsynced_bytes: u64,
    synced_at: MonotonicMs,
    state: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    GoesOn,
    /// A write failed: what is complete stays, and the next opening closes it.
    Failed,
    Finished,
}

impl Store {
    /// Begins a recording.
    pub fn record(&self, request: CaptureRequest) -> Result<Recording, StoreError> {
        let held = self.hold()?;
        let request = request.checked()?;
        let kind_given = request.kind.is_some();
        let unknown = Content { kind: Kind::File, content_type: "application/octet-stream" };
        let metadata = self.new_metadata(request, unknown, EmbeddedMetadata::default())?;
        let asset_id = AssetId::new(metadata.created.unix_ms, self.random())?;
        let data_key = DataKey::generate(self.random())?;
        let envelope = self.inner.sealer.new_envelope(&metadata, asset_id, &data_key)?;
        let folder = self.layout().incoming_asset(asset_id);
        layout::create_folder(&folder)?;
        let begun = self.begin(&folder, &envelope, &metadata, &data_key);
        if let Err(error) = begun {
            capture::remove_unfinished(&folder);
            return Err(error);
        }
        Ok(Recording {
            store: self.clone(),
            _held: held,
            folder,
            metadata,
            kind_given,
            asset_id,
            data_key,
            envelope,
            pieces: Vec::new(),
            open: None,
            head: Vec::new(),
            digest: Context::new(&SHA256),
            bytes: 0,
            unsynced_bytes: 0,
            synced_at: self.clock().monotonic(),
            state: Life::GoesOn,
        })
    }

    fn begin(
        &self,
        folder: &std::path::Path,
        envelope: &Envelope,
        metadata: &CaptureMetadata,
        data_key: &DataKey,
    ) -> Result<(), StoreError> {
        let bytes = envelope.to_bytes(data_key).map_err(envelope_failed)?;
        layout::replace_file(&folder.join(layout::ENVELOPE_NAME), &bytes)?;
        self.sync_incoming()?;
        let (metadata, asset_id, now) = (metadata.clone(), envelope.content().asset_id, self.clock().now());
        self.write(move |transaction| capture_rows::insert_open(transaction, &metadata, asset_id, now))
    }
}

impl Recording {
    /// The capture.
    pub fn capture_id(&self) -> CaptureId {
        self.metadata.capture_id
    }

    /// Its original.
    pub fn asset_id(&self) -> AssetId {
        self.asset_id
    }

    /// Takes bytes; the pieces that became durable by it. After an error nothing more is taken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Vec<PieceDone>, StoreError> {
        if self.state != Life::GoesOn {
            return Err(StoreError::Closed);
        }
        let result = self.take(bytes);
        if result.is_err() {
            self.state = Life::Failed;
        }
        result
    }

    /// Ends the recording; durable when it returns, with the pieces that became so by it. One that never had a byte is
    /// refused and leaves nothing.
    pub fn finish(mut self) -> Result<(Captured, Vec<PieceDone>), StoreError> {
        self.end()
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<Vec<PieceDone>, StoreError> {
        let wanted = (DETECT_BYTES - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        let mut done = Vec::new();
        while !bytes.is_empty() {
            let mut sealer = self.open_piece()?;
            let room = usize::try_from(sealer.room_bytes()).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            sealer.write_all(now).map_err(seal_failed)?;
            self.digest.update(now);
            self.bytes += room as u64;
            self.unsynced_bytes += room as u64;
            let full = sealer.room_bytes() == 0;
            self.open = Some(sealer);
            if full {
                done.extend(self.close_piece()?);
            }
            bytes = later;
        }
        self.sync_if_due()?;
        Ok(done)
    }

    fn open_piece(&mut self) -> Result<PieceSealer<File>, StoreError> {
        if let Some(sealer) = self.open.take() {
            return Ok(sealer);
        }
        if self.pieces.len() >= PIECES_MAX {
            return Err(StoreError::Refused { code: "too_large" });
        }
        let index = self.pieces.len() as u32;
        let file = layout::create_file(&self.folder.join(layout::piece_name(index)))?;
        // Its name is durable before its bytes are: a kill must not leave bytes that nobody finds.
        layout::sync_folder(&self.folder)?;
        let address = PieceAddress { asset_id: self.asset_id, index };
        PieceSealer::start(file, &self.data_key, address, self.store.random()).map_err(seal_failed)
    }

    fn close_piece(&mut self) -> Result<Option<PieceDone>, StoreError> {
        let Some(sealer) = self.open.take() else { return Ok(None) };
        let (file, piece) = sealer.finish().map_err(seal_failed)?;
        sealing::sync(&file)?;
        self.unsynced_bytes = 0;
        self.synced_at = self.store.clock().monotonic();
        self.pieces.push(piece);
        self.envelope.add_piece(&piece).map_err(envelope_failed)?;
        let sealed = sealed_metadata(&self.metadata, &self.pieces, None);
        self.envelope.set_metadata(&sealed, &self.data_key, self.store.random()).map_err(envelope_failed)?;
        self.replace_envelope(&self.envelope.to_bytes(&self.data_key).map_err(envelope_failed)?)?;
        let asset_id = self.asset_id;
        self.store.write(move |transaction| capture_rows::add_piece(transaction, asset_id, &piece))?;
        Ok(Some(PieceDone { index: piece.index, bytes: piece.bytes }))
    }

    fn replace_envelope(&self, bytes: &[u8]) -> Result<(), StoreError> {
        layout::replace_file(&self.folder.join(layout::ENVELOPE_NAME), bytes)
    }

    fn sync_if_due(&mut self) -> Result<(), StoreError> {
        let now = self.store.clock().monotonic();
        let due = self.unsynced_bytes >= SYNC_AFTER_BYTES || now.0 - self.synced_at.0 >= SYNC_AFTER_MS;
        if let Some(sealer) = self.open.as_mut().filter(|_| due) {
            sealing::sync(sealer.writer_mut())?;
            self.unsynced_bytes = 0;
            self.synced_at = now;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(Captured, Vec<PieceDone>), StoreError> {
        if self.state != Life::GoesOn {
            return Err(StoreError::Closed);
        }
        self.state = Life::Finished;
        if self.bytes == 0 {
            self.store.forget_empty_recording(self.asset_id)?;
            return Err(StoreError::Refused { code: "empty" });
        }
        let last = self.close_piece()?.into_iter().collect();
        let found = content::detect(&self.head);
        self.metadata.content_type = found.content_type.to_owned();
        if !self.kind_given {
            self.metadata.kind = found.kind;
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.digest.clone().finish().as_ref());
        let asset = SealedAsset { pieces: self.pieces.clone(), bytes: self.bytes, sha256: Sha256Digest(sha256) };
        let bytes =
            self.store.inner.sealer.close_envelope(&mut self.envelope, &self.metadata, &self.data_key, &asset)?;
        self.replace_envelope(&bytes)?;
        let captured = self.store.close_recording(self.metadata.clone(), self.asset_id, asset, &self.data_key)?;
        Ok((captured, last))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.state == Life::GoesOn
            && let Err(error) = self.end()
        {
            tracing::warn!(asset_id = %self.asset_id, %error, "a recording that was dropped is closed at the next opening");
        }
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
