//! The queue: [`QueueStore`] for a [`Store`].
//!
//! This file calls and converts; each idea has a file of its own below. Every call is one short transaction, or several that
//! are each complete in themselves.

pub(crate) mod backlog;
pub(crate) mod countersigned;
pub(crate) mod derive;
pub(crate) mod end;
pub(crate) mod enqueue;
pub(crate) mod enrolment;
pub(crate) mod lease;
pub(crate) mod outgoing;
pub(crate) mod piece_row;
pub(crate) mod ready;
pub(crate) mod recorded;
mod sealed_fields;
pub(crate) mod send_again;
pub(crate) mod step_row;
pub(crate) mod steps;
pub(crate) mod tally;
mod upload;

#[cfg(test)]
mod tests;

use crate::{Store, StoreError};
use enqueue::Leaving;
use enrolment::SessionRow;
use snaptrak_domain::{
    AssetId, CaptureId, Finding, Reason, Sha256Digest, StepKind, UnixMs,
    queue_store::{
        AttemptEnd, Backlog, Enrolment, ExpectedReceipt, OutgoingEnvelope, OutgoingPiece, QueueError, QueueStore,
        ReadyStep, Recipient, SavedSession, Upload,
    },
    record::Record,
    step::StepNext,
};

/// Ends in one transaction: a batch of records or receipts, with room.
const ENDS_PER_TRANSACTION: usize = 256;

impl QueueStore for Store {
    fn enrolment(&self) -> Result<Option<Enrolment>, QueueError> {
        Ok(self.read_unsettled(enrolment::load)?)
    }

    fn save_enrolment(&self, enrolment: &Enrolment, trust_bundle: &[u8]) -> Result<(), QueueError> {
        let (enrolment, bundle) = (enrolment.clone(), trust_bundle.to_vec());
        Ok(self.write_with_lines(move |tx, lines| {
            enrolment::save(tx, &enrolment, &bundle)?;
            tx.announce_queue();
            lines.entry(&enrolment::entry(tx)?);
            Ok(())
        })?)
    }

    fn session(&self) -> Result<Option<SavedSession>, QueueError> {
        match self.read_unsettled(enrolment::session)? {
            None => Ok(None),
            Some(SessionRow::Provided) => Ok(Some(SavedSession::Provided)),
            Some(SessionRow::SealedTokens(sealed)) => {
                let joined = self.open_small(enrolment::TOKENS_PURPOSE, &sealed)?;
                Ok(Some(SavedSession::Tokens(enrolment::split_tokens(&joined)?)))
            }
        }
    }

    fn save_session(&self, session: Option<&SavedSession>) -> Result<(), QueueError> {
        let row = match session {
            None => None,
            Some(SavedSession::Provided) => Some(SessionRow::Provided),
            Some(SavedSession::Tokens(tokens)) => {
                let joined = enrolment::join_tokens(tokens)?;
                Some(SessionRow::SealedTokens(self.seal_small(enrolment::TOKENS_PURPOSE, &joined)?))
            }
        };
        Ok(self.write(move |tx| enrolment::save_session(tx, row.as_ref()))?)
    }

    fn trust_bundle(&self) -> Result<Option<Vec<u8>>, QueueError> {
        Ok(self.read_unsettled(enrolment::bundle)?)
    }

    fn save_trust_bundle(&self, bundle: &[u8], trust_root: Sha256Digest) -> Result<(), QueueError> {
        let bundle = bundle.to_vec();
        Ok(self.write_with_lines(move |tx, lines| {
            enrolment::save_bundle(tx, &bundle, trust_root)?;
            lines.entry(&enrolment::entry(tx)?);
            Ok(())
        })?)
    }

    fn set_sync_block(&self, reason: Option<&Reason>) -> Result<(), QueueError> {
        let (reason, now) = (reason.cloned(), self.clock().now());
        Ok(self.write(move |tx| {
            tx.announce_queue();
            enrolment::save_sync_block(tx, reason.as_ref(), now)
        })?)
    }

    fn enqueue(&self, now: UnixMs) -> Result<bool, QueueError> {
        let leaving = self.read(|connection| {
            if enrolment::exists(connection)? { enqueue::choose(connection, now) } else { Ok(Leaving::default()) }
        })?;
        let more = leaving.more;
        if !leaving.is_empty() {
            self.write(move |tx| enqueue::let_out(tx, &leaving, now))?;
        }
        Ok(more)
    }

    fn ready(&self, kind: StepKind, now: UnixMs, limit: usize) -> Result<Vec<ReadyStep>, QueueError> {
        let at = self.clock().instant();
        let ended = self.read(|connection| lease::ended(connection, kind, &at))?;
        if !ended.is_empty() {
            self.write(move |tx| ended.into_iter().try_for_each(|step_id| lease::end_if_over(tx, step_id, &at, now)))?;
        }
        Ok(self.read(|connection| ready::ready(connection, kind, now, limit))?)
    }

    fn begin(&self, step_id: i64, now: UnixMs, lease_ms: i64) -> Result<(), QueueError> {
        let times = lease::LeaseTimes { wall: now, at: self.clock().instant(), lease_ms };
        Ok(self.write(move |tx| lease::begin(tx, step_id, &times))?)
    }

    fn end(&self, end: AttemptEnd) -> Result<StepNext, QueueError> {
        Ok(self.write(move |tx| end::end(tx, &end))?)
    }

    fn end_all(&self, ends: Vec<AttemptEnd>) -> Result<(), QueueError> {
        for chunk in ends.chunks(ENDS_PER_TRANSACTION) {
            let chunk = chunk.to_vec();
            self.write(move |tx| chunk.iter().try_for_each(|end| end::end(tx, end).map(|_| ())))?;
        }
        Ok(())
    }

    fn backlog(&self, now: UnixMs) -> Result<Backlog, QueueError> {
        Ok(self.read(|connection| backlog::backlog(connection, now))?)
    }

    fn record(&self, capture_id: CaptureId) -> Result<Record, QueueError> {
        Ok(self.read(|connection| outgoing::record(connection, capture_id))?)
    }

    fn envelope(&self, asset_id: AssetId, recipients: &[Recipient]) -> Result<OutgoingEnvelope, QueueError> {
        Ok(self.outgoing_envelope(asset_id, recipients)?)
    }

    fn piece(&self, asset_id: AssetId, index: u32) -> Result<OutgoingPiece, QueueError> {
        Ok(self.outgoing_piece(asset_id, index)?)
    }

    fn findings(&self, capture_id: CaptureId) -> Result<Vec<Finding>, QueueError> {
        Ok(self.read(|connection| outgoing::findings(connection, capture_id))?)
    }

    fn upload(&self, asset_id: AssetId, index: u32) -> Result<Option<Upload>, QueueError> {
        let Some(sealed) = self.read(|connection| upload::load(connection, asset_id, index))? else { return Ok(None) };
        let joined = self.open_small(&upload::purpose(asset_id, index), &sealed)?;
        Ok(Some(upload::split(&joined)?))
    }

    fn save_upload(&self, asset_id: AssetId, index: u32, upload: Option<&Upload>) -> Result<(), QueueError> {
        let sealed = match upload {
            Some(upload) => Some(self.seal_small(&upload::purpose(asset_id, index), &upload::join(upload)?)?),
            None => None,
        };
        Ok(self.write(move |tx| upload::save(tx, asset_id, index, sealed.as_deref()))?)
    }

    fn expected_receipt(&self, asset_id: AssetId) -> Result<ExpectedReceipt, QueueError> {
        let wrap_key_ids = self.organisation_key_ids(asset_id)?;
        Ok(self.read(|connection| countersigned::expected(connection, asset_id, wrap_key_ids))?)
    }

    fn save_countersigned(&self, step_id: i64, countersigned: &[u8], now: UnixMs) -> Result<(), QueueError> {
        let bytes = countersigned.to_vec();
        let asset_id = self.write_with_lines(move |tx, lines| countersigned::save(tx, lines, step_id, &bytes, now))?;
        // The row is the receipt's home; its copy in the envelope is for the day on which the database is gone.
        if let Err(error) = self.copy_receipt_into_envelope(asset_id) {
            tracing::info!(%asset_id, %error, "the envelope goes without its receipt for now");
        }
        Ok(())
    }

    fn send_again(&self, asset_id: AssetId, pieces: Option<&[u32]>, now: UnixMs) -> Result<(), QueueError> {
        let pieces = pieces.map(<[u32]>::to_vec);
        Ok(self.write(move |tx| send_again::send_again(tx, asset_id, pieces.as_deref(), now))?)
    }
}

/// Ends every lease, for opening under the store's lock: whoever held one is dead.
pub(crate) fn void_leases(store: &Store) -> Result<(), StoreError> {
    let now = store.clock().now();
    store.write(move |tx| lease::void_all(tx, now))
}
