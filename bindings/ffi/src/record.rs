//! Recordings: bytes are borrowed from the app as they come, and nothing is copied on the way.

use crate::{
    CaptureOptions, Captured, Kind, SnapTrak, SnapTrakError,
    threads::{self, Ended},
};
use snaptrak::ErrorCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a recording is cut into pieces, and when it ends by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct RecordOptions {
    /// Plaintext bytes of a full piece, 1 to 33,554,432.
    #[uniffi(default = None)]
    pub piece_bytes: Option<u64>,
    /// A piece is finished when its first byte is so old, full or not.
    #[uniffi(default = None)]
    pub piece_ms: Option<u64>,
    /// It ends when it has so many bytes.
    #[uniffi(default = None)]
    pub max_bytes: Option<u64>,
    /// It ends when it has gone on for so long; pauses do not count.
    #[uniffi(default = None)]
    pub max_ms: Option<u64>,
}

/// A piece that became durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct PieceDone {
    /// Place in the recording.
    pub index: u32,
    /// Plaintext bytes.
    pub bytes: u64,
}

/// A recording that has ended.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Recorded {
    /// The capture.
    pub captured: Captured,
    /// What ended it, as a word: `input_ended`, `max_bytes`, `low_space`, ...
    pub ended_because: String,
    /// How many pieces it has.
    pub pieces: u32,
}

/// A recording that goes on. Freed without an end, it ends with what it has, and so does `SnapTrak::shutdown`: after that it
/// refuses what comes with the code `cancelled`.
///
/// Its methods block for as long as a disk takes, so they are not for the main thread. While no bytes come, call
/// `Recording::tick` when `Recording::next_tick_ms` says.
#[derive(uniffi::Object)]
pub struct Recording {
    core: Mutex<Option<snaptrak::Recording>>,
    id: String,
    instance: Ended,
}

#[uniffi::export]
impl SnapTrak {
    /// Begins a recording of the given kind.
    #[uniffi::method(default(options = None, record_options = None))]
    pub async fn record(
        &self,
        kind: Kind,
        options: Option<CaptureOptions>,
        record_options: Option<RecordOptions>,
    ) -> Result<Arc<Recording>, SnapTrakError> {
        let options = options.unwrap_or_default().into();
        let record_options = record_options.unwrap_or_default().into();
        let instance = self.ended();
        self.run(move |core| {
            let recording = core.record_with(kind.into(), options, record_options)?;
            let id = recording.capture_id().to_string();
            Ok(Arc::new(Recording { core: Mutex::new(Some(recording)), id, instance }))
        })
        .await
    }
}

#[uniffi::export]
impl Recording {
    /// The capture that it is, a UUID.
    pub fn id(&self) -> Result<String, SnapTrakError> {
        Ok(self.id.clone())
    }

    /// Adds bytes, borrowed for the time of the call; answers the pieces that became durable by them.
    pub fn write(&self, bytes: &[u8]) -> Result<Vec<PieceDone>, SnapTrakError> {
        self.with(|core| Ok(pieces(core.write(bytes)?)))
    }

    /// Does what has fallen due: syncs, finishes a piece that is old enough, ends what has gone on for long enough.
    pub fn tick(&self) -> Result<Vec<PieceDone>, SnapTrakError> {
        self.with(|core| Ok(pieces(core.tick()?)))
    }

    /// In how many milliseconds `Recording::tick` has something to do; nothing: not before more bytes come.
    pub fn next_tick_ms(&self) -> Result<Option<u64>, SnapTrakError> {
        self.with(|core| Ok(core.next_tick_ms()))
    }

    /// Pauses: what was added is durable when this returns. Bytes that are added meanwhile are refused.
    pub fn pause(&self) -> Result<Vec<PieceDone>, SnapTrakError> {
        self.with(|core| Ok(pieces(core.pause()?)))
    }

    /// Goes on after a pause.
    pub fn resume(&self) -> Result<(), SnapTrakError> {
        self.with(|core| {
            core.resume();
            Ok(())
        })
    }

    /// What ended it, as a word, if it has ended by itself.
    pub fn ended_because(&self) -> Result<Option<String>, SnapTrakError> {
        self.with(|core| Ok(core.ended_because().map(|cause| cause.as_str().to_owned())))
    }

    /// Ends the recording: durable when this returns.
    pub fn finish(&self) -> Result<Recorded, SnapTrakError> {
        threads::here(|| {
            let recorded = self.take()?.finish()?;
            Ok(Recorded {
                ended_because: recorded.ended_because.as_str().to_owned(),
                pieces: recorded.pieces,
                captured: recorded.captured.into(),
            })
        })
    }

    /// Takes the recording back: nothing of it remains on this device or in the queue.
    pub fn discard(&self) -> Result<(), SnapTrakError> {
        threads::here(|| Ok(self.take()?.cancel()?))
    }
}

impl Recording {
    fn slot(&self) -> MutexGuard<'_, Option<snaptrak::Recording>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut snaptrak::Recording) -> Result<T, SnapTrakError>,
    ) -> Result<T, SnapTrakError> {
        threads::here(|| {
            self.instance.go_on()?;
            work(self.slot().as_mut().ok_or_else(ended)?)
        })
    }

    fn take(&self) -> Result<snaptrak::Recording, SnapTrakError> {
        self.instance.go_on()?;
        self.slot().take().ok_or_else(ended)
    }
}

fn ended() -> SnapTrakError {
    SnapTrakError::new(ErrorCode::InvalidArgument, "the recording has ended")
}

fn pieces(done: Vec<snaptrak::PieceDone>) -> Vec<PieceDone> {
    done.into_iter().map(|piece| PieceDone { index: piece.index, bytes: piece.bytes }).collect()
}

impl From<RecordOptions> for snaptrak::RecordOptions {
    fn from(options: RecordOptions) -> Self {
        let default = Self::default();
        Self {
            piece_bytes: options.piece_bytes.unwrap_or(default.piece_bytes),
            piece_ms: options.piece_ms.unwrap_or(default.piece_ms),
            max_bytes: options.max_bytes,
            max_ms: options.max_ms,
            ..default
        }
    }
}
