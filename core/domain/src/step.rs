//! Steps: the units of work on a capture, what each waits for, and how an attempt's outcome moves it.

use crate::{Reason, UnixMs, backoff, capture::UnknownWord, limits, outcome::Outcome};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Understand the original on this device.
    Analyse,
    /// Make the redacted rendition.
    Redact,
    /// Make the thumbnail.
    Thumbnail,
    /// Tell the API of the capture.
    SendRecord,
    /// Send an asset's envelope.
    SendEnvelope,
    /// Send one piece.
    SendPiece,
    /// Send what was found.
    SendFindings,
    /// Ask for the countersigned receipt.
    FetchReceipt,
}

impl StepKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Analyse,
        Self::Redact,
        Self::Thumbnail,
        Self::SendRecord,
        Self::SendEnvelope,
        Self::SendPiece,
        Self::SendFindings,
        Self::FetchReceipt,
    ];

    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyse => "analyse",
            Self::Redact => "redact",
            Self::Thumbnail => "thumbnail",
            Self::SendRecord => "send_record",
            Self::SendEnvelope => "send_envelope",
            Self::SendPiece => "send_piece",
            Self::SendFindings => "send_findings",
            Self::FetchReceipt => "fetch_receipt",
        }
    }

    /// Whether the original cannot be verified while this step is parked.
    pub fn blocks_verification(self) -> bool {
        match self {
            Self::SendRecord | Self::SendEnvelope | Self::SendPiece | Self::FetchReceipt => true,
            Self::Analyse | Self::Redact | Self::Thumbnail | Self::SendFindings => false,
        }
    }

    /// Whether an asset counts as prepared only once this step has settled: what decides in which shape it leaves. A thumbnail
    /// stays here and holds up nothing.
    pub fn prepares(self) -> bool {
        match self {
            Self::Analyse | Self::Redact => true,
            Self::Thumbnail
            | Self::SendRecord
            | Self::SendEnvelope
            | Self::SendPiece
            | Self::SendFindings
            | Self::FetchReceipt => false,
        }
    }

    /// Whether the step talks to the API.
    pub fn is_sending(self) -> bool {
        match self {
            Self::SendRecord | Self::SendEnvelope | Self::SendPiece | Self::SendFindings | Self::FetchReceipt => true,
            Self::Analyse | Self::Redact | Self::Thumbnail => false,
        }
    }
}

impl FromStr for StepKind {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or(UnknownWord { what: "step" })
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// To be done, now or after a delay.
    Waiting,
    /// Being done, under a lease.
    Running,
    /// Done.
    Done,
    /// Set aside with a reason.
    Parked,
    /// Not wanted any more.
    Cancelled,
}

impl StepState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Parked, Self::Cancelled];

    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen by itself today.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Done | Self::Parked | Self::Cancelled => true,
            Self::Waiting | Self::Running => false,
        }
    }
}

impl FromStr for StepState {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or(UnknownWord { what: "step state" })
    }
}

/// How one step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The other must be done.
    NeedsSuccess,
    /// The other must have settled, well or not.
    AfterSettled,
}

impl Wait {
    /// Whether the wait is over now that the other step is in `state`.
    pub fn is_met(self, state: StepState) -> bool {
        match self {
            Self::NeedsSuccess => match state {
                StepState::Done => true,
                StepState::Waiting | StepState::Running | StepState::Parked | StepState::Cancelled => false,
            },
            Self::AfterSettled => state.is_settled(),
        }
    }
}

/// What a step waits for, within its capture. Pieces go up while the envelope is on its way: the server holds both until
/// they meet; the receipt needs all of them.
pub fn waits_for(kind: StepKind) -> &'static [(StepKind, Wait)] {
    match kind {
        StepKind::Analyse | StepKind::SendRecord => &[],
        StepKind::Redact => &[(StepKind::Analyse, Wait::NeedsSuccess)],
        StepKind::Thumbnail => &[(StepKind::Analyse, Wait::AfterSettled)],
        StepKind::SendEnvelope | StepKind::SendPiece => &[(StepKind::SendRecord, Wait::NeedsSuccess)],
        StepKind::SendFindings => {
            &[(StepKind::SendRecord, Wait::NeedsSuccess), (StepKind::Analyse, Wait::AfterSettled)]
        }
        StepKind::FetchReceipt => {
            &[(StepKind::SendEnvelope, Wait::NeedsSuccess), (StepKind::SendPiece, Wait::NeedsSuccess)]
        }
    }
}

/// What is known of a step when an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFacts {
    /// Attempts so far that counted, this one not included.
    pub attempts: u32,
    /// Failures in a row so far, this one not included.
    pub failures: u32,
    /// Something of the same kind succeeded since this step's last success: the fault is this item's own.
    pub peers_succeed: bool,
}

/// What a step becomes after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepNext {
    /// The state.
    pub state: StepState,
    /// Attempts that counted.
    pub attempts: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Not before this wall time; `None` means at once.
    pub not_before: Option<UnixMs>,
    /// Why it waits or is parked.
    pub reason: Option<Reason>,
}

/// The step after an attempt's outcome. `jitter` is uniform in 0..=65535 and spreads the delay over its whole range.
pub fn after_attempt(facts: StepFacts, outcome: &Outcome, now: UnixMs, jitter: u16) -> StepNext {
    match outcome {
        Outcome::Done => StepNext {
            state: StepState::Done,
            attempts: facts.attempts + 1,
            failures: 0,
            not_before: None,
            reason: None,
        },
        Outcome::NotAttempted(reason) => StepNext {
            state: StepState::Waiting,
            attempts: facts.attempts,
            failures: facts.failures,
            not_before: None,
            reason: Some(reason.clone()),
        },
        Outcome::NotYet { reason, retry_after_ms } => StepNext {
            state: StepState::Waiting,
            attempts: facts.attempts + 1,
            failures: facts.failures,
            not_before: Some(UnixMs(now.0 + (*retry_after_ms).clamp(0, limits::BACKOFF_CAP_MS))),
            reason: Some(reason.clone()),
        },
        Outcome::Failed { reason, retry_after_ms } => {
            let failures = facts.failures + 1;
            if failures >= limits::FAILURES_UNTIL_PARKED && facts.peers_succeed {
                return parked(facts.attempts + 1, failures, now, reason.clone());
            }
            let delay_ms = backoff::delay_ms(failures, *retry_after_ms, jitter);
            StepNext {
                state: StepState::Waiting,
                attempts: facts.attempts + 1,
                failures,
                not_before: Some(UnixMs(now.0 + delay_ms)),
                reason: Some(reason.clone()),
            }
        }
        Outcome::Refused(reason) => parked(facts.attempts + 1, facts.failures + 1, now, reason.clone()),
    }
}

fn parked(attempts: u32, failures: u32, now: UnixMs, reason: Reason) -> StepNext {
    StepNext {
        state: StepState::Parked,
        attempts,
        failures,
        not_before: Some(UnixMs(now.0 + limits::REVIVAL_AFTER_MS)),
        reason: Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReasonCode;

    fn failed() -> Outcome {
        Outcome::Failed { reason: Reason::new(ReasonCode::ServerError), retry_after_ms: None }
    }

    #[test]
    fn a_poisoned_item_parks_only_while_its_peers_succeed() {
        let facts = StepFacts { attempts: 7, failures: 7, peers_succeed: true };
        assert_eq!(after_attempt(facts, &failed(), UnixMs(0), 0).state, StepState::Parked);
        let outage = StepFacts { peers_succeed: false, ..facts };
        assert_eq!(after_attempt(outage, &failed(), UnixMs(0), 0).state, StepState::Waiting);
    }

    #[test]
    fn offline_costs_no_attempt() {
        let facts = StepFacts { attempts: 3, failures: 2, peers_succeed: false };
        let next = after_attempt(facts, &Outcome::NotAttempted(Reason::new(ReasonCode::Offline)), UnixMs(10), u16::MAX);
        assert_eq!((next.attempts, next.failures, next.not_before), (3, 2, None));
    }

    #[test]
    fn no_step_waits_for_itself_through_others() {
        fn reaches(from: StepKind, to: StepKind) -> bool {
            waits_for(from).iter().any(|(kind, _)| *kind == to || reaches(*kind, to))
        }
        for kind in StepKind::ALL {
            assert!(!reaches(kind, kind), "{kind:?}");
        }
    }
}
