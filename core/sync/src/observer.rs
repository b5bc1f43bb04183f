//! What a progress display is told: counts and bytes, never contents.

/// What the loop mostly does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncPhase {
    /// Something is being sent.
    Sending,
    /// Everything is sent and the server verifies.
    Verifying,
}

/// How far a window has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncProgress {
    /// What it does.
    pub phase: SyncPhase,
    /// Captures that were verified in this window.
    pub captures_done: u64,
    /// Captures that waited when it began, and those verified since.
    pub captures_total: u64,
    /// Sealed bytes that the server has confirmed in this window.
    pub bytes_done: u64,
    /// Sealed bytes that waited when it began.
    pub bytes_total: u64,
}

/// Takes progress. Called from the thread that runs the window, a few times a second at most; must not block.
pub trait SyncObserver {
    /// One more look at the counters.
    fn update(&self, progress: SyncProgress);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl SyncObserver for Quiet {
    fn update(&self, _progress: SyncProgress) {}
}
