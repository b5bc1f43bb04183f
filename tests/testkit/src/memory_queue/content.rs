//! What the queue in memory holds, and how an event moves it: the same domain functions as the store's, on a map.

use super::{Content, LANE_BYTES, Piece, Step, missing};
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, PieceState, StepKind, StepState,
    asset::{self, AssetFacts},
    limits::LET_OUT_MAX,
    outcome::Outcome,
    piece::{self, PieceEvent},
    queue_store::{AttemptEnd, QueueError},
    step::{self, StepFacts, StepNext, Wait},
};

impl Content {
    pub(super) fn add_step(
        &mut self,
        kind: StepKind,
        capture_id: CaptureId,
        asset_id: Option<AssetId>,
        piece_index: Option<u32>,
        bytes: u64,
    ) {
        let id = i64::try_from(self.steps.len()).unwrap_or(i64::MAX - 1) + 1;
        let step = Step {
            id,
            kind,
            capture_id,
            asset_id,
            piece_index,
            bytes,
            state: StepState::Waiting,
            attempts: 0,
            failures: 0,
            failed_since: None,
            not_before: None,
            lease_until: None,
            reason: None,
        };
        self.steps.insert(id, step);
        self.steps_of.entry(capture_id).or_default().push(id);
    }

    fn of_capture(&self, capture_id: CaptureId) -> impl Iterator<Item = &Step> {
        self.steps_of.get(&capture_id).into_iter().flatten().filter_map(|id| self.steps.get(id))
    }

    pub(super) fn step(&self, id: i64) -> Result<&Step, QueueError> {
        self.steps.get(&id).map_or_else(|| missing("step"), Ok)
    }

    pub(super) fn capture_of(&self, asset_id: AssetId) -> Result<CaptureId, QueueError> {
        let found = self.captures.iter().find(|(_, capture)| capture.asset_id == asset_id);
        found.map_or_else(|| missing("asset"), |(id, _)| Ok(*id))
    }

    pub(super) fn piece(&mut self, asset_id: AssetId, index: u32) -> Result<&mut Piece, QueueError> {
        let capture_id = self.capture_of(asset_id)?;
        let pieces = self.captures.get_mut(&capture_id).map(|capture| &mut capture.pieces);
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        pieces.and_then(|pieces| pieces.get_mut(place)).map_or_else(|| missing("piece"), Ok)
    }

    pub(super) fn apply(&mut self, step: &Step, event: PieceEvent) {
        let (StepKind::SendPiece, Some(asset_id), Some(index)) = (step.kind, step.asset_id, step.piece_index) else {
            return;
        };
        if let Ok(piece) = self.piece(asset_id, index)
            && let Ok(next) = piece::next(piece.state, event)
        {
            piece.state = next;
        }
    }

    pub(super) fn release(&mut self, id: i64) {
        let Some(step) = self.steps.get_mut(&id) else { return };
        step.state = StepState::Waiting;
        step.lease_until = None;
        let step = step.clone();
        self.apply(&step, PieceEvent::Interrupted);
    }

    pub(super) fn may_begin(&self, step: &Step) -> bool {
        step::waits_for(step.kind).iter().all(|(kind, wait)| {
            let others = self.of_capture(step.capture_id).filter(|other| {
                other.kind == *kind
                    && (other.asset_id.is_none() || step.asset_id.is_none() || other.asset_id == step.asset_id)
            });
            others.into_iter().all(|other| match wait {
                Wait::NeedsSuccess => other.state == StepState::Done,
                Wait::AfterSettled => other.state.is_settled(),
            })
        })
    }

    /// Queues the next sealed pieces, those whose record was sent first; whether more of these are left.
    pub(super) fn let_out(&mut self) -> bool {
        let is_sealed = |step: &&Step| {
            let place = step.piece_index.and_then(|index| usize::try_from(index).ok());
            let capture = self.captures.get(&step.capture_id);
            let piece = capture.zip(place).and_then(|(capture, place)| capture.pieces.get(place));
            step.kind == StepKind::SendPiece
                && step.state == StepState::Waiting
                && piece.is_some_and(|piece| piece.state == PieceState::Sealed)
        };
        let mut sealed: Vec<(bool, Step)> =
            self.steps.values().filter(is_sealed).map(|step| (!self.may_begin(step), step.clone())).collect();
        sealed.sort_by_key(|(waits, step)| (*waits, step.bytes / LANE_BYTES, step.id));
        sealed.truncate(LET_OUT_MAX);
        let more = sealed.len() == LET_OUT_MAX && sealed.last().is_some_and(|(waits, _)| !waits);
        for (_, step) in sealed {
            self.apply(&step, PieceEvent::Enqueue);
        }
        more
    }

    pub(super) fn may_leave(&self, step: &Step) -> bool {
        let Some(index) = step.piece_index else { return true };
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        self.captures
            .get(&step.capture_id)
            .and_then(|capture| capture.pieces.get(place))
            .is_some_and(|piece| piece.state == PieceState::Queued)
    }

    pub(super) fn state(&self, capture_id: CaptureId) -> Option<AssetState> {
        let capture = self.captures.get(&capture_id)?;
        let pieces: Vec<PieceState> = capture.pieces.iter().map(|piece| piece.state).collect();
        let mut steps = self.of_capture(capture_id);
        Some(asset::derive(AssetFacts {
            closed: true,
            withheld: false,
            prepared: true,
            parked: steps.any(|step| step.kind.blocks_verification() && step.state == StepState::Parked),
            pieces: &pieces,
        }))
    }

    pub(super) fn end(&mut self, end: &AttemptEnd) -> Result<StepNext, QueueError> {
        let step = self.step(end.step_id)?.clone();
        if step.state.is_settled() {
            return Ok(StepNext {
                state: step.state,
                attempts: step.attempts,
                failures: step.failures,
                not_before: step.not_before,
                reason: step.reason,
            });
        }
        if step.kind == StepKind::FetchReceipt && end.outcome == Outcome::Done {
            return Err(QueueError::Unavailable { detail: "countersignature_missing".to_owned() });
        }
        self.finish(&step, end)
    }

    pub(super) fn finish(&mut self, step: &Step, end: &AttemptEnd) -> Result<StepNext, QueueError> {
        match end.piece_event {
            None
            | Some(
                PieceEvent::Interrupted
                | PieceEvent::Arrived
                | PieceEvent::SealedMismatch
                | PieceEvent::PlaintextMismatch
                | PieceEvent::ServerLost
                | PieceEvent::Park,
            ) => {}
            Some(
                PieceEvent::Enqueue
                | PieceEvent::Start
                | PieceEvent::Countersigned
                | PieceEvent::Purge
                | PieceEvent::FetchedBack
                | PieceEvent::Revive
                | PieceEvent::Cancel,
            ) => return Err(QueueError::Unavailable { detail: "piece_event".to_owned() }),
        }
        let failed_since = match &end.outcome {
            Outcome::Done => None,
            Outcome::NotAttempted(_) | Outcome::NotYet { .. } => step.failed_since,
            Outcome::Failed { .. } | Outcome::Refused(_) => Some(step.failed_since.unwrap_or(end.now)),
        };
        let last = self.last_success.get(step.kind.as_str());
        let facts = StepFacts {
            attempts: step.attempts,
            failures: step.failures,
            peers_succeed: failed_since.zip(last).is_some_and(|(since, last)| (since..=end.now).contains(last)),
        };
        let next = step::after_attempt(facts, &end.outcome, end.now, end.jitter);
        if next.state == StepState::Done {
            self.last_success.insert(step.kind.as_str(), end.now);
        }
        if let Some(row) = self.steps.get_mut(&end.step_id) {
            row.state = next.state;
            row.attempts = next.attempts;
            row.failures = next.failures;
            row.failed_since = failed_since;
            row.not_before = next.not_before;
            row.lease_until = None;
            row.reason.clone_from(&next.reason);
        }
        let implied = match next.state {
            StepState::Done => PieceEvent::Arrived,
            StepState::Waiting | StepState::Running => PieceEvent::Interrupted,
            StepState::Parked => PieceEvent::Park,
            StepState::Cancelled => PieceEvent::Cancel,
        };
        for event in end.piece_event.into_iter().chain([implied]) {
            self.apply(step, event);
        }
        Ok(next)
    }
}
