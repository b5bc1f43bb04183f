//! Envelopes.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::queue_store::ReadyStep;
use snaptrak_domain::transport::Response;
use snaptrak_domain::{Reason, ReasonCode};

use crate::api::envelopes::{WRAP_UNKNOWN_KEY, read_send};

use super::flight::Job;
use super::{Halt, Window};

impl Window<'_> {
    /// Begins one envelope; the store adds the wraps that are missing.
    pub(super) fn start_envelope(&mut self, step: ReadyStep) -> Result<(), Halt> {
        if !self.begin(&step)? {
            return Ok(());
        }
        let Some(asset_id) = step.asset_id else { return self.end_without_subject(&step) };
        match self.store.envelope(asset_id, &self.recipients) {
            Ok(envelope) => self.launch(Job::Envelope(step, asset_id, envelope), 0),
            Err(error) => self.unreadable(&step, error),
        }
    }

    pub(super) fn envelope_answered(&mut self, step: &ReadyStep, response: &Response) -> Result<(), Halt> {
        match read_send(response) {
            Ok(()) => self.end(step, Outcome::Done, None).map(|_| ()),
            Err(error) => {
                let stale = error.code == WRAP_UNKNOWN_KEY;
                self.end_refused(vec![step.clone()], &error)?;
                if stale {
                    // The organisation has a new upload key: the next attempt wraps for it.
                    self.renew_trust()?;
                }
                Ok(())
            }
        }
    }

    /// A step that lacks what its kind needs: a damaged row, which is set aside like any damage.
    pub(super) fn end_without_subject(&mut self, step: &ReadyStep) -> Result<(), Halt> {
        let reason = Reason::new(ReasonCode::LocalDamaged).with("detail", "step_without_subject");
        self.end(step, Outcome::Refused(reason), None).map(|_| ())
    }
}
