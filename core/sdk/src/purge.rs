//! Making room: bytes that the server signed for go from this device, and what is pinned stays.

use crate::{Error, SnapTrak};
use snaptrak_domain::{CancelToken, CaptureId};
use snaptrak_store::PurgeRequest;

pub use snaptrak_store::{KeptCapture, PurgeReport};

/// What [`SnapTrak::purge`] shall remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeOptions {
    /// These captures; none: every one that may go, oldest first.
    pub captures: Vec<CaptureId>,
    /// Stop when so many bytes are free; `None`: all that may go.
    pub to_free_bytes: Option<u64>,
}

impl SnapTrak {
    /// Removes the bytes of captures that the server signed for. Metadata, receipts, findings and thumbnails stay, and the
    /// capture is listed as `purged`.
    ///
    /// What is not verified, is pinned or is being read stays, and the report says so. A thumbnail that is still to be made is
    /// made first. That, and captures whose receipt is not in their envelope yet, may need the viewing key: call
    /// [`SnapTrak::unlock`] before. Works on a disk that is full to the last byte.
    pub fn purge(&self, options: PurgeOptions) -> Result<PurgeReport, Error> {
        self.purge_until(options, &CancelToken::new())
    }

    /// As [`SnapTrak::purge`], and ends before the next capture when another thread cancels the token: what has gone by then is gone,
    /// and [`SnapTrak::list`] says of each where it is.
    pub fn purge_until(&self, options: PurgeOptions, cancel: &CancelToken) -> Result<PurgeReport, Error> {
        let PurgeOptions { captures, to_free_bytes } = options;
        let request = PurgeRequest { captures, to_free_bytes };
        let call = self.inner.calls.begin(cancel)?;
        Ok(self.inner.store.purge_until(&request, &|id| self.keep_seen_small(id), call.token())?)
    }

    /// Keeps the bytes of a capture on this device, whatever the quota says. Twice is no error.
    pub fn pin(&self, id: CaptureId) -> Result<(), Error> {
        Ok(self.inner.store.set_pinned(id, true)?)
    }

    /// Lets the bytes of a capture go again when room is needed.
    pub fn unpin(&self, id: CaptureId) -> Result<(), Error> {
        Ok(self.inner.store.set_pinned(id, false)?)
    }
}
