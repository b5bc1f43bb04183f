//! What a window says when it is over.

use snaptrak_domain::UnixMs;

/// Why a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoppedBecause {
    /// Nothing is left.
    Done,
    /// The time that was granted is over.
    BudgetTime,
    /// The bytes that were granted are used.
    BudgetBytes,
    /// The server cannot be reached.
    Offline,
    /// The session is over: someone has to sign in.
    SignedOut,
    /// The app that gives the tokens had none to give.
    NoToken,
    /// Nobody has enrolled this device.
    NotEnrolled,
    /// The organisation's keys do not chain to the pinned root.
    TrustNotChained,
    /// The organisation's keys ran out.
    TrustExpired,
    /// What is left waits for its next try, further away than patience reaches.
    WaitingForRetry,
    /// What is left waits for the server's verification.
    VerificationPending,
    /// What is left is parked.
    Parked,
    /// The caller cancelled.
    Cancelled,
    /// The disk is full.
    StorageFull,
}

impl StoppedBecause {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::BudgetTime,
        Self::BudgetBytes,
        Self::Offline,
        Self::SignedOut,
        Self::NoToken,
        Self::NotEnrolled,
        Self::TrustNotChained,
        Self::TrustExpired,
        Self::WaitingForRetry,
        Self::VerificationPending,
        Self::Parked,
        Self::Cancelled,
        Self::StorageFull,
    ];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::BudgetTime => "budget_time",
            Self::BudgetBytes => "budget_bytes",
            Self::Offline => "offline",
            Self::SignedOut => "signed_out",
            Self::NoToken => "no_token",
            Self::NotEnrolled => "not_enrolled",
            Self::TrustNotChained => "trust_not_chained",
            Self::TrustExpired => "trust_expired",
            Self::WaitingForRetry => "waiting_for_retry",
            Self::VerificationPending => "verification_pending",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
            Self::StorageFull => "storage_full",
        }
    }
}

/// The sums of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncReport {
    /// Requests that were started.
    pub requests: u64,
    /// Bytes of request bodies that were handed to the network.
    pub bytes_sent: u64,
    /// Those of them that had been handed over before in this window: what interruptions cost.
    pub bytes_resent: u64,
    /// Pieces of which the server got every byte.
    pub received: u64,
    /// Assets whose countersignature was checked and kept.
    pub verified: u64,
    /// Captures of which sending parked something in this window.
    pub parked: u64,
    /// Captures that are still to be verified.
    pub left: u64,
    /// Why it ended.
    pub stopped_because: StoppedBecause,
    /// When it makes sense to come back, if that is known.
    pub next_try_ms: Option<UnixMs>,
}

/// What a window is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Milliseconds; `None` for as long as there is something to do.
    pub time_ms: Option<u64>,
    /// Bytes of request bodies; `None` for no limit.
    pub bytes: Option<u64>,
    /// How long a pause between two pieces of work may be before the window rather ends.
    pub patience_ms: u64,
}

/// Long enough for the first four or five retries and for the server to verify what it just got.
const PATIENCE_MS: u64 = 15_000;

impl Default for Budget {
    fn default() -> Self {
        Self { time_ms: None, bytes: None, patience_ms: PATIENCE_MS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_unique() {
        let words: BTreeSet<_> = StoppedBecause::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), StoppedBecause::ALL.len());
    }
}
