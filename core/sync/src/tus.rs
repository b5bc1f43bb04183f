//! One upload as a function from (state, answer) to the next action. Owns the rules of resuming; knows no network, no store
//! and no time.
//!
//! ```text
//!   no upload ---> Create --created(offset)--> Append(offset) --204 and expected offset--> Append ... --> Received
//!   upload ------> Ask ----offset-----------^      |  any doubt: broken, 409, 460, odd 204
//!                   ^------------------------------'
//!   404, 410, 401, 403 on the upload ---> Create (deduplicated by the server: the same upload, a fresh capability)
//! ```
//!
//! Two promises, each a property test: an upload ends as received only when the server reported the full offset, and an
//! append begins exactly where the server last said that it stands, so that nothing that it has confirmed is sent again.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::{Reason, ReasonCode};

use crate::api::ApiError;
use crate::api::uploads::Standing;
use crate::verdict;

/// Doubts in a row without one more byte confirmed: a network that breaks five times at one place gets its rest.
const DOUBTS_MAX: u8 = 5;
/// Creations in one attempt: the first, one for a fresh capability, one for an upload that expired meanwhile.
const CREATIONS_MAX: u8 = 3;
/// Times that the server may drop what it got because of its digest, before the attempt is given up.
const MISMATCHES_MAX: u8 = 2;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create the upload, or get a fresh capability for it.
    Create,
    /// Ask where it stands.
    Ask,
    /// Send the bytes from here.
    Append {
        /// First byte.
        offset: u64,
    },
    /// The server has every byte.
    Received,
    /// This attempt is over.
    End(Outcome),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The upload exists; the server may have said how many bytes it has.
    Created {
        /// Bytes that it has.
        offset: Option<u64>,
    },
    /// Where it stands.
    Standing(Standing),
    /// An append was answered with success.
    Appended {
        /// What the server says that it has now.
        offset: u64,
        /// What it should have.
        expected: u64,
    },
    /// The server answered something else.
    Error(ApiError),
    /// No answer: the connection broke or the time ran out.
    Broken(Outcome),
}

/// What is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Creating,
    Asking,
    Appending,
}

/// One attempt at an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    length: u64,
    phase: Phase,
    /// The furthest offset that the server has reported in this attempt.
    furthest: u64,
    doubts: u8,
    creations: u8,
    mismatches: u8,
}

impl Attempt {
    /// Begins an attempt to bring `length` bytes; `known` if an upload of an earlier attempt is remembered.
    pub(crate) fn begin(length: u64, known: bool) -> (Self, Action) {
        let phase = if known { Phase::Asking } else { Phase::Creating };
        let attempt = Self { length, phase, furthest: 0, doubts: 0, creations: u8::from(!known), mismatches: 0 };
        (attempt, if known { Action::Ask } else { Action::Create })
    }

    /// The action after an answer to the last one.
    pub(crate) fn next(&mut self, answer: Answer) -> Action {
        match answer {
            Answer::Created { offset: Some(offset) } => self.stands_at(offset),
            Answer::Created { offset: None } => self.ask(),
            Answer::Standing(Standing { offset: _, length: Some(length) }) if length != self.length => self.create(),
            Answer::Standing(Standing { offset, length: _ }) => self.stands_at(offset),
            Answer::Appended { offset, expected } if offset == expected => self.stands_at(offset),
            // Some servers answer 204 with less than was sent when another request ended this one.
            Answer::Appended { .. } => self.doubt(failed(ReasonCode::ProtocolError, "odd_offset")),
            Answer::Broken(outcome) => match self.phase {
                Phase::Appending => self.doubt(outcome),
                Phase::Creating | Phase::Asking => Action::End(outcome),
            },
            Answer::Error(error) => self.error(&error),
        }
    }

    fn stands_at(&mut self, offset: u64) -> Action {
        if offset > self.length {
            return Action::End(failed(ReasonCode::ProtocolError, "offset_beyond_the_end"));
        }
        if offset > self.furthest {
            self.furthest = offset;
            self.doubts = 0;
        }
        if offset == self.length {
            return Action::Received;
        }
        self.phase = Phase::Appending;
        Action::Append { offset }
    }

    fn error(&mut self, error: &ApiError) -> Action {
        if self.phase == Phase::Creating {
            return Action::End(verdict::of_error(error).into_outcome());
        }
        if error.is_protocol() {
            return match self.phase {
                Phase::Appending => self.doubt(verdict::of_error(error).into_outcome()),
                Phase::Creating | Phase::Asking => Action::End(verdict::of_error(error).into_outcome()),
            };
        }
        match error.status {
            // Gone, or the capability ran out: creating again finds the same upload or makes a new one.
            401 | 403 | 404 | 410 => self.create(),
            409 if self.phase == Phase::Appending => self.doubt(verdict::of_error(error).into_outcome()),
            460 => self.mismatch(error),
            _ => Action::End(verdict::of_error(error).into_outcome()),
        }
    }

    /// The server dropped what it got because of its digest. What it still has is asked for; if it happens again, the bytes
    /// here or there are wrong and the attempt ends.
    fn mismatch(&mut self, error: &ApiError) -> Action {
        self.mismatches += 1;
        let outcome = Outcome::Failed {
            reason: verdict::reason(ReasonCode::SealedMismatch, error),
            retry_after_ms: error.retry_after_ms,
        };
        if self.mismatches >= MISMATCHES_MAX {
            return Action::End(outcome);
        }
        self.doubt(outcome)
    }

    fn doubt(&mut self, outcome: Outcome) -> Action {
        self.doubts += 1;
        if self.doubts > DOUBTS_MAX {
            return Action::End(outcome);
        }
        self.ask()
    }

    fn ask(&mut self) -> Action {
        self.phase = Phase::Asking;
        Action::Ask
    }

    fn create(&mut self) -> Action {
        if self.creations >= CREATIONS_MAX {
            return Action::End(failed(ReasonCode::ProtocolError, "upload_keeps_vanishing"));
        }
        self.creations += 1;
        self.phase = Phase::Creating;
        Action::Create
    }
}

fn failed(code: ReasonCode, detail: &str) -> Outcome {
    Outcome::Failed { reason: Reason::new(code).with("detail", detail), retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(status: u16) -> Answer {
        Answer::Error(ApiError { status, code: "x".into(), message: String::new(), retry_after_ms: Some(9) })
    }

    fn at(offset: u64) -> Answer {
        Answer::Standing(Standing { offset, length: Some(100) })
    }

    fn broken() -> Answer {
        Answer::Broken(failed(ReasonCode::Offline, "test"))
    }

    /// Runs answers and returns the last action.
    fn run(known: bool, answers: &[Answer]) -> Action {
        let (mut attempt, mut action) = Attempt::begin(100, known);
        for answer in answers {
            action = attempt.next(answer.clone());
        }
        action
    }

    #[test]
    fn the_straight_way_and_the_resumed_way() {
        assert_eq!(run(false, &[]), Action::Create);
        assert_eq!(run(false, &[Answer::Created { offset: Some(0) }]), Action::Append { offset: 0 });
        let appended = Answer::Appended { offset: 100, expected: 100 };
        assert_eq!(run(false, &[Answer::Created { offset: Some(0) }, appended]), Action::Received);
        assert_eq!(run(true, &[at(40)]), Action::Append { offset: 40 });
        assert_eq!(run(true, &[at(100)]), Action::Received);
        assert_eq!(run(false, &[Answer::Created { offset: None }]), Action::Ask);
    }

    #[test]
    fn after_any_doubt_the_server_is_asked() {
        for doubt in [broken(), error(409), error(460), Answer::Appended { offset: 70, expected: 100 }] {
            assert_eq!(run(true, &[at(40), doubt.clone()]), Action::Ask, "{doubt:?}");
            assert_eq!(run(true, &[at(40), doubt, at(60)]), Action::Append { offset: 60 });
        }
    }

    #[test]
    fn what_is_gone_is_created_again_but_not_for_ever() {
        for status in [401, 403, 404, 410] {
            assert_eq!(run(true, &[error(status)]), Action::Create, "{status}");
            assert_eq!(run(true, &[at(40), error(status)]), Action::Create, "{status}");
        }
        let again: Vec<_> =
            (0..7).map(|turn| if turn % 2 == 0 { error(404) } else { Answer::Created { offset: Some(0) } }).collect();
        assert!(matches!(run(true, &again), Action::End(Outcome::Failed { .. })));
        let other = Answer::Standing(Standing { offset: 3, length: Some(7) });
        assert_eq!(run(true, &[other]), Action::Create);
    }

    #[test]
    fn verdicts_and_troubles_end_the_attempt() {
        assert!(matches!(run(true, &[at(0), error(413)]), Action::End(Outcome::Refused(_))));
        for status in [429, 500, 503] {
            let Action::End(Outcome::Failed { retry_after_ms, .. }) = run(true, &[at(0), error(status)]) else {
                panic!("{status} is for later")
            };
            assert_eq!(retry_after_ms, Some(9));
        }
        assert!(matches!(run(true, &[at(101)]), Action::End(Outcome::Failed { .. })));
        assert!(matches!(run(true, &[broken()]), Action::End(Outcome::Failed { .. })));
    }

    #[test]
    fn a_digest_that_differs_twice_ends_the_attempt() {
        let answers = [at(0), error(460), at(0), error(460)];
        let Action::End(Outcome::Failed { reason, .. }) = run(true, &answers) else { panic!("ends") };
        assert_eq!(reason.code, ReasonCode::SealedMismatch);
    }

    /// A server that loses, cuts and refuses at random, but tells the truth about its offset whenever it answers.
    #[derive(Debug, Clone, Copy)]
    enum Mood {
        Fine,
        CutAppend { stored_percent: u64 },
        ShortAppend { stored_percent: u64 },
        Status(u16),
        NoAnswer,
        ForgetUpload,
        RollBack { to_percent: u64 },
    }

    fn mood() -> impl Strategy<Value = Mood> {
        prop_oneof![
            4 => Just(Mood::Fine),
            2 => (0..=100_u64).prop_map(|stored_percent| Mood::CutAppend { stored_percent }),
            1 => (0..=99_u64).prop_map(|stored_percent| Mood::ShortAppend { stored_percent }),
            2 => prop::sample::select(vec![401, 403, 404, 408, 409, 410, 413, 423, 429, 460, 500, 503]).prop_map(Mood::Status),
            1 => Just(Mood::NoAnswer),
            1 => Just(Mood::ForgetUpload),
            1 => (0..=100_u64).prop_map(|to_percent| Mood::RollBack { to_percent }),
        ]
    }

    proptest! {
           #[test]
           fn received_means_all_and_nothing_confirmed_is_sent_again(
               length in 1..1_000_000_u64,
               known in any::<bool>(),
               moods in prop::collection::vec(mood(), 1..60),
           ) {
               let mut server: u64 = 0;
               // What the server last told us: the only thing that an append may begin at.
               let mut told: Option<u64> = None;
               let (mut attempt, mut action) = Attempt::begin(length, known);
               for mood in moods {
                   let answer = match (&action, mood) {
                       (Action::Received | Action::End(_), _) => break,
                       (_, Mood::Status(status)) => error(status),
                       (_, Mood::NoAnswer) => broken(),
                       (_, Mood::ForgetUpload) => { server = 0; error(404) }
                       (_, Mood::RollBack { to_percent }) => { server = server * to_percent / 100; broken() }
                       (Action::Create, _) => { told = Some(server); Answer::Created { offset: Some(server) } }
                       (Action::Ask, _) => {
                           told = Some(server);
                           Answer::Standing(Standing { offset: server, length: Some(length) })
                       }
                       (Action::Append { offset }, mood) => {
                           prop_assert_eq!(Some(*offset), told);
                           prop_assert!(*offset < length);
                           if *offset != server {
                               error(409)
                           } else {
                               match mood {
                                   Mood::CutAppend { stored_percent } => {
                                       server += (length - server) * stored_percent / 100;
                                       broken()
                                   }
                                   Mood::ShortAppend { stored_percent } => {
                                       server += (length - server) * stored_percent / 100;
                                       Answer::Appended { offset: server, expected: length }
                                   }
                                   Mood::Fine
    | Mood::Status(_) | Mood::NoAnswer | Mood::ForgetUpload | Mood::RollBack { .. } => {
                                       server = length;
                                       told = Some(length);
                                       Answer::Appended { offset: length, expected: length }
                                   }
                               }
                           }
                       }
                   };
                   action = attempt.next(answer);
                   if action == Action::Received {
                       prop_assert_eq!(told, Some(length));
                   }
               }
           }

           /// However the answers come, an attempt ends.
           #[test]
           fn an_attempt_is_finite(known in any::<bool>(), choices in prop::collection::vec(0..8_usize, 200)) {
               let (mut attempt, mut action) = Attempt::begin(100, known);
               let mut steps = 0;
               for choice in choices {
                   if matches!(action, Action::Received | Action::End(_)) {
                       break;
                   }
                   steps += 1;
                   action = attempt.next(match choice {
                       0 => Answer::Created { offset: Some(0) },
                       1 => Answer::Created { offset: None },
                       2 => at(0),
                       3 => Answer::Appended { offset: 1, expected: 2 },
                       4 => error(404),
                       5 => error(460),
                       6 => error(409),
                       _ => broken(),
                   });
               }
               prop_assert!(steps < 200);
           }
       }
}
