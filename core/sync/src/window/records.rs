//! Records in batches.

use snaptrak_domain::outcome::Outcome;
use snaptrak_domain::queue_store::ReadyStep;
use snaptrak_domain::record::Record;
use snaptrak_domain::transport::Response;
use snaptrak_domain::{Reason, ReasonCode, StepKind, limits};

use crate::api::records::{RecordResult, read_send};
use crate::verdict::{self, Verdict};

use super::flight::Job;
use super::{Halt, Window};

/// Bytes of a batch: with long notes a hundred records would be megabytes, which a bad network should not lose at once.
const BATCH_BYTES_MAX: usize = 1 << 20;

impl Window<'_> {
    /// Begins one batch of what is ready.
    pub(super) fn start_records(&mut self) -> Result<(), Halt> {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for step in self.ready(StepKind::SendRecord, limits::RECORDS_BATCH_MAX)? {
            if !self.may_send() {
                break;
            }
            let record = match self.store.record(step.capture_id) {
                Ok(record) => record,
                Err(error) => {
                    self.unreadable(&step, error)?;
                    continue;
                }
            };
            batch_bytes += serde_json::to_vec(&record).map_or(0, |json| json.len());
            if !batch.is_empty() && batch_bytes > BATCH_BYTES_MAX {
                break;
            }
            if self.begin(&step)? {
                batch.push((step, record));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.launch(Job::Records(batch), 0)
    }

    /// The store could not give what a step sends: the step's matter if the store says so, else the window's.
    pub(super) fn unreadable(
        &mut self,
        step: &ReadyStep,
        error: snaptrak_domain::queue_store::QueueError,
    ) -> Result<(), Halt> {
        let Some(outcome) = verdict::of_queue_error(&error) else { return Err(error.into()) };
        if self.active.contains(&step.step_id) || self.begin(step)? {
            let piece_event = (step.kind == StepKind::SendPiece).then(|| super::flight::piece_event_of(&outcome));
            self.end(step, outcome, piece_event)?;
        }
        Ok(())
    }

    pub(super) fn records_answered(
        &mut self,
        mut items: Vec<(ReadyStep, Record)>,
        response: &Response,
    ) -> Result<(), Halt> {
        let results = match read_send(response) {
            Ok(results) => results,
            Err(error) => {
                let refused = matches!(verdict::of_error(&error), Verdict::Refused(_));
                if refused && items.len() > 1 {
                    // Some record made the server refuse the whole batch: halves find it, and the others pass.
                    let second = items.split_off(items.len() / 2);
                    self.launch(Job::Records(items), 0)?;
                    return self.launch(Job::Records(second), 0);
                }
                return self.end_refused(items.into_iter().map(|(step, _)| step).collect(), &error);
            }
        };
        // Their pieces wait for nothing else.
        self.more_may_leave = true;
        for (step, _) in items {
            let outcome = match results.get(&step.capture_id) {
                Some(RecordResult::Held) => Outcome::Done,
                Some(RecordResult::Refused(code)) => Outcome::Refused(
                    Reason::new(ReasonCode::ServerRefused)
                        .with_status(response.status)
                        .with("server_code", code.clone()),
                ),
                Some(RecordResult::Unknown) | None => Outcome::Failed {
                    reason: Reason::new(ReasonCode::ProtocolError).with_status(response.status),
                    retry_after_ms: None,
                },
            };
            self.end(&step, outcome, None)?;
        }
        Ok(())
    }
}
