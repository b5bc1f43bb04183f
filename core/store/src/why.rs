//! Why a capture is not verified yet: always one answer, found by looking in a fixed order.

use crate::{
    Store, StoreError,
    queue::{enqueue, enrolment, step_row, step_row::StepRow},
    rows,
};
use rusqlite::{Connection, params};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, Reason, ReasonCode, Rendition, StepKind, StepState, UnixMs, backoff,
    limits::BACKOFF_CAP_MS,
};

/// Where a capture stands and why it goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// State of its original.
    pub state: AssetState,
    /// Why.
    pub reason: Reason,
    /// Since when it is so.
    pub since: UnixMs,
    /// When something will be tried again by itself.
    pub next_try: Option<UnixMs>,
}

impl Why {
    /// What would let it go on, as a word.
    pub fn unblocked_by(&self) -> &'static str {
        self.reason.code.unblocked_by()
    }

    /// What the server answered last, if it is the reason.
    pub fn server_status(&self) -> Option<u16> {
        self.reason.server_status
    }
}

impl Store {
    /// Why the original of a capture is not verified.
    pub fn why(&self, capture_id: CaptureId, now: UnixMs) -> Result<Why, StoreError> {
        let is_being_recorded = |asset_id| self.inner.keys.is_being_recorded(asset_id);
        self.read(|connection| why(connection, capture_id, now, is_being_recorded))
    }
}

/// Looks in this order: what is decided for good; a recording that broke off and could not be closed yet; a step of its own that was set aside; what holds up everything (nobody has
/// enrolled, sync says why it cannot run); a delay; work under way; the server's checking; a recording that goes on; else it
/// waits for its turn.
pub(crate) fn why(
    connection: &Connection,
    capture_id: CaptureId,
    now: UnixMs,
    is_being_recorded: impl Fn(AssetId) -> bool,
) -> Result<Why, StoreError> {
    let (asset_id, state, since, closed): (_, _, _, bool) = rows::first(
        connection,
        "SELECT id, state, state_since_ms, closed FROM asset WHERE capture_id = ?1 AND rendition = ?2",
        params![capture_id.as_bytes(), Rendition::Original.as_str()],
        |row| Ok((rows::asset_id(row, 0)?, rows::word(row, 1, "asset state")?, rows::unix_ms(row, 2)?, row.get(3)?)),
    )?
    .ok_or(StoreError::Missing { what: "capture" })?;
    let of_asset = |code| Why { state, reason: Reason::new(code), since, next_try: None };
    let mut steps = step_row::of_capture(connection, capture_id)?;
    if let Some(code) = settled_code(state) {
        let mut settled = of_asset(code);
        let sent =
            steps.iter().filter(|step| step.kind == StepKind::SendPiece && step.state == StepState::Done).count();
        if code == ReasonCode::Cancelled && sent > 0 {
            // Taken back after some of it had left: the server keeps these pieces of a capture without an end.
            settled.reason = settled.reason.with("pieces_at_server", sent.to_string());
        }
        return Ok(settled);
    }
    if !closed && !is_being_recorded(asset_id) {
        return Ok(of_asset(ReasonCode::RecordingBrokeOff));
    }
    steps.retain(|step| step.kind.blocks_verification() && step.asset_id.is_none_or(|id| id == asset_id));
    if let Some(parked) = steps.iter().find(|step| step.state == StepState::Parked) {
        return Ok(of_step(state, parked, ReasonCode::ServerRefused));
    }
    if !enrolment::exists(connection)? {
        return Ok(of_asset(ReasonCode::NotEnrolled));
    }
    if let Some(block) = enrolment::sync_block(connection)? {
        return Ok(Why { state, reason: block.reason, since: block.since_ms, next_try: None });
    }
    let otherwise = if closed { ReasonCode::Waiting } else { ReasonCode::Recording };
    Ok(under_way(state, &steps, now).unwrap_or_else(|| of_asset(otherwise)))
}

/// The code of a state in which nothing is to be done.
fn settled_code(state: AssetState) -> Option<ReasonCode> {
    match state {
        AssetState::Verified | AssetState::Purged => Some(ReasonCode::Verified),
        AssetState::Withheld => Some(ReasonCode::WithheldByPolicy),
        AssetState::Cancelled => Some(ReasonCode::Cancelled),
        AssetState::Recording
        | AssetState::Saved
        | AssetState::Prepared
        | AssetState::Queued
        | AssetState::Sending
        | AssetState::Received
        | AssetState::Parked => None,
    }
}

/// What the capture's own steps say, once nothing holds up the whole queue.
fn under_way(state: AssetState, steps: &[StepRow], now: UnixMs) -> Option<Why> {
    let waiting = || steps.iter().filter(|step| step.state == StepState::Waiting);
    let is_open = |until| !backoff::is_over(until, now, BACKOFF_CAP_MS);
    // The latest of the delays is the one that decides.
    let delayed = waiting().filter(|step| step.not_before.is_some_and(is_open)).max_by_key(|step| step.not_before);
    if let Some(step) = delayed {
        return Some(of_step(state, step, ReasonCode::Waiting));
    }
    if let Some(step) = steps.iter().find(|step| step.state == StepState::Running) {
        return Some(Why { state, reason: Reason::new(ReasonCode::InFlight), since: step.since, next_try: None });
    }
    if let Some(step) = waiting().find(|step| step.waits_for == 0 && step.reason.is_some()) {
        return Some(of_step(state, step, ReasonCode::Waiting));
    }
    let receipt = waiting().find(|step| step.kind == StepKind::FetchReceipt && step.waits_for == 0)?;
    let reason = Reason::new(ReasonCode::VerificationPending);
    Some(Why { state, reason, since: receipt.since, next_try: None })
}

fn of_step(state: AssetState, step: &StepRow, default: ReasonCode) -> Why {
    let reason = step.reason.clone().unwrap_or_else(|| Reason::new(default));
    let next_try =
        step.not_before.filter(|_| step.state != StepState::Parked || enqueue::revives_by_itself(step.reason.as_ref()));
    // A step that fails again and again has its trouble since the first failure.
    let since = step.failed_since.filter(|_| step.failures > 0).unwrap_or(step.since);
    Why { state, reason, since, next_try }
}
