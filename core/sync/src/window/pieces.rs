//! Pieces: drives `crate::tus` with the answers of one upload after another.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::piece::PieceEvent;
use snaptrak_domain::queue_store::{OutgoingPiece, ReadyStep, Upload};
use snaptrak_domain::transport::{Plan, Response};
use snaptrak_domain::{AssetId, Reason, ReasonCode, Secret, UnixMs};

use crate::api::uploads::{plan_append, plan_create, plan_standing, read_append, read_create, read_standing};
use crate::api::{ApiError, Call};
use crate::report::StoppedBecause;
use crate::tus::{Action, Answer, Attempt};
use crate::verdict;

use super::flight::{Job, piece_event_of};
use super::{Halt, Window};

/// The next request of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Create,
    Ask,
    Append { offset: u64, length: u64 },
}

/// One attempt at a piece.
pub(super) struct PieceJob {
    pub(super) step: ReadyStep,
    asset_id: AssetId,
    index: u32,
    outgoing: OutgoingPiece,
    upload: Upload,
    attempt: Attempt,
    next: Next,
    /// Bytes from the start that were handed to the network at some time in this attempt.
    sent_until: u64,
}

impl PieceJob {
    /// Whether the present request carries the access token; the others carry the upload's capability.
    pub(super) fn uses_session(&self) -> bool {
        match self.next {
            Next::Create => true,
            Next::Ask | Next::Append { .. } => false,
        }
    }

    pub(super) fn plan(&self, call: &Call<'_>) -> Plan {
        match self.next {
            Next::Create => plan_create(call, self.asset_id, self.index, &self.outgoing),
            Next::Ask => plan_standing(call.id, &self.upload),
            Next::Append { offset, length } => {
                plan_append(call.id, &self.upload, &self.outgoing.source, offset, length)
            }
        }
    }

    /// Where the present append begins.
    pub(super) fn begins_at(&self) -> u64 {
        match self.next {
            Next::Append { offset, .. } => offset,
            Next::Create | Next::Ask => 0,
        }
    }

    /// Takes note of what a request handed to the network; answers how much of it had been handed over before.
    pub(super) fn account(&mut self, sent_bytes: u64) -> u64 {
        let Next::Append { offset, .. } = self.next else { return 0 };
        let end = offset + sent_bytes;
        let resent_bytes = self.sent_until.min(end).saturating_sub(offset);
        self.sent_until = self.sent_until.max(end);
        resent_bytes
    }
}

impl Window<'_> {
    /// Begins an attempt at one piece.
    pub(super) fn start_piece(&mut self, step: ReadyStep) -> Result<(), Halt> {
        if !self.begin(&step)? {
            return Ok(());
        }
        let (Some(asset_id), Some(index)) = (step.asset_id, step.piece_index) else {
            return self.end_without_subject(&step);
        };
        let outgoing = match self.store.piece(asset_id, index) {
            Ok(outgoing) => outgoing,
            Err(error) => return self.unreadable(&step, error),
        };
        let known = self.store.upload(asset_id, index)?.filter(|upload| self.is_usable(upload));
        let (attempt, action) = Attempt::begin(outgoing.sealed_bytes, known.is_some());
        let upload = known.unwrap_or_else(|| Upload {
            url: String::new(),
            capability: Secret::new(Vec::new()),
            expires: UnixMs(0),
        });
        let piece = PieceJob { step, asset_id, index, outgoing, upload, attempt, next: Next::Create, sent_until: 0 };
        self.proceed(Box::new(piece), action)
    }

    /// A remembered upload is of use if it is at this server (the enrolment may have moved) and its capability lives.
    fn is_usable(&self, upload: &Upload) -> bool {
        self.origin.is_home_of(&upload.url) && upload.expires > self.session.server_now(self.now())
    }

    pub(super) fn piece_answered(&mut self, mut piece: Box<PieceJob>, response: &Response) -> Result<(), Halt> {
        let answer = match piece.next {
            Next::Create => match read_create(response, &self.origin) {
                Ok(created) => {
                    self.store.save_upload(piece.asset_id, piece.index, Some(&created.upload))?;
                    piece.upload = created.upload;
                    Answer::Created { offset: created.offset }
                }
                Err(error) => Answer::Error(error),
            },
            Next::Ask => read_standing(response).map_or_else(Answer::Error, Answer::Standing),
            Next::Append { offset, length } => read_append(response)
                .map_or_else(Answer::Error, |has| Answer::Appended { offset: has, expected: offset + length }),
        };
        if let Answer::Error(error) = &answer {
            self.note_piece_trouble(error);
        }
        let action = piece.attempt.next(answer);
        self.proceed(piece, action)
    }

    /// The connection broke although the server can be reached.
    pub(super) fn piece_broken(&mut self, mut piece: Box<PieceJob>, outcome: Outcome) -> Result<(), Halt> {
        let action = piece.attempt.next(Answer::Broken(outcome));
        self.proceed(piece, action)
    }

    fn note_piece_trouble(&mut self, error: &ApiError) {
        self.note_trouble(&verdict::of_error(error));
    }

    /// Does what the upload needs next.
    fn proceed(&mut self, mut piece: Box<PieceJob>, action: Action) -> Result<(), Halt> {
        piece.next = match action {
            Action::Create => Next::Create,
            Action::Ask => Next::Ask,
            Action::Append { offset } => {
                let length = (piece.outgoing.sealed_bytes - offset).min(self.allowance());
                if length == 0 {
                    self.draining = Some(StoppedBecause::BudgetBytes);
                    return self.put_back(&Job::Piece(piece), &Reason::new(ReasonCode::WindowEnded));
                }
                Next::Append { offset, length }
            }
            Action::Received => {
                self.received += 1;
                self.bytes_received += piece.outgoing.sealed_bytes;
                return self.end(&piece.step, Outcome::Done, Some(PieceEvent::Arrived)).map(|_| ());
            }
            Action::End(outcome) => {
                let piece_event = Some(piece_event_of(&outcome));
                return self.end(&piece.step, outcome, piece_event).map(|_| ());
            }
        };
        self.launch(Job::Piece(piece), 0)
    }
}
