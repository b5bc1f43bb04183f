//! How much of the queue is left.

use super::{ready, tally};
use crate::StoreError;
use rusqlite::Connection;
use snaptrak_domain::{AssetState, StepKind, UnixMs, queue_store::Backlog};

/// Whether an original in this state is still on its way.
pub(crate) fn is_waiting(state: AssetState) -> bool {
    match state {
        AssetState::Recording
        | AssetState::Saved
        | AssetState::Prepared
        | AssetState::Queued
        | AssetState::Sending
        | AssetState::Received => true,
        AssetState::Verified
        | AssetState::Purged
        | AssetState::Withheld
        | AssetState::Parked
        | AssetState::Cancelled => false,
    }
}

/// What is left, in captures and bytes, and when a delayed step comes back.
pub(crate) fn backlog(connection: &Connection, now: UnixMs) -> Result<Backlog, StoreError> {
    let mut backlog = Backlog::default();
    for tally in tally::originals(connection)? {
        if is_waiting(tally.state) {
            backlog.captures += tally.assets;
            backlog.bytes += tally.unsent_bytes;
        } else if tally.state == AssetState::Parked {
            backlog.parked += tally.assets;
        }
    }
    for kind in StepKind::ALL.into_iter().filter(|kind| kind.is_sending()) {
        let next = ready::next_try(connection, kind, now)?;
        backlog.next_try = [backlog.next_try, next].into_iter().flatten().min();
    }
    Ok(backlog)
}
