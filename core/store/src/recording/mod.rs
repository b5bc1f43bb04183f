//! A recording: a capture whose end is not known, safe piece by piece while it goes on.
//!
//! Order of events. The envelope (without pieces) is durable and the rows exist before the first byte is taken. Bytes go into
//! the open piece, which is synced every few seconds or megabytes; a piece that is full or old enough is closed, synced, put
//! into the envelope and into the rows at once, and may leave from then on. Ending closes the last piece, the envelope and the
//! rows, and takes the receipt's place. Killed in between, the next opening closes the recording with what is complete and
//! says so in its metadata.
//!
//! It ends by itself when it is as long as it may be, or while the disk still has room to end well. Nothing here waits or runs
//! by itself: what falls due with time is done by [`Recording::tick`], and [`Recording::next_tick_ms`] says when.

mod cancel;
mod end;
mod pace;
mod piece;

pub use pace::RecordOptions;

use crate::{
    CaptureRequest, Captured, Store, StoreError, capture, capture_rows,
    content::{Content, DETECT_BYTES},
    envelopes::envelope_failed,
    layout,
    lock::Lock,
};
use pace::Pace;
use ring::digest::{Context, SHA256};
use snaptrak_domain::{AssetId, CaptureId, CaptureMetadata, EndedBecause, Kind, capture::EmbeddedMetadata};
use snaptrak_seal::{DataKey, Envelope, PieceSealer, SealedPiece};
use std::{fs::File, path::PathBuf, sync::Arc};

/// A piece of a recording that is durable, in the envelope and in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceDone {
    /// Place in the asset, from 0.
    pub index: u32,
    /// Plaintext bytes.
    pub bytes: u64,
}

impl From<&SealedPiece> for PieceDone {
    fn from(piece: &SealedPiece) -> Self {
        Self { index: piece.index, bytes: piece.bytes }
    }
}

/// A recording that has ended and is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The capture that it became.
    pub captured: Captured,
    /// What ended it.
    pub ended_because: EndedBecause,
    /// How many pieces it has.
    pub pieces: u32,
    /// Those that became durable by the end.
    pub last_pieces: Vec<PieceDone>,
}

/// A recording that goes on. Dropping it ends it with what it has.
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
    /// Finished pieces in order; the first `listed` of them have been told to the caller as durable.
    pieces: Vec<SealedPiece>,
    listed: usize,
    open: Option<PieceSealer<File>>,
    /// First bytes, for the media type.
    head: Vec<u8>,
    digest: Context,
    bytes: u64,
    pace: Pace,
    life: Life,
    /// What became of it, once it has ended.
    recorded: Option<Recorded>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    GoesOn,
    Paused,
    /// A write failed: what is complete stays, and ending closes it with that.
    Failed,
    Ended,
}

impl Store {
    /// Begins a recording with pieces of at most 32 MiB and ten seconds and without a limit.
    pub fn record(&self, request: CaptureRequest) -> Result<Recording, StoreError> {
        self.record_with(request, RecordOptions::default())
    }

    /// Begins a recording.
    pub fn record_with(&self, request: CaptureRequest, options: RecordOptions) -> Result<Recording, StoreError> {
        let held = self.hold()?;
        let request = request.checked()?;
        let options = options.checked()?;
        if is_low(self, &options) {
            return Err(StoreError::Full);
        }
        let kind_given = request.kind.is_some();
        let unknown = Content { kind: Kind::File, content_type: "application/octet-stream" };
        let metadata = self.new_metadata(request, unknown, EmbeddedMetadata::default())?;
        let asset_id = AssetId::new(metadata.created.unix_ms, self.random())?;
        let data_key = DataKey::generate(self.random())?;
        let envelope = self.inner.sealer.new_envelope(&metadata, asset_id, &data_key)?;
        let folder = self.layout().incoming_asset(asset_id);
        layout::create_folder(&folder)?;
        let begun = self.begin_recording(&folder, &envelope, &metadata, &data_key);
        if let Err(error) = begun {
            capture::remove_unfinished(&folder);
            return Err(error);
        }
        self.inner.keys.recording_began(asset_id, data_key.clone());
        Ok(Recording {
            store: self.clone(),
            _held: held,
            folder,
            metadata,
            kind_given,
            asset_id,
            data_key,
            pieces: Vec::new(),
            listed: 0,
            open: None,
            head: Vec::new(),
            digest: Context::new(&SHA256),
            bytes: 0,
            pace: Pace::start(options, self.clock().monotonic()),
            life: Life::GoesOn,
            recorded: None,
        })
    }

    fn begin_recording(
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

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What ended it, if it has ended by itself: nothing more is taken, and [`Recording::finish`] gives the capture.
    pub fn ended_because(&self) -> Option<EndedBecause> {
        self.recorded.as_ref().map(|recorded| recorded.ended_because)
    }

    /// Takes bytes; the pieces that became durable by it. What comes after its end is not taken. After an error nothing more
    /// is taken, and what is complete is kept.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Vec<PieceDone>, StoreError> {
        match self.life {
            Life::GoesOn => {}
            Life::Paused => return Err(StoreError::Refused { code: "paused" }),
            Life::Failed => return Err(StoreError::Closed),
            Life::Ended => return Ok(Vec::new()),
        }
        let result = self.take(bytes);
        self.failed_if(result)
    }

    /// Does what has fallen due: syncs, finishes a piece that is old enough, ends what has gone on for long enough. The pieces
    /// that became durable by it.
    pub fn tick(&mut self) -> Result<Vec<PieceDone>, StoreError> {
        match self.life {
            Life::GoesOn => {}
            Life::Paused | Life::Failed | Life::Ended => return Ok(Vec::new()),
        }
        let result = self.do_due();
        self.failed_if(result)
    }

    /// In how many milliseconds [`Recording::tick`] has something to do; `None`: not before more bytes come.
    pub fn next_tick_ms(&self) -> Option<u64> {
        match self.life {
            Life::GoesOn => self.pace.next_ms(self.pieces.len(), self.store.clock().monotonic()),
            Life::Paused | Life::Failed | Life::Ended => None,
        }
    }

    /// Pauses: what was taken is durable when this returns, and no time counts until [`Recording::resume`].
    pub fn pause(&mut self) -> Result<Vec<PieceDone>, StoreError> {
        match self.life {
            Life::GoesOn => {}
            Life::Paused | Life::Ended => return Ok(Vec::new()),
            Life::Failed => return Err(StoreError::Closed),
        }
        let finished = self.finish_piece().map(|piece| piece.into_iter().collect());
        let done = self.failed_if(finished)?;
        self.pace.pause(self.store.clock().monotonic());
        self.life = Life::Paused;
        Ok(done)
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) {
        match self.life {
            Life::Paused => {
                self.pace.resume(self.store.clock().monotonic());
                self.life = Life::GoesOn;
            }
            Life::GoesOn | Life::Failed | Life::Ended => {}
        }
    }

    /// Ends the recording; durable when it returns. One that never had a byte is refused and leaves nothing. One of which a
    /// write failed is closed with what is complete, if there is room for that now, else by the next opening.
    pub fn finish(mut self) -> Result<Recorded, StoreError> {
        let last_pieces = match self.life {
            Life::GoesOn | Life::Paused => self.end(EndedBecause::InputEnded)?,
            Life::Failed => self.end_broken()?,
            // They were told by the call that ended it.
            Life::Ended => Vec::new(),
        };
        // It ended by itself without a byte.
        let recorded = self.recorded.take().ok_or(StoreError::Refused { code: "empty" })?;
        Ok(Recorded { last_pieces, ..recorded })
    }

    /// Takes the recording back: nothing of it remains on this device or in the queue. What was sent of it before stays at
    /// the server as a capture without an end, and the capture stays here as `cancelled` to say so.
    pub fn cancel(mut self) -> Result<(), StoreError> {
        match self.life {
            Life::Ended => return Err(StoreError::Refused { code: "recording_ended" }),
            Life::GoesOn | Life::Paused | Life::Failed => {}
        }
        self.life = Life::Ended;
        self.open = None;
        self.store.inner.keys.recording_ended(self.asset_id);
        self.store.cancel_recording(self.asset_id)
    }

    /// A call on it did not come to its end (a panic): as after a failed write nothing more is taken, and what is complete is kept.
    pub fn broke_off(&mut self) {
        match self.life {
            Life::GoesOn | Life::Paused => self.life = Life::Failed,
            Life::Failed | Life::Ended => {}
        }
    }

    fn failed_if<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() && self.life != Life::Ended {
            self.life = Life::Failed;
        }
        result
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<Vec<PieceDone>, StoreError> {
        let mut done = self.do_due()?;
        let wanted = (DETECT_BYTES - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        while !bytes.is_empty() && self.life == Life::GoesOn {
            if self.open.is_none() && self.bytes > 0 && is_low(&self.store, self.pace.options()) {
                done.extend(self.end(EndedBecause::LowSpace)?);
                break;
            }
            let (now, later) = bytes.split_at(self.room_bytes(bytes.len()));
            self.add(now)?;
            bytes = later;
            if self.is_as_long_as_it_may_be() {
                done.extend(self.end(EndedBecause::MaxBytes)?);
            } else if self.piece_is_full() {
                done.extend(self.finish_piece()?);
            }
        }
        if self.life == Life::GoesOn {
            done.extend(self.sync_and_look()?);
        }
        Ok(done)
    }

    /// Syncs if that is due, and ends it while there is room to end well.
    fn sync_and_look(&mut self) -> Result<Vec<PieceDone>, StoreError> {
        if self.sync_if_due()? && is_low(&self.store, self.pace.options()) {
            return self.end(EndedBecause::LowSpace);
        }
        Ok(Vec::new())
    }

    fn do_due(&mut self) -> Result<Vec<PieceDone>, StoreError> {
        let now = self.store.clock().monotonic();
        if self.pace.time_is_over(now) {
            return self.end(EndedBecause::MaxMs);
        }
        if self.pace.piece_is_due(self.pieces.len(), now) {
            return Ok(self.finish_piece()?.into_iter().collect());
        }
        self.sync_and_look()
    }
}

/// Where nobody knows how much room there is, nothing is low: the disk itself will say so.
fn is_low(store: &Store, options: &RecordOptions) -> bool {
    store.room_bytes().is_some_and(|room| room < options.room_bytes_min)
}

impl Drop for Recording {
    fn drop(&mut self) {
        let ended = match self.life {
            Life::GoesOn | Life::Paused => self.end(EndedBecause::InputEnded),
            Life::Failed => self.end_broken(),
            Life::Ended => Ok(Vec::new()),
        };
        if let Err(error) = ended {
            tracing::warn!(asset_id = %self.asset_id, %error, "a recording that was dropped is closed at the next opening");
        }
        self.store.inner.keys.recording_ended(self.asset_id);
    }
}
