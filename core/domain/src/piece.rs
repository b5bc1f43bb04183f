//! A piece's way from sealed file to purged, as a function from state and event to the next state.

use crate::capture::UnknownWord;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Where a piece stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceState {
    /// Finished on disk, not yet meant to leave.
    Sealed,
    /// Meant to leave.
    Queued,
    /// A transfer is under way (a lease says until when).
    Sending,
    /// The server has every byte.
    Received,
    /// The server signed that it durably holds the same bytes.
    Verified,
    /// The local bytes are gone.
    Purged,
    /// Set aside with a reason; nothing else waits for it.
    Parked,
    /// The person took it back.
    Cancelled,
}

impl PieceState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Sealed,
        Self::Queued,
        Self::Sending,
        Self::Received,
        Self::Verified,
        Self::Purged,
        Self::Parked,
        Self::Cancelled,
    ];

    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Received => "received",
            Self::Verified => "verified",
            Self::Purged => "purged",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for PieceState {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownWord { what: "piece state" })
    }
}

/// What happens to a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceEvent {
    /// Policy and enrolment let it leave.
    Enqueue,
    /// A transfer begins.
    Start,
    /// The transfer ended without every byte arriving; it is tried again.
    Interrupted,
    /// The server holds every byte.
    Arrived,
    /// The countersignature was checked.
    Countersigned,
    /// The server's sealed digest differs from ours: it must be sent again.
    SealedMismatch,
    /// The server opened the bytes and the plaintext differs: sending again would not help.
    PlaintextMismatch,
    /// A restored server no longer holds it; the bytes are still here.
    ServerLost,
    /// The local bytes were deleted.
    Purge,
    /// The bytes were fetched back and checked.
    FetchedBack,
    /// Set aside.
    Park,
    /// Tried again after being set aside.
    Revive,
    /// The person took it back.
    Cancel,
}

/// An event that makes no sense in this state: a bug in the caller, reported and never acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a piece that is {} cannot take the event {event:?}", state.as_str())]
pub struct PieceEventError {
    /// The state it was in.
    pub state: PieceState,
    /// The event.
    pub event: PieceEvent,
}

/// The next state. Events that repeat what is already true are accepted, since every answer may arrive twice.
pub fn next(state: PieceState, event: PieceEvent) -> Result<PieceState, PieceEventError> {
    use PieceEvent as E;
    use PieceState as S;
    let refused = Err(PieceEventError { state, event });
    match event {
        E::Enqueue => match state {
            S::Sealed | S::Queued => Ok(S::Queued),
            S::Sending | S::Received | S::Verified | S::Purged | S::Parked | S::Cancelled => refused,
        },
        E::Start => match state {
            S::Queued | S::Sending => Ok(S::Sending),
            S::Sealed | S::Received | S::Verified | S::Purged | S::Parked | S::Cancelled => refused,
        },
        E::Interrupted => match state {
            S::Queued | S::Sending => Ok(S::Queued),
            S::Sealed | S::Received | S::Verified | S::Purged | S::Parked | S::Cancelled => refused,
        },
        E::Arrived => match state {
            S::Queued | S::Sending | S::Received => Ok(S::Received),
            S::Verified => Ok(S::Verified),
            S::Sealed | S::Purged | S::Parked | S::Cancelled => refused,
        },
        E::Countersigned => match state {
            S::Queued | S::Sending | S::Received | S::Verified => Ok(S::Verified),
            S::Purged => Ok(S::Purged),
            S::Sealed | S::Parked | S::Cancelled => refused,
        },
        E::SealedMismatch => match state {
            S::Queued | S::Sending | S::Received => Ok(S::Queued),
            S::Sealed | S::Verified | S::Purged | S::Parked | S::Cancelled => refused,
        },
        E::PlaintextMismatch => match state {
            S::Received | S::Parked => Ok(S::Parked),
            S::Sealed | S::Queued | S::Sending | S::Verified | S::Purged | S::Cancelled => refused,
        },
        E::ServerLost => match state {
            S::Received | S::Verified => Ok(S::Queued),
            S::Purged => Ok(S::Parked),
            S::Sealed | S::Queued | S::Sending | S::Parked | S::Cancelled => refused,
        },
        E::Purge => match state {
            S::Verified | S::Purged => Ok(S::Purged),
            S::Sealed | S::Queued | S::Sending | S::Received | S::Parked | S::Cancelled => refused,
        },
        E::FetchedBack => match state {
            S::Purged | S::Verified => Ok(S::Verified),
            S::Sealed | S::Queued | S::Sending | S::Received | S::Parked | S::Cancelled => refused,
        },
        E::Park => match state {
            S::Sealed | S::Queued | S::Sending | S::Received | S::Parked => Ok(S::Parked),
            S::Verified | S::Purged | S::Cancelled => refused,
        },
        E::Revive => match state {
            S::Parked | S::Queued => Ok(S::Queued),
            S::Sealed | S::Sending | S::Received | S::Verified | S::Purged | S::Cancelled => refused,
        },
        E::Cancel => match state {
            S::Sealed | S::Queued | S::Sending | S::Received | S::Parked | S::Cancelled => Ok(S::Cancelled),
            S::Verified | S::Purged => refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [PieceEvent; 13] = [
        PieceEvent::Enqueue,
        PieceEvent::Start,
        PieceEvent::Interrupted,
        PieceEvent::Arrived,
        PieceEvent::Countersigned,
        PieceEvent::SealedMismatch,
        PieceEvent::PlaintextMismatch,
        PieceEvent::ServerLost,
        PieceEvent::Purge,
        PieceEvent::FetchedBack,
        PieceEvent::Park,
        PieceEvent::Revive,
        PieceEvent::Cancel,
    ];

    proptest! {
        /// Local bytes go only after the countersignature: no run of events reaches `purged` without passing `verified`.
        #[test]
        fn purged_only_after_countersigned(events in prop::collection::vec(0..EVENTS.len(), 0..60)) {
            let mut state = PieceState::Sealed;
            let mut countersigned = false;
            for index in events {
                if let Ok(after) = next(state, EVENTS[index]) {
                    countersigned |= EVENTS[index] == PieceEvent::Countersigned;
                    state = after;
                }
                prop_assert!(state != PieceState::Purged || countersigned);
            }
        }

        /// Every answer may arrive twice: repeating an accepted event is accepted and changes nothing more, but for the
        /// events that lead into a state in which they no longer apply.
        #[test]
        fn arrivals_are_idempotent(start in 0..PieceState::ALL.len()) {
            for event in [PieceEvent::Enqueue, PieceEvent::Arrived, PieceEvent::Countersigned, PieceEvent::Purge, PieceEvent::Park] {
                if let Ok(after) = next(PieceState::ALL[start], event) {
                    prop_assert_eq!(next(after, event), Ok(after));
                }
            }
        }
    }

    #[test]
    fn words_are_read_back() {
        for state in PieceState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
