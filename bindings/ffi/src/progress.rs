//! How far long work is, told to the app.

use crate::SnapTrakError;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Phase {
    /// Pictures are being understood.
    Analysing,
    /// Bytes are going out.
    Sending,
    /// The server checks what it has.
    Verifying,
    /// A store is brought back.
    Recovering,
    /// Purged bytes are coming back, or models come.
    Fetching,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Captures done, or files of models.
    pub done: u64,
    /// Those in all.
    pub total: u64,
    /// Sealed bytes done, or bytes of models.
    pub bytes_done: u64,
    /// Those in all.
    pub bytes_total: u64,
}

/// Takes progress on a thread of the instance; must not block. One that throws is told nothing more, and the work goes on.
#[uniffi::export(with_foreign)]
pub trait ProgressListener: Send + Sync {
    /// One step further.
    fn on_progress(&self, progress: Progress) -> Result<(), SnapTrakError>;
}

/// The app's listener as the core asks for it.
pub(crate) struct Adapted {
    listener: Option<Arc<dyn ProgressListener>>,
    threw: AtomicBool,
}

impl Adapted {
    pub(crate) fn new(listener: Option<Arc<dyn ProgressListener>>) -> Self {
        Self { listener, threw: AtomicBool::new(false) }
    }
}

impl snaptrak::Progress for Adapted {
    fn update(&self, event: snaptrak::ProgressEvent) {
        let Some(listener) = self.listener.as_ref().filter(|_| !self.threw.load(Ordering::Relaxed)) else { return };
        if listener.on_progress(event.into()).is_err() {
            self.threw.store(true, Ordering::Relaxed);
            tracing::warn!("a progress listener of the app threw: it is told nothing more");
        }
    }
}

impl From<snaptrak::ProgressEvent> for Progress {
    fn from(event: snaptrak::ProgressEvent) -> Self {
        let snaptrak::ProgressEvent { phase, done, total, bytes_done, bytes_total } = event;
        let phase = match phase {
            snaptrak::Phase::Analysing => Phase::Analysing,
            snaptrak::Phase::Sending => Phase::Sending,
            snaptrak::Phase::Verifying => Phase::Verifying,
            snaptrak::Phase::Recovering => Phase::Recovering,
            snaptrak::Phase::Fetching => Phase::Fetching,
        };
        Self { phase, done, total, bytes_done, bytes_total }
    }
}

impl From<uniffi::UnexpectedUniFFICallbackError> for SnapTrakError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::internal(&format!("the app threw: {}", error.reason))
    }
}
