//! Requests under way: which work each belongs to, how it is planned, and to whom its answer goes.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::piece::PieceEvent;
use snaptrak_domain::queue_store::{OutgoingEnvelope, ReadyStep};
use snaptrak_domain::record::Record;
use snaptrak_domain::transport::{Response, TransferError, TransferEvent, TransferId};
use snaptrak_domain::{AssetId, Finding, Reason, ReasonCode};

use crate::api::{self, ApiError, Call, body_bytes};
use crate::report::StoppedBecause;
use crate::session::{Generation, OnUnauthorised, RefreshError};
use crate::verdict::{self, Verdict};

use super::pieces::PieceJob;
use super::{Halt, Window};

/// How often one piece of work is sent again after a 401, before it counts as a failure of its own: once for an expired
/// token, once for a token that expired while it waited.
const UNAUTHORISED_MAX: u8 = 2;

/// Work that takes one request, or for pieces one after another.
pub(super) enum Job {
    /// A batch of records.
    Records(Vec<(ReadyStep, Record)>),
    /// An asset's envelope.
    Envelope(ReadyStep, AssetId, OutgoingEnvelope),
    /// What was found in a capture.
    Findings(ReadyStep, Vec<Finding>),
    /// A piece.
    Piece(Box<PieceJob>),
    /// A question about many assets.
    Receipts(Vec<(ReadyStep, AssetId)>),
}

impl Job {
    /// The steps that wait for it.
    fn steps(&self) -> Vec<&ReadyStep> {
        match self {
            Self::Records(items) => items.iter().map(|(step, _)| step).collect(),
            Self::Envelope(step, ..) | Self::Findings(step, _) => vec![step],
            Self::Piece(piece) => vec![&piece.step],
            Self::Receipts(items) => items.iter().map(|(step, _)| step).collect(),
        }
    }

    fn operation(&self) -> &'static str {
        match self {
            Self::Records(_) => "records",
            Self::Envelope(..) => "envelope",
            Self::Findings(..) => "findings",
            Self::Piece(_) => "piece",
            Self::Receipts(_) => "receipts",
        }
    }
}

/// A request under way.
pub(super) struct Flight {
    pub(super) job: Job,
    /// Which access token it carries; `None` if it carries a capability.
    pub(super) generation: Option<Generation>,
    unauthorised: u8,
    pub(super) body_bytes: u64,
}

impl Window<'_> {
    /// Sends a piece of work on its way.
    pub(super) fn launch(&mut self, job: Job, unauthorised: u8) -> Result<(), Halt> {
        if self.closing {
            return self.put_back(&job, &Reason::new(ReasonCode::WindowEnded));
        }
        let id = self.line.next_id();
        let (access, generation) = self.session.access();
        let call = Call { origin: &self.origin, id, access: Some(access) };
        let plan = match &job {
            Job::Records(items) => {
                let records: Vec<Record> = items.iter().map(|(_, record)| record.clone()).collect();
                api::records::plan_send(&call, &records)
            }
            Job::Envelope(_, asset_id, envelope) => api::envelopes::plan_send(&call, *asset_id, envelope),
            Job::Findings(step, findings) => api::findings::plan_send(&call, step.capture_id, findings),
            Job::Piece(piece) => piece.plan(&call),
            Job::Receipts(items) => {
                let assets: Vec<AssetId> = items.iter().map(|(_, asset_id)| *asset_id).collect();
                api::receipts::plan_ask(&call, &assets)
            }
        };
        let generation = match &job {
            Job::Piece(piece) if !piece.uses_session() => None,
            Job::Records(_) | Job::Envelope(..) | Job::Findings(..) | Job::Piece(_) | Job::Receipts(_) => {
                Some(generation)
            }
        };
        let body_bytes = body_bytes(&plan.body);
        self.flights.insert(id, Flight { job, generation, unauthorised, body_bytes });
        self.idle_rests = 0;
        self.line.start(plan);
        Ok(())
    }

    /// Takes one event of the transport.
    pub(super) fn take(&mut self, event: TransferEvent) -> Result<(), Halt> {
        match event {
            TransferEvent::Progress { .. } => Ok(()),
            TransferEvent::Finished { id, result } => {
                let Some(mut flight) = self.flights.remove(&id) else { return Ok(()) };
                let sent_bytes = self.line.sent_bytes(id);
                self.line.forget(id);
                if let Job::Piece(piece) = &mut flight.job {
                    self.bytes_resent += piece.account(sent_bytes);
                }
                match result {
                    Ok(response) => self.answered(flight, &response),
                    Err(error) => self.unanswered(flight, &error),
                }
            }
        }
    }

    fn answered(&mut self, flight: Flight, response: &Response) -> Result<(), Halt> {
        tracing::debug!(operation = flight.job.operation(), status = response.status, "answered");
        if let Some(generation) = flight.generation {
            if response.status == 401 {
                return self.unauthorised(flight, generation, response);
            }
            self.session.accepted(generation);
        }
        match flight.job {
            Job::Records(items) => self.records_answered(items, response),
            Job::Envelope(step, ..) => self.envelope_answered(&step, response),
            Job::Findings(step, _) => self.findings_answered(&step, response),
            Job::Piece(piece) => self.piece_answered(piece, response),
            Job::Receipts(items) => self.receipts_answered(items, response),
        }
    }

    /// A 401 says nothing of the data: the session is renewed once, whoever notices first, and the work sent again.
    fn unauthorised(&mut self, flight: Flight, generation: Generation, response: &Response) -> Result<(), Halt> {
        if self.closing {
            return self.put_back(&flight.job, &Reason::new(ReasonCode::WindowEnded));
        }
        if flight.unauthorised >= UNAUTHORISED_MAX {
            let outcome = verdict::of_error(&ApiError::read(response)).into_outcome();
            return self.end_job(&flight.job, &outcome);
        }
        match self.session.unauthorised(generation) {
            OnUnauthorised::Resend => {}
            OnUnauthorised::GiveUp => {
                self.put_back(&flight.job, &Reason::new(ReasonCode::SignedOut))?;
                return Err(self.signed_out());
            }
            OnUnauthorised::Refresh => {
                if let Err(error) = self.renew_session() {
                    let reason = self.block.clone().unwrap_or_else(|| Reason::new(ReasonCode::WindowEnded));
                    self.put_back(&flight.job, &reason)?;
                    return Err(error);
                }
            }
        }
        self.launch(flight.job, flight.unauthorised + 1)
    }

    /// Renews the session; what cannot be helped ends the window.
    pub(super) fn renew_session(&mut self) -> Result<(), Halt> {
        let renewed = self.session.refresh(&mut self.line, &self.origin, self.store, self.deadline);
        renewed.map_err(|error| match error {
            RefreshError::SignedOut | RefreshError::Refused(_) => self.signed_out(),
            RefreshError::NoToken => {
                self.block = Some(Reason::new(ReasonCode::NoToken));
                Halt::Stop(StoppedBecause::NoToken)
            }
            RefreshError::OtherAccount => {
                self.block = Some(Reason::new(ReasonCode::SignedOut).with("detail", "other_account"));
                Halt::Stop(StoppedBecause::SignedOut)
            }
            RefreshError::Later(error) => {
                let delay_ms = error.retry_after_ms.unwrap_or(0);
                self.due.insert(snaptrak_domain::UnixMs(self.now().0.saturating_add(delay_ms)));
                self.block = match verdict::of_error(&error) {
                    Verdict::Later { reason, .. } | Verdict::Refused(reason) => Some(reason),
                    Verdict::Session => None,
                };
                Halt::Stop(StoppedBecause::WaitingForRetry)
            }
            RefreshError::Transfer(error) => self.lost(&error),
            RefreshError::Queue(error) => error.into(),
        })
    }

    pub(super) fn signed_out(&mut self) -> Halt {
        self.block = Some(Reason::new(ReasonCode::SignedOut));
        Halt::Stop(StoppedBecause::SignedOut)
    }

    /// There was no answer. One probe decides for everything: without a network nothing is at fault and nothing costs an
    /// attempt; with one, this transfer's trouble is its own.
    fn unanswered(&mut self, flight: Flight, error: &TransferError) -> Result<(), Halt> {
        tracing::debug!(operation = flight.job.operation(), %error, "no answer");
        match error {
            TransferError::Offline | TransferError::TimedOut | TransferError::Tls if !self.closing => {
                if let Err(halt) = self.probe() {
                    let reason = self.block.clone().unwrap_or_else(|| Reason::new(ReasonCode::WindowEnded));
                    self.put_back(&flight.job, &reason)?;
                    return Err(halt);
                }
            }
            TransferError::Offline
            | TransferError::TimedOut
            | TransferError::Tls
            | TransferError::Cancelled
            | TransferError::Source
            | TransferError::Destination
            | TransferError::Full
            | TransferError::PlainHttp
            | TransferError::Malformed => {}
        }
        let offline = matches!(error, TransferError::Offline | TransferError::TimedOut | TransferError::Tls);
        if self.closing && offline {
            return self.put_back(&flight.job, &Reason::new(ReasonCode::WindowEnded));
        }
        let outcome = verdict::of_transfer_error(error);
        match (flight.job, outcome) {
            (Job::Piece(piece), outcome @ Outcome::Failed { .. }) if offline => self.piece_broken(piece, outcome),
            (job, outcome) => self.end_job(&job, &outcome),
        }
    }

    /// Asks whether the server can be reached at all.
    fn probe(&mut self) -> Result<(), Halt> {
        let call = Call { origin: &self.origin, id: self.line.next_id(), access: None };
        let plan = api::health::plan_probe(&call);
        match self.line.exchange(plan, self.deadline) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// What the lack of an answer to a question of the window itself means.
    pub(super) fn lost(&mut self, error: &TransferError) -> Halt {
        match error {
            TransferError::Cancelled => match self.check_limits() {
                Err(halt) => halt,
                Ok(()) => Halt::Stop(StoppedBecause::Cancelled),
            },
            // What is no HTTP is something between us and the server, which for now is as good as no network.
            TransferError::Offline
            | TransferError::TimedOut
            | TransferError::Malformed
            | TransferError::Source
            | TransferError::Destination
            | TransferError::Full => {
                self.block = Some(Reason::new(ReasonCode::Offline));
                Halt::Stop(StoppedBecause::Offline)
            }
            TransferError::Tls | TransferError::PlainHttp => {
                self.block = Some(Reason::new(ReasonCode::Offline).with("detail", "no_secure_connection"));
                Halt::Fail(error.clone().into())
            }
        }
    }

    /// Ends every step of a job without an attempt.
    pub(super) fn put_back(&mut self, job: &Job, reason: &Reason) -> Result<(), Halt> {
        self.end_job(job, &Outcome::NotAttempted(reason.clone()))
    }

    /// Ends every step of a job alike.
    pub(super) fn end_job(&mut self, job: &Job, outcome: &Outcome) -> Result<(), Halt> {
        let piece_event = matches!(job, Job::Piece(_)).then(|| piece_event_of(outcome));
        for step in job.steps() {
            self.end(step, outcome.clone(), piece_event)?;
        }
        Ok(())
    }

    /// Ends every step of a batch by what an error says; the trouble is counted once.
    pub(super) fn end_refused(&mut self, steps: Vec<ReadyStep>, error: &ApiError) -> Result<(), Halt> {
        let verdict = verdict::of_error(error);
        self.note_trouble(&verdict);
        let outcome = verdict.into_outcome();
        for step in steps {
            self.end(&step, outcome.clone(), None)?;
        }
        Ok(())
    }

    /// Remembers that the server as a whole is in trouble.
    pub(super) fn note_trouble(&mut self, verdict: &Verdict) {
        if let Verdict::Later { retry_after_ms, server_wide: true, .. } = verdict {
            let (now, jitter) = (self.line.clock.monotonic(), self.jitter());
            self.trouble.happened(now, *retry_after_ms, jitter);
        }
    }

    pub(super) fn is_flying(&self, test: impl Fn(&Job) -> bool) -> usize {
        self.flights.values().filter(|flight| test(&flight.job)).count()
    }

    pub(super) fn flying_ids(&self) -> Vec<TransferId> {
        self.flights.keys().copied().collect()
    }
}

/// What the end of an attempt means for the piece itself.
pub(super) fn piece_event_of(outcome: &Outcome) -> PieceEvent {
    match outcome {
        Outcome::Done => PieceEvent::Arrived,
        Outcome::NotAttempted(_) | Outcome::NotYet { .. } | Outcome::Failed { .. } => PieceEvent::Interrupted,
        Outcome::Refused(_) => PieceEvent::Park,
    }
}
