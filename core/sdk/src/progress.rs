//! Progress of long work, told to whoever shows it.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressEvent {
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

/// Takes progress; called from worker threads, never under a lock, and must not block.
pub trait Progress: Send + Sync {
    /// One step further.
    fn update(&self, event: ProgressEvent);
}

/// Shows nothing.
pub struct Quiet;

impl Progress for Quiet {
    fn update(&self, _event: ProgressEvent) {}
}
