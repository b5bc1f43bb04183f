//! Recordings: a stream becomes pieces as it comes, each durable by itself and on its way while the recording goes on.
//!
//! Owns that closing an instance ends its recordings: a handle that outlives its instance refuses what comes, and holds neither
//! store nor lock.

use crate::{CaptureOptions, Error, SnapTrak, calls};
use snaptrak_domain::{CaptureId, EndedBecause, Kind};
use snaptrak_store::{PieceDone, RecordOptions, Recorded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A recording that goes on. Dropping it ends it with what it has, and so does [`SnapTrak::close`], after which it refuses what
/// comes.
///
/// Nothing here runs by itself: while no bytes come, call [`Recording::tick`] when [`Recording::next_tick_ms`] says, or what
/// was written last is synced and finished only with the next bytes.
pub struct Recording {
    capture_id: CaptureId,
    slot: Arc<Slot>,
}

/// The recordings of one instance that go on.
#[derive(Default)]
pub(crate) struct Recordings(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    live: Vec<Weak<Slot>>,
}

/// What a handle and its instance share.
struct Slot(Mutex<Held>);

enum Held {
    Here(Box<snaptrak_store::Recording>),
    /// The instance was closed; this is what it had taken by then, and what had ended it before.
    Closed {
        bytes: u64,
        ended_because: Option<EndedBecause>,
    },
}

impl SnapTrak {
    /// Begins a recording of the given kind, with pieces of at most 32 MiB and ten seconds and without a limit.
    pub fn record(&self, kind: Kind, options: CaptureOptions) -> Result<Recording, Error> {
        self.record_with(kind, options, RecordOptions::default())
    }

    /// Begins a recording that is cut and limited as the options say.
    pub fn record_with(
        &self,
        kind: Kind,
        options: CaptureOptions,
        record_options: RecordOptions,
    ) -> Result<Recording, Error> {
        let options = CaptureOptions { kind: Some(kind), ..options };
        let recording = self.inner.store.record_with(options.validate()?, record_options)?;
        self.inner.recordings.add(recording)
    }
}

impl Recordings {
    fn add(&self, recording: snaptrak_store::Recording) -> Result<Recording, Error> {
        let mut state = self.state();
        if state.closed {
            drop(state);
            // It has no byte yet, and ends without a trace.
            drop(recording);
            return Err(calls::closed());
        }
        let capture_id = recording.capture_id();
        let slot = Arc::new(Slot(Mutex::new(Held::Here(Box::new(recording)))));
        state.live.retain(|one| one.strong_count() > 0);
        state.live.push(Arc::downgrade(&slot));
        Ok(Recording { capture_id, slot })
    }

    /// Ends those that go on with what they have, and refuses new ones. A call that is under way on one of them is waited for: a
    /// disk takes its time.
    pub(crate) fn close(&self) {
        let live = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.live)
        };
        live.iter().filter_map(Weak::upgrade).for_each(|slot| slot.close());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A list of handles is whole whatever happens between two changes of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(|poisoned| {
            self.0.clear_poison();
            let mut held = poisoned.into_inner();
            // A call panicked midway: what is complete stays, as after a failed write.
            if let Held::Here(recording) = &mut *held {
                recording.broke_off();
            }
            held
        })
    }

    fn close(&self) {
        let mut held = self.held();
        let Held::Here(recording) = &*held else { return };
        let closed = Held::Closed { bytes: recording.bytes(), ended_because: recording.ended_because() };
        let Held::Here(recording) = std::mem::replace(&mut *held, closed) else { return };
        let capture_id = recording.capture_id();
        if let Err(error) = recording.finish() {
            tracing::warn!(%capture_id, %error, "a recording is closed at the next opening");
        }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut snaptrak_store::Recording) -> Result<T, snaptrak_store::StoreError>,
    ) -> Result<T, Error> {
        match &mut *self.held() {
            Held::Here(recording) => Ok(work(recording)?),
            Held::Closed { .. } => Err(calls::closed()),
        }
    }

    /// Takes it from the handle, which has no use for it any more.
    fn take(&self) -> Result<Box<snaptrak_store::Recording>, Error> {
        let gone = Held::Closed { bytes: 0, ended_because: None };
        match std::mem::replace(&mut *self.held(), gone) {
            Held::Here(recording) => Ok(recording),
            Held::Closed { .. } => Err(calls::closed()),
        }
    }
}

impl Recording {
    /// The capture that it is.
    pub fn capture_id(&self) -> CaptureId {
        self.capture_id
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        match &*self.slot.held() {
            Held::Here(recording) => recording.bytes(),
            Held::Closed { bytes, .. } => *bytes,
        }
    }

    /// Adds bytes; answers the pieces that became durable by them. Nothing is added once it has ended by itself.
    ///
    /// After an error nothing more is added: what is complete is kept, closed by [`Recording::finish`], by dropping it, or, on
    /// a disk that is full, by the next opening of the store. Once its instance is closed it is refused (`Cancelled`).
    pub fn write(&mut self, bytes: &[u8]) -> Result<Vec<PieceDone>, Error> {
        self.slot.with(|recording| recording.write(bytes))
    }

    /// Does what has fallen due: syncs, finishes a piece that is old enough, ends what has gone on for long enough. Answers the
    /// pieces that became durable by it.
    pub fn tick(&mut self) -> Result<Vec<PieceDone>, Error> {
        self.slot.with(snaptrak_store::Recording::tick)
    }

    /// In how many milliseconds [`Recording::tick`] has something to do; `None`: not before more bytes come, so that no timer is
    /// needed.
    pub fn next_tick_ms(&self) -> Option<u64> {
        match &*self.slot.held() {
            Held::Here(recording) => recording.next_tick_ms(),
            Held::Closed { .. } => None,
        }
    }

    /// Pauses: what was added is durable when this returns, and no time counts until [`Recording::resume`]. Bytes that are
    /// added meanwhile are refused.
    pub fn pause(&mut self) -> Result<Vec<PieceDone>, Error> {
        self.slot.with(snaptrak_store::Recording::pause)
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) {
        if let Held::Here(recording) = &mut *self.slot.held() {
            recording.resume();
        }
    }

    /// What ended it, if it has ended by itself.
    pub fn ended_because(&self) -> Option<EndedBecause> {
        match &*self.slot.held() {
            Held::Here(recording) => recording.ended_because(),
            Held::Closed { ended_because, .. } => *ended_because,
        }
    }

    /// Ends the recording: durable when this returns. One without a byte is refused and leaves nothing. Once its instance is closed
    /// this is refused (`Cancelled`): the recording ended then, and is a capture of the store.
    pub fn finish(self) -> Result<Recorded, Error> {
        Ok(self.slot.take()?.finish()?)
    }

    /// Takes the recording back: nothing of it remains on this device or in the queue. Pieces that had been sent stay at the
    /// server; then the capture stays here as `cancelled`, and [`SnapTrak::why`] says so.
    pub fn cancel(self) -> Result<(), Error> {
        Ok(self.slot.take()?.cancel()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, ErrorCode, Platform};
    use snaptrak_testkit::FixedKeyStore;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_recording_in_which_a_call_panicked_takes_nothing_more_and_keeps_what_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let platform = Platform::system(Arc::new(FixedKeyStore::new([1; 32])));
        let instance = SnapTrak::create(Config::new(folder.path().join("store")), platform).unwrap();
        let options = RecordOptions { piece_bytes: 1_000, ..RecordOptions::default() };
        let mut recording = instance.record_with(Kind::Audio, CaptureOptions::default(), options).unwrap();
        assert_eq!(recording.write(&[1; 1_500]).unwrap().len(), 1);
        let panicking = || recording.slot.with::<()>(|_| panic!("a defect"));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert_eq!(recording.write(&[2]).unwrap_err().code(), ErrorCode::Cancelled);
        let recorded = recording.finish().unwrap();
        assert_eq!((recorded.ended_because, recorded.captured.bytes), (EndedBecause::Interrupted, 1_000));
    }
}
