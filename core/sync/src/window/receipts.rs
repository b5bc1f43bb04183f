//! Receipts: asks how the server's verification went, checks what it signed, and follows its answer.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::queue_store::{QueueError, ReadyStep};
use snaptrak_domain::transport::Response;
use snaptrak_domain::{AssetId, Reason, ReasonCode, StepKind, StepState, limits};

use crate::api::receipts::{ReceiptState, read_ask};
use crate::countersign::{self, CountersignError};

use super::flight::Job;
use super::{Halt, Window};

/// The first question comes right after the last piece; a photo is verified within this.
const POLL_FIRST_MS: i64 = 150;
/// Later questions come at this distance at most.
const POLL_CAP_MS: i64 = 30_000;
/// A receipt that waits for this device's signer is asked about again after this, or as soon as it is signed: longer than a window
/// waits for anything.
const UNSIGNED_MS: i64 = 60_000;
/// While other work is under way a question waits for company: one about many instead of one about each.
pub(super) const ASK_EVERY_MS: i64 = 250;
/// Answers "pieces are missing" before they are sent again: the server may only be slow to notice what it has.
const MISSING_POLLS: u32 = 4;

impl Window<'_> {
    /// Begins one question about everything whose receipt may be there.
    pub(super) fn start_receipts(&mut self) -> Result<(), Halt> {
        let at = self.line.clock.monotonic();
        let just_asked = self.receipts_asked.is_some_and(|last| at.0.saturating_sub(last.0) < ASK_EVERY_MS);
        self.question_waits = just_asked && !self.flights.is_empty();
        if self.question_waits {
            return Ok(());
        }
        let mut batch = Vec::new();
        for step in self.ready(StepKind::FetchReceipt, limits::RECEIPTS_BATCH_MAX)? {
            if !self.may_send() {
                break;
            }
            if !self.begin(&step)? {
                continue;
            }
            match step.asset_id {
                Some(asset_id) => batch.push((step, asset_id)),
                None => self.end_without_subject(&step)?,
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.receipts_asked = Some(at);
        self.launch(Job::Receipts(batch), 0)
    }

    pub(super) fn receipts_answered(
        &mut self,
        items: Vec<(ReadyStep, AssetId)>,
        response: &Response,
    ) -> Result<(), Halt> {
        let mut states = match read_ask(response) {
            Ok(states) => states,
            Err(error) => return self.end_refused(items.into_iter().map(|(step, _)| step).collect(), &error),
        };
        for (step, asset_id) in items {
            match states.remove(&asset_id) {
                Some(ReceiptState::Verified(countersigned)) => self.verified(&step, asset_id, &countersigned)?,
                Some(ReceiptState::Pending { missing: false, unsigned: true }) => self.unsigned(&step, asset_id)?,
                Some(ReceiptState::Pending { missing, unsigned: _ }) => self.pending(&step, asset_id, missing)?,
                Some(ReceiptState::Failed { code, piece }) => self.failed(&step, asset_id, &code, piece)?,
                Some(ReceiptState::Unknown) | None => {
                    let reason = Reason::new(ReasonCode::ProtocolError).with_status(response.status);
                    self.end(&step, Outcome::Failed { reason, retry_after_ms: None }, None)?;
                }
            }
        }
        Ok(())
    }

    fn verified(&mut self, step: &ReadyStep, asset_id: AssetId, countersigned: &[u8]) -> Result<(), Halt> {
        let expected = match self.store.expected_receipt(asset_id) {
            Ok(expected) => expected,
            Err(error) => return self.unreadable(step, error),
        };
        let organisation_id = self.enrolment.organisation_id;
        let mut checked = self.check(countersigned, organisation_id, asset_id, &expected);
        if checked == Err(CountersignError::UnknownKey) && self.renew_trust()? {
            checked = self.check(countersigned, organisation_id, asset_id, &expected);
        }
        match checked {
            Ok(()) => {
                self.store.save_countersigned(step.step_id, countersigned, self.now())?;
                self.active.remove(&step.step_id);
                self.polls.remove(&step.step_id);
                self.trouble.over();
                self.verified += 1;
                self.verified_captures.insert(step.capture_id);
                Ok(())
            }
            Err(error) => {
                tracing::error!(asset = %asset_id, %error, "a countersignature is not accepted");
                let detail = match error {
                    CountersignError::UnknownKey => "unknown_key",
                    CountersignError::Invalid(_) => "signature",
                    CountersignError::Differs { field } => field,
                };
                let reason = Reason::new(ReasonCode::ReceiptInvalid).with("detail", detail);
                self.end(step, Outcome::Refused(reason), None).map(|_| ())
            }
        }
    }

    fn check(
        &self,
        countersigned: &[u8],
        organisation_id: snaptrak_domain::OrganisationId,
        asset_id: AssetId,
        expected: &snaptrak_domain::queue_store::ExpectedReceipt,
    ) -> Result<(), CountersignError> {
        let trust = self.trust.as_ref().ok_or(CountersignError::UnknownKey)?;
        countersign::check(countersigned, trust, organisation_id, asset_id, expected)
    }

    /// The server has not finished. If it says again and again that something is missing which was sent, it has lost it;
    /// sending it again costs a question a piece, since uploads deduplicate.
    fn pending(&mut self, step: &ReadyStep, asset_id: AssetId, missing: bool) -> Result<(), Halt> {
        let polls = self.polls.entry(step.step_id).or_insert(0);
        *polls += 1;
        let polls = *polls;
        let delay_ms = (POLL_FIRST_MS << (polls - 1).min(16)).min(POLL_CAP_MS);
        let reason = Reason::new(ReasonCode::VerificationPending);
        self.end(step, Outcome::NotYet { reason, retry_after_ms: delay_ms }, None)?;
        if missing && polls >= MISSING_POLLS && !self.closing && self.sent_again.insert(asset_id) {
            tracing::warn!(asset = %asset_id, "the server misses what it has received; it is offered again");
            self.offer_again(asset_id, None)?;
        }
        Ok(())
    }

    /// The envelope left before the signer signed. It goes again, once a window, and asks the signer again; a signer that still does
    /// not sign is nothing to wait for here.
    fn unsigned(&mut self, step: &ReadyStep, asset_id: AssetId) -> Result<(), Halt> {
        let reason = Reason::new(ReasonCode::VerificationPending);
        self.polls.entry(step.step_id).or_insert(0);
        if self.closing || !self.signed_again.insert(asset_id) {
            let outcome = Outcome::NotYet { reason, retry_after_ms: UNSIGNED_MS };
            return self.end(step, outcome, None).map(|_| ());
        }
        tracing::info!(asset = %asset_id, "the server waits for this device's signature");
        self.end(step, Outcome::NotYet { reason, retry_after_ms: 0 }, None)?;
        Ok(self.store.send_again(asset_id, Some(&[]), self.now())?)
    }

    /// A server that names a piece which the asset does not have is offered all of them.
    fn offer_again(&self, asset_id: AssetId, piece: Option<u32>) -> Result<(), Halt> {
        let named = piece.map(|index| [index]);
        let named = named.as_ref().map(|one| one.as_slice());
        match self.store.send_again(asset_id, named, self.now()) {
            Err(QueueError::Missing { .. }) if named.is_some() => self.store.send_again(asset_id, None, self.now())?,
            answer => answer?,
        }
        Ok(())
    }

    fn failed(&mut self, step: &ReadyStep, asset_id: AssetId, code: &str, piece: Option<u32>) -> Result<(), Halt> {
        let reason = |word: ReasonCode| Reason::new(word).with("server_code", code);
        tracing::warn!(asset = %asset_id, code, "the server's verification failed");
        match code {
            "sealed_mismatch" => {
                // Counted as a failure, so that bytes that never arrive right are set aside in the end.
                let outcome = Outcome::Failed { reason: reason(ReasonCode::SealedMismatch), retry_after_ms: None };
                let next = self.end(step, outcome, None)?;
                if next.state == StepState::Waiting {
                    self.offer_again(asset_id, piece)?;
                }
                Ok(())
            }
            "plaintext_mismatch" => self.refuse(step, reason(ReasonCode::PlaintextMismatch)),
            "envelope_unreadable" => {
                let reason = reason(ReasonCode::EnvelopeRefused);
                if self.lacks_a_wrap(asset_id)? && self.wrapped_again.insert(asset_id) {
                    // The organisation has a new upload key: another wrap, and not a byte of the pieces.
                    self.end(step, Outcome::NotYet { reason, retry_after_ms: 0 }, None)?;
                    return Ok(self.store.send_again(asset_id, Some(&[]), self.now())?);
                }
                self.refuse(step, reason)
            }
            "receipt_invalid" => self.refuse(step, reason(ReasonCode::ReceiptInvalid)),
            _ => self.refuse(step, reason(ReasonCode::ServerRefused)),
        }
    }

    /// Whether the envelope is not wrapped for the upload key of now, by the newest bundle that can be had.
    fn lacks_a_wrap(&mut self, asset_id: AssetId) -> Result<bool, Halt> {
        self.renew_trust()?;
        let wrapped = self.store.expected_receipt(asset_id)?.wrap_key_ids;
        let active = self.trust.as_ref().and_then(|trust| trust.upload_key());
        Ok(active.is_some_and(|key| !wrapped.contains(&key.key_id())))
    }

    fn refuse(&mut self, step: &ReadyStep, reason: Reason) -> Result<(), Halt> {
        self.end(step, Outcome::Refused(reason), None).map(|_| ())
    }
}
