//! Taking in a capture: sealed as it is read, durable when the call returns.
//!
//! Order of events. Look at the first bytes; draw ids and key; seal pieces into `incoming/ASSET/` and sync each; write the
//! envelope and sync it; sync the folder and `incoming/` (shared with callers side by side); insert the rows with the
//! receipt's place (group commit); answer. Killed before the envelope, the folder is swept at the next opening; killed
//! between envelope and rows, it is adopted. Short notes have no folder and another way: see [`crate::intake`].

use crate::{
    CaptureRequest, Captured, Store, StoreError,
    capture_rows::{self, NewCapture, Place, Witness},
    content::{self, Content},
    exif, layout,
    sealing::{self, SealedAsset},
    source::Source,
};
use snaptrak_domain::{
    AssetId, CaptureId, CaptureMetadata, Kind, capture::EmbeddedMetadata, limits::NOTE_INLINE_BYTES_MAX,
};
use snaptrak_seal::DataKey;
use std::{fs, io::Read, path::Path};

/// Bytes that are read before anything is decided. A note is all text, and what tells a row from a file decides there.
fn head_bytes(kind: Option<Kind>) -> usize {
    if kind == Some(Kind::Note) { NOTE_INLINE_BYTES_MAX + 1 } else { content::DETECT_BYTES }
}

/// A capture that is being taken in.
struct Draft {
    metadata: CaptureMetadata,
    asset_id: AssetId,
    data_key: DataKey,
}

impl Store {
    /// Takes in everything that `source` gives. Returns when it is durable; on an error nothing of it remains.
    pub fn capture(&self, request: CaptureRequest, source: &mut dyn Read) -> Result<Captured, StoreError> {
        let request = request.checked()?;
        let mut watched = self.watched(source);
        let captured = self.capture_watched(request, &mut watched);
        // What the source says of a full disk is ours.
        if watched.stopped() { Err(StoreError::Full) } else { captured }
    }

    fn capture_watched(&self, request: CaptureRequest, source: &mut dyn Read) -> Result<Captured, StoreError> {
        let mut source = Source::start(source, head_bytes(request.kind))?;
        if source.is_empty() {
            return Err(StoreError::Refused { code: "empty" });
        }
        let found = content::detect(source.head());
        // Only for pictures: everything that is read ahead is copied and wiped once more than the rest.
        source.look_further(exif::head_bytes(found.content_type))?;
        let metadata = self.new_metadata(request, found, exif::read(found.content_type, source.head()))?;
        let is_note = metadata.kind == Kind::Note;
        if is_note && source.is_all_ahead() && source.head().len() <= NOTE_INLINE_BYTES_MAX {
            return self.take_in(metadata, source.head());
        }
        let asset_id = AssetId::new(metadata.created.unix_ms, self.random())?;
        self.capture_files(Draft { metadata, asset_id, data_key: DataKey::generate(self.random())? }, &mut source)
    }

    /// Takes in what a person wrote.
    pub fn note(&self, request: CaptureRequest, text: &str) -> Result<Captured, StoreError> {
        let request = CaptureRequest { kind: Some(Kind::Note), ..request };
        let plain = text.as_bytes();
        if plain.is_empty() || plain.len() > NOTE_INLINE_BYTES_MAX {
            return self.capture(request, &mut &*plain);
        }
        let found = content::detect(plain);
        let metadata = self.new_metadata(request.checked()?, found, exif::read(found.content_type, plain))?;
        self.take_in(metadata, plain)
    }

    pub(crate) fn new_metadata(
        &self,
        request: CaptureRequest,
        found: Content,
        embedded: EmbeddedMetadata,
    ) -> Result<CaptureMetadata, StoreError> {
        let created = self.clock().wall();
        Ok(CaptureMetadata {
            capture_id: CaptureId::new(created.unix_ms, self.random())?,
            kind: request.kind.unwrap_or(found.kind),
            device_id: self.inner.device_id,
            created,
            content_type: found.content_type.to_owned(),
            file_name: request.file_name,
            note: request.note,
            tags: request.tags,
            project: request.project,
            location: request.location,
            embedded,
            interrupted: false,
            interrupted_at_bytes: None,
            interrupted_at_ms: None,
            ended_because: None,
        })
    }

    pub(crate) fn witness(&self) -> Witness {
        Witness { instant: self.clock().instant(), hardware: self.inner.keys.signer.is_hardware() }
    }

    fn capture_files(&self, draft: Draft, source: &mut Source<'_>) -> Result<Captured, StoreError> {
        let _held = self.hold()?;
        self.require_room(source.head().len() as u64)?;
        let folder = self.layout().incoming_asset(draft.asset_id);
        layout::create_folder(&folder)?;
        let sealed = match self.seal_folder(&folder, &draft, source) {
            Ok(sealed) => sealed,
            Err(error) => {
                remove_unfinished(&folder);
                return Err(error);
            }
        };
        let result = self.commit(draft, sealed);
        if result.as_ref().is_err_and(was_not_committed) {
            remove_unfinished(&folder);
        }
        result
    }

    fn seal_folder(&self, folder: &Path, draft: &Draft, source: &mut Source<'_>) -> Result<SealedAsset, StoreError> {
        let present = self.inner.crowd.enter();
        let asset = sealing::seal_files(folder, source, &draft.data_key, draft.asset_id, self.random(), &present)?;
        drop(present);
        let envelope = self.inner.sealer.closed_envelope(&draft.metadata, draft.asset_id, &draft.data_key, &asset)?;
        // Also syncs the folder, and with it the names of the pieces.
        layout::replace_file(&folder.join(layout::ENVELOPE_NAME), &envelope)?;
        self.sync_incoming()?;
        Ok(asset)
    }

    pub(crate) fn sync_incoming(&self) -> Result<(), StoreError> {
        let incoming = self.layout().incoming();
        self.inner.incoming_sync.wait(|| layout::sync_folder(&incoming))
    }

    fn commit(&self, draft: Draft, asset: SealedAsset) -> Result<Captured, StoreError> {
        let Draft { metadata, asset_id, data_key } = draft;
        let new = NewCapture {
            asset_id,
            place: Place::Incoming,
            pieces: asset.pieces,
            bytes: asset.bytes,
            sha256: asset.sha256,
            witness: self.witness(),
            now: self.clock().now(),
            metadata: metadata.clone(),
        };
        let state = self.write(move |transaction| capture_rows::insert(transaction, &new))?;
        self.inner.keys.remember(asset_id, data_key);
        tracing::info!(capture_id = %metadata.capture_id, %asset_id, bytes = asset.bytes, "captured");
        Ok(Captured {
            capture_id: metadata.capture_id,
            asset_id,
            kind: metadata.kind,
            content_type: metadata.content_type,
            created: metadata.created.unix_ms,
            bytes: asset.bytes,
            sha256: asset.sha256,
            state,
        })
    }
}

/// Whether a failed commit certainly left no row. After a failed sync nobody knows: the folder stays, and the next opening
/// finds it with its row or adopts it without.
fn was_not_committed(error: &StoreError) -> bool {
    matches!(error, StoreError::Full | StoreError::Closed | StoreError::Refused { .. } | StoreError::Panicked)
}

/// Removes what a failed capture left; what cannot be removed now is swept at the next opening.
pub(crate) fn remove_unfinished(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(%error, "a failed capture's folder waits for the next opening");
    }
}
