//! How the queue stands: few numbers, cheap to read again after each change.

use crate::{
    Store, StoreError, StoreStatus,
    queue::{backlog, enrolment},
    status,
};
use rusqlite::Connection;
use snaptrak_domain::{ReasonCode, UnixMs};
use std::collections::BTreeMap;

/// How the queue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueHealth {
    /// Captures by the state of their original; every state is there.
    pub by_state: BTreeMap<&'static str, u64>,
    /// Captures that are still on their way.
    pub waiting: u64,
    /// Sealed bytes of theirs that the server does not hold yet.
    pub waiting_bytes: u64,
    /// When the oldest of them was captured.
    pub oldest: Option<UnixMs>,
    /// When something that failed is tried again by itself.
    pub next_try: Option<UnixMs>,
    /// What holds up everything: nobody has enrolled, or what the last sync ran into. Why one capture waits is
    /// [`Store::why`]'s to say.
    pub blocked_by: Option<ReasonCode>,
}

impl Store {
    /// How the queue stands, all of it of one moment.
    pub fn queue_health(&self, now: UnixMs) -> Result<QueueHealth, StoreError> {
        self.read(|connection| queue_health(connection, now))
    }
}

fn queue_health(connection: &Connection, now: UnixMs) -> Result<QueueHealth, StoreError> {
    let StoreStatus { by_state, waiting, waiting_bytes, oldest, .. } = status::status(connection)?;
    let blocked_by = if enrolment::exists(connection)? {
        enrolment::sync_block(connection)?.map(|block| block.reason.code)
    } else {
        Some(ReasonCode::NotEnrolled)
    };
    let next_try = backlog::backlog(connection, now)?.next_try;
    Ok(QueueHealth { by_state, waiting, waiting_bytes, oldest, next_try, blocked_by })
}
