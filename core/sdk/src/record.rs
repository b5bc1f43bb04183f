//! Recordings: a stream becomes pieces as it comes, each durable by itself.

use crate::{CaptureOptions, Error, SnapTrak};
use snaptrak_domain::Kind;
use snaptrak_store::{Captured, PieceDone};

/// A recording that goes on. Dropping it without [`Recording::finish`] keeps what is complete; the next opening of the store
/// closes it.
pub struct Recording {
    store: snaptrak_store::Recording,
}

impl SnapTrak {
    /// Begins a recording of the given kind.
    pub fn record(&self, kind: Kind, options: CaptureOptions) -> Result<Recording, Error> {
        let options = CaptureOptions { kind: Some(kind), ..options };
        Ok(Recording { store: self.inner.store.record(options.validate()?)? })
    }
}

impl Recording {
    /// Adds bytes; answers the pieces that became durable by them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Vec<PieceDone>, Error> {
        Ok(self.store.write(bytes)?)
    }

    /// Ends the recording: the last piece becomes durable and nothing is added any more.
    pub fn finish(self) -> Result<(Captured, Vec<PieceDone>), Error> {
        Ok(self.store.finish()?)
    }
}
