//! Findings, as amendments of a record.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::queue_store::ReadyStep;
use snaptrak_domain::transport::Response;

use crate::api::findings::read_send;

use super::flight::Job;
use super::{Halt, Window};

impl Window<'_> {
    /// Begins the findings of one capture.
    pub(super) fn start_findings(&mut self, step: ReadyStep) -> Result<(), Halt> {
        if !self.begin(&step)? {
            return Ok(());
        }
        match self.store.findings(step.capture_id) {
            // Nothing was found by any model, so that there is nothing to amend.
            Ok(findings) if findings.is_empty() => self.end(&step, Outcome::Done, None).map(|_| ()),
            Ok(findings) => self.launch(Job::Findings(step, findings), 0),
            Err(error) => self.unreadable(&step, error),
        }
    }

    pub(super) fn findings_answered(&mut self, step: &ReadyStep, response: &Response) -> Result<(), Halt> {
        match read_send(response) {
            Ok(()) => self.end(step, Outcome::Done, None).map(|_| ()),
            Err(error) => self.end_refused(vec![step.clone()], &error),
        }
    }
}
