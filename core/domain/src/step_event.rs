//! What happens to a step besides the end of an attempt, as a function from state and event to the next state. How an
//! attempt's outcome moves a step is [`crate::step::after_attempt`].

use crate::StepState;

/// What happens to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEvent {
    /// Someone takes a lease. Whether an earlier lease has ended is for the caller to know.
    Begin,
    /// The lease ended, or its owner is dead, and nobody wrote an outcome.
    LeaseEnded,
    /// What it did is wanted again: the server lost it, or there is something new to send.
    Reopen,
    /// Tried again after being set aside.
    Revive,
    /// Set aside from outside: what it would work on is gone.
    Park,
    /// The person took the capture back, or it cannot be done here at all.
    Cancel,
    /// What it was to make is there: made with something else, or given by the app.
    Supplied,
}

/// An event that makes no sense in this state: a bug in the caller, reported and never acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a step that is {} cannot take the event {event:?}", state.as_str())]
pub struct StepEventError {
    /// The state it was in.
    pub state: StepState,
    /// The event.
    pub event: StepEvent,
}

/// The next state. Events that repeat what is already true are accepted.
pub fn next(state: StepState, event: StepEvent) -> Result<StepState, StepEventError> {
    use StepEvent as E;
    use StepState as S;
    let refused = Err(StepEventError { state, event });
    match event {
        E::Begin => match state {
            S::Waiting | S::Running => Ok(S::Running),
            S::Done | S::Parked | S::Cancelled => refused,
        },
        E::LeaseEnded => match state {
            S::Waiting | S::Running => Ok(S::Waiting),
            S::Done | S::Parked | S::Cancelled => refused,
        },
        E::Reopen => match state {
            S::Waiting | S::Running | S::Done | S::Parked => Ok(S::Waiting),
            S::Cancelled => refused,
        },
        E::Revive => match state {
            S::Waiting | S::Parked => Ok(S::Waiting),
            S::Running | S::Done | S::Cancelled => refused,
        },
        E::Park => match state {
            S::Waiting | S::Running | S::Done | S::Parked => Ok(S::Parked),
            S::Cancelled => refused,
        },
        E::Cancel => match state {
            S::Waiting | S::Running | S::Parked | S::Cancelled => Ok(S::Cancelled),
            S::Done => refused,
        },
        E::Supplied => match state {
            S::Waiting | S::Running | S::Done | S::Parked | S::Cancelled => Ok(S::Done),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_brings_a_cancelled_step_back() {
        for event in [
            StepEvent::Begin,
            StepEvent::LeaseEnded,
            StepEvent::Reopen,
            StepEvent::Revive,
            StepEvent::Park,
            StepEvent::Cancel,
        ] {
            assert!(next(StepState::Cancelled, event).is_err() || event == StepEvent::Cancel, "{event:?}");
        }
        let supplied = next(StepState::Cancelled, StepEvent::Supplied);
        assert_eq!(supplied, Ok(StepState::Done), "its result is there, and it is still not begun");
    }

    #[test]
    fn what_is_done_is_begun_again_only_when_someone_reopens_it() {
        assert!(next(StepState::Done, StepEvent::Begin).is_err());
        assert!(next(StepState::Done, StepEvent::LeaseEnded).is_err());
        assert!(next(StepState::Done, StepEvent::Revive).is_err());
        assert_eq!(next(StepState::Done, StepEvent::Reopen), Ok(StepState::Waiting));
    }
}
