//! Recordings: a stream becomes pieces as it comes, each durable by itself and on its way while the recording goes on.

use crate::{CaptureOptions, Error, SnapTrak};
use snaptrak_domain::{CaptureId, EndedBecause, Kind};
use snaptrak_store::{PieceDone, RecordOptions, Recorded};

/// A recording that goes on. Dropping it ends it with what it has.
///
/// Nothing here runs by itself: while no bytes come, call [`Recording::tick`] when [`Recording::next_tick_ms`] says, or what
/// was written last is synced and finished only with the next bytes.
pub struct Recording {
    store: snaptrak_store::Recording,
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
        Ok(Recording { store: self.inner.store.record_with(options.validate()?, record_options)? })
    }
}

impl Recording {
    /// The capture that it is.
    pub fn capture_id(&self) -> CaptureId {
        self.store.capture_id()
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    /// Adds bytes; answers the pieces that became durable by them. Nothing is added once it has ended by itself.
    ///
    /// After an error nothing more is added: what is complete is kept, closed by [`Recording::finish`], by dropping it, or, on
    /// a disk that is full, by the next opening of the store.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Vec<PieceDone>, Error> {
        Ok(self.store.write(bytes)?)
    }

    /// Does what has fallen due: syncs, finishes a piece that is old enough, ends what has gone on for long enough. Answers the
    /// pieces that became durable by it.
    pub fn tick(&mut self) -> Result<Vec<PieceDone>, Error> {
        Ok(self.store.tick()?)
    }

    /// In how many milliseconds [`Recording::tick`] has something to do; `None`: not before more bytes come, so that no timer is
    /// needed.
    pub fn next_tick_ms(&self) -> Option<u64> {
        self.store.next_tick_ms()
    }

    /// Pauses: what was added is durable when this returns, and no time counts until [`Recording::resume`]. Bytes that are
    /// added meanwhile are refused.
    pub fn pause(&mut self) -> Result<Vec<PieceDone>, Error> {
        Ok(self.store.pause()?)
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) {
        self.store.resume();
    }

    /// What ended it, if it has ended by itself.
    pub fn ended_because(&self) -> Option<EndedBecause> {
        self.store.ended_because()
    }

    /// Ends the recording: durable when this returns. One without a byte is refused and leaves nothing.
    pub fn finish(self) -> Result<Recorded, Error> {
        Ok(self.store.finish()?)
    }

    /// Takes the recording back: nothing of it remains on this device or in the queue. Pieces that had been sent stay at the
    /// server; then the capture stays here as `cancelled`, and [`SnapTrak::why`] says so.
    pub fn cancel(self) -> Result<(), Error> {
        Ok(self.store.cancel()?)
    }
}
