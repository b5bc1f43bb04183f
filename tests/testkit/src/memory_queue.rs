//! A queue in memory: what a store does for sync, without files and SQL. It passes the conformance suite of
//! [`mod@crate::queue_conformance`], so that what holds against it holds against the real one.

mod content;

use crate::{FakeClock, SeededRandom};
use ring::digest;
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, Clock, Finding, Instant, Kind, MonotonicMs, PieceState, Reason, Rendition,
    Sha256Digest, StepKind, StepState, UnixMs, backoff,
    limits::{self, LET_OUT_MAX},
    outcome::Outcome,
    piece::{self, PieceEvent},
    queue_store::{
        AttemptEnd, Backlog, Enrolment, ExpectedReceipt, OutgoingEnvelope, OutgoingPiece, PieceBytes, QueueError,
        QueueStore, ReadyStep, Recipient, SavedSession, Upload,
    },
    record::{Record, RecordAsset},
    step::StepNext,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// As the real store: what is smaller by a lane goes first.
const LANE_BYTES: u64 = 4_194_304;

#[derive(Debug, Clone)]
struct Step {
    id: i64,
    kind: StepKind,
    capture_id: CaptureId,
    asset_id: Option<AssetId>,
    piece_index: Option<u32>,
    bytes: u64,
    state: StepState,
    attempts: u32,
    failures: u32,
    failed_since: Option<UnixMs>,
    not_before: Option<UnixMs>,
    lease_until: Option<Instant>,
    reason: Option<Reason>,
}

#[derive(Debug, Clone)]
struct Piece {
    state: PieceState,
    sealed: Vec<u8>,
    upload: Option<Upload>,
}

#[derive(Debug, Clone)]
struct Capture {
    asset_id: AssetId,
    created: UnixMs,
    pieces: Vec<Piece>,
    findings: Vec<Finding>,
    countersigned: Option<Vec<u8>>,
}

#[derive(Default)]
struct Content {
    enrolment: Option<(Enrolment, Vec<u8>)>,
    session: Option<SavedSession>,
    block: Option<Reason>,
    captures: BTreeMap<CaptureId, Capture>,
    steps: BTreeMap<i64, Step>,
    /// The steps of each capture.
    steps_of: BTreeMap<CaptureId, Vec<i64>>,
    last_success: BTreeMap<&'static str, UnixMs>,
    wrap_key_ids: Vec<Sha256Digest>,
}

/// The queue. Pieces hold bytes that their place determines.
pub struct MemoryQueue {
    clock: Arc<FakeClock>,
    random: SeededRandom,
    content: Mutex<Content>,
}

/// SHA-256, for expectations.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    Sha256Digest(out)
}

fn missing<T>(what: &'static str) -> Result<T, QueueError> {
    Err(QueueError::Missing { what })
}

impl MemoryQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self { clock, random: SeededRandom::new(7), content: Mutex::default() }
    }

    /// Adds a complete capture (a file: nothing analyses it) whose original has this many sealed bytes in each piece.
    pub fn add(&self, pieces: &[u64]) -> (CaptureId, AssetId) {
        let now = self.clock.now();
        let capture_id = CaptureId::new(now, &self.random).expect("seeded random never fails");
        let asset_id = AssetId::new(now, &self.random).expect("seeded random never fails");
        let mut content = self.content();
        let seed = u8::try_from(content.captures.len() % 251).unwrap_or(0);
        let sealed = |bytes: u64| (0..bytes).map(|at| seed.wrapping_add((at % 253) as u8)).collect::<Vec<u8>>();
        let capture = Capture {
            asset_id,
            created: now,
            pieces: pieces
                .iter()
                .map(|bytes| Piece { state: PieceState::Sealed, sealed: sealed(*bytes), upload: None })
                .collect(),
            findings: Vec::new(),
            countersigned: None,
        };
        content.captures.insert(capture_id, capture);
        content.add_step(StepKind::SendRecord, capture_id, None, None, 0);
        content.add_step(StepKind::SendEnvelope, capture_id, Some(asset_id), None, 0);
        for (index, bytes) in (0..).zip(pieces) {
            content.add_step(StepKind::SendPiece, capture_id, Some(asset_id), Some(index), *bytes);
        }
        content.add_step(StepKind::FetchReceipt, capture_id, Some(asset_id), None, 0);
        (capture_id, asset_id)
    }

    /// Gives a capture findings, and the step that sends them.
    pub fn add_findings(&self, capture_id: CaptureId, findings: Vec<Finding>) {
        let mut content = self.content();
        if let Some(capture) = content.captures.get_mut(&capture_id) {
            capture.findings = findings;
        }
        content.add_step(StepKind::SendFindings, capture_id, None, None, 0);
    }

    /// The keys for which envelopes count as wrapped.
    pub fn set_wrap_key_ids(&self, key_ids: Vec<Sha256Digest>) {
        self.content().wrap_key_ids = key_ids;
    }

    /// State of a capture's original.
    #[must_use]
    pub fn state(&self, capture_id: CaptureId) -> Option<AssetState> {
        self.content().state(capture_id)
    }

    /// Every step of a capture.
    #[must_use]
    pub fn steps(&self, capture_id: CaptureId) -> Vec<(StepKind, Option<u32>, StepState)> {
        let content = self.content();
        let steps = content.steps.values().filter(|step| step.capture_id == capture_id);
        steps.map(|step| (step.kind, step.piece_index, step.state)).collect()
    }

    /// Why a step of this kind waits or is parked, and how many attempts counted.
    #[must_use]
    pub fn reason(&self, capture_id: CaptureId, kind: StepKind) -> Option<(Option<Reason>, u32)> {
        let content = self.content();
        let mut steps = content.steps.values().filter(|step| step.capture_id == capture_id && step.kind == kind);
        steps.next().map(|step| (step.reason.clone(), step.attempts))
    }

    /// Why nothing can be sent at all.
    #[must_use]
    pub fn block(&self) -> Option<Reason> {
        self.content().block.clone()
    }

    /// The process dies: every lease ends.
    pub fn die_and_reopen(&self) {
        let mut content = self.content();
        let running: Vec<i64> =
            content.steps.values().filter(|step| step.state == StepState::Running).map(|step| step.id).collect();
        for id in running {
            content.release(id);
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("tests do not poison it")
    }
}

impl QueueStore for MemoryQueue {
    fn enrolment(&self) -> Result<Option<Enrolment>, QueueError> {
        Ok(self.content().enrolment.as_ref().map(|(enrolment, _)| enrolment.clone()))
    }

    fn save_enrolment(&self, enrolment: &Enrolment, trust_bundle: &[u8]) -> Result<(), QueueError> {
        let mut content = self.content();
        let same = content
            .enrolment
            .as_ref()
            .is_some_and(|(known, _)| known.server == enrolment.server && known.account_id == enrolment.account_id);
        if !same {
            content.session = None;
        }
        content.enrolment = Some((enrolment.clone(), trust_bundle.to_vec()));
        Ok(())
    }

    fn session(&self) -> Result<Option<SavedSession>, QueueError> {
        Ok(self.content().session.clone())
    }

    fn save_session(&self, session: Option<&SavedSession>) -> Result<(), QueueError> {
        let mut content = self.content();
        if session.is_some() && content.enrolment.is_none() {
            return missing("enrolment");
        }
        content.session = session.cloned();
        Ok(())
    }

    fn trust_bundle(&self) -> Result<Option<Vec<u8>>, QueueError> {
        Ok(self.content().enrolment.as_ref().map(|(_, bundle)| bundle.clone()))
    }

    fn save_trust_bundle(&self, bundle: &[u8], trust_root: Sha256Digest) -> Result<(), QueueError> {
        let mut content = self.content();
        let Some((enrolment, known)) = content.enrolment.as_mut() else { return missing("enrolment") };
        enrolment.trust_root = trust_root;
        *known = bundle.to_vec();
        Ok(())
    }

    fn set_sync_block(&self, reason: Option<&Reason>) -> Result<(), QueueError> {
        self.content().block = reason.cloned();
        Ok(())
    }

    fn enqueue(&self, now: UnixMs) -> Result<bool, QueueError> {
        let mut content = self.content();
        if content.enrolment.is_none() {
            return Ok(false);
        }
        let more_pieces = content.let_out();
        let is_due = |until| backoff::is_over(until, now, limits::REVIVAL_AFTER_MS);
        let mut due: Vec<Step> = content
            .steps
            .values()
            .filter(|step| step.state == StepState::Parked && step.not_before.is_some_and(is_due))
            .cloned()
            .collect();
        due.sort_by_key(|step| step.not_before);
        due.truncate(LET_OUT_MAX);
        let more = more_pieces || due.len() == LET_OUT_MAX;
        for step in due {
            content.apply(&step, PieceEvent::Revive);
            if let Some(row) = content.steps.get_mut(&step.id) {
                row.state = StepState::Waiting;
                row.not_before = None;
                row.reason = None;
            }
        }
        Ok(more)
    }

    fn ready(&self, kind: StepKind, now: UnixMs, limit: usize) -> Result<Vec<ReadyStep>, QueueError> {
        let at = self.clock.instant();
        let mut content = self.content();
        let over: Vec<i64> = content
            .steps
            .values()
            .filter(|step| step.state == StepState::Running)
            .filter(|step| step.lease_until.as_ref().is_none_or(|until| until.reached(&at)))
            .map(|step| step.id)
            .collect();
        for id in over {
            content.release(id);
        }
        let mut ready: Vec<ReadyStep> = content
            .steps
            .values()
            .filter(|step| step.kind == kind && step.state == StepState::Waiting)
            .filter(|step| step.not_before.is_none_or(|until| backoff::is_over(until, now, limits::BACKOFF_CAP_MS)))
            .filter(|step| content.may_begin(step) && content.may_leave(step))
            .map(|step| ReadyStep {
                step_id: step.id,
                kind,
                capture_id: step.capture_id,
                asset_id: step.asset_id,
                piece_index: step.piece_index,
                bytes: step.bytes,
            })
            .collect();
        ready.sort_by_key(|step| (step.bytes / LANE_BYTES, step.step_id));
        ready.truncate(limit);
        Ok(ready)
    }

    fn begin(&self, step_id: i64, _now: UnixMs, lease_ms: i64) -> Result<(), QueueError> {
        let at = self.clock.instant();
        let mut content = self.content();
        let step = content.step(step_id)?.clone();
        let held = step.lease_until.as_ref().is_some_and(|until| !until.reached(&at));
        if held || step.state.is_settled() || !content.may_begin(&step) {
            return missing("ready step");
        }
        if let Some(row) = content.steps.get_mut(&step_id) {
            row.state = StepState::Running;
            let monotonic_ms = MonotonicMs(at.monotonic_ms.0 + lease_ms);
            row.lease_until = Some(Instant { boot_id: at.boot_id, monotonic_ms });
        }
        content.apply(&step, PieceEvent::Start);
        Ok(())
    }

    fn end(&self, end: AttemptEnd) -> Result<StepNext, QueueError> {
        self.content().end(&end)
    }

    fn backlog(&self, now: UnixMs) -> Result<Backlog, QueueError> {
        let content = self.content();
        let mut backlog = Backlog::default();
        for (id, capture) in &content.captures {
            match content.state(*id) {
                Some(AssetState::Parked) => backlog.parked += 1,
                Some(AssetState::Verified | AssetState::Purged | AssetState::Withheld | AssetState::Cancelled)
                | None => {}
                Some(
                    AssetState::Recording
                    | AssetState::Saved
                    | AssetState::Prepared
                    | AssetState::Queued
                    | AssetState::Sending
                    | AssetState::Received,
                ) => {
                    backlog.captures += 1;
                    let unsent = capture.pieces.iter().filter(|piece| {
                        matches!(piece.state, PieceState::Sealed | PieceState::Queued | PieceState::Sending)
                    });
                    backlog.bytes += unsent.map(|piece| piece.sealed.len() as u64).sum::<u64>();
                }
            }
        }
        let delayed = content.steps.values().filter(|step| step.state == StepState::Waiting && step.kind.is_sending());
        let delayed = delayed.filter(|step| content.may_begin(step)).filter_map(|step| step.not_before);
        backlog.next_try = delayed.filter(|until| !backoff::is_over(*until, now, limits::BACKOFF_CAP_MS)).min();
        Ok(backlog)
    }

    fn record(&self, capture_id: CaptureId) -> Result<Record, QueueError> {
        let content = self.content();
        let Some(capture) = content.captures.get(&capture_id) else { return missing("capture") };
        Ok(Record {
            id: capture_id,
            kind: Kind::File,
            created_ms: capture.created,
            offset_minutes: 60,
            device_id: snaptrak_domain::DeviceId::from_bytes([8; 16]),
            note: None,
            tags: Vec::new(),
            project: None,
            file_name: None,
            location: None,
            content_type: None,
            assets: vec![RecordAsset { id: capture.asset_id, rendition: Rendition::Original }],
        })
    }

    fn envelope(&self, asset_id: AssetId, recipients: &[Recipient]) -> Result<OutgoingEnvelope, QueueError> {
        let mut content = self.content();
        content.capture_of(asset_id)?;
        for recipient in recipients {
            let key_id = sha256(&recipient.public);
            if !content.wrap_key_ids.contains(&key_id) {
                content.wrap_key_ids.push(key_id);
            }
        }
        Ok(OutgoingEnvelope { bytes: b"{}\n".to_vec(), device_receipt: Some(b"receipt".to_vec()) })
    }

    fn piece(&self, asset_id: AssetId, index: u32) -> Result<OutgoingPiece, QueueError> {
        let mut content = self.content();
        let sealed = content.piece(asset_id, index)?.sealed.clone();
        Ok(OutgoingPiece {
            sealed_bytes: sealed.len() as u64,
            sealed_sha256: sha256(&sealed),
            source: PieceBytes::Inline(sealed),
        })
    }

    fn findings(&self, capture_id: CaptureId) -> Result<Vec<Finding>, QueueError> {
        let content = self.content();
        content.captures.get(&capture_id).map_or_else(|| missing("capture"), |capture| Ok(capture.findings.clone()))
    }

    fn upload(&self, asset_id: AssetId, index: u32) -> Result<Option<Upload>, QueueError> {
        Ok(self.content().piece(asset_id, index)?.upload.clone())
    }

    fn save_upload(&self, asset_id: AssetId, index: u32, upload: Option<&Upload>) -> Result<(), QueueError> {
        self.content().piece(asset_id, index)?.upload = upload.cloned();
        Ok(())
    }

    fn expected_receipt(&self, asset_id: AssetId) -> Result<ExpectedReceipt, QueueError> {
        let content = self.content();
        let capture_id = content.capture_of(asset_id)?;
        let Some(capture) = content.captures.get(&capture_id) else { return missing("capture") };
        let whole: Vec<u8> = capture.pieces.iter().flat_map(|piece| piece.sealed.iter().copied()).collect();
        let pieces =
            (0..).zip(&capture.pieces).map(|(index, piece)| (index, piece.sealed.len() as u64, sha256(&piece.sealed)));
        Ok(ExpectedReceipt {
            receipt_payload_sha256: sha256(asset_id.as_bytes()),
            // There is no plaintext here; the sealed bytes stand for it.
            sha256: sha256(&whole),
            bytes: whole.len() as u64,
            pieces: pieces.collect(),
            wrap_key_ids: content.wrap_key_ids.clone(),
        })
    }

    fn save_countersigned(&self, step_id: i64, countersigned: &[u8], now: UnixMs) -> Result<(), QueueError> {
        let mut content = self.content();
        let step = content.step(step_id)?.clone();
        if step.kind != StepKind::FetchReceipt {
            return Err(QueueError::Unavailable { detail: "not_a_receipt_step".to_owned() });
        }
        if let Some(capture) = content.captures.get_mut(&step.capture_id) {
            capture.countersigned = Some(countersigned.to_vec());
            for piece in &mut capture.pieces {
                piece.state = piece::next(piece.state, PieceEvent::Countersigned).unwrap_or(piece.state);
            }
        }
        let end = AttemptEnd { step_id, outcome: Outcome::Done, piece_event: None, now, jitter: 0 };
        if step.state.is_settled() {
            return Ok(());
        }
        content.finish(&step, &end).map(|_| ())
    }

    fn send_again(&self, asset_id: AssetId, pieces: Option<&[u32]>, _now: UnixMs) -> Result<(), QueueError> {
        let mut content = self.content();
        let capture_id = content.capture_of(asset_id)?;
        for index in pieces.unwrap_or_default() {
            content.piece(asset_id, *index)?;
        }
        let wanted = |step: &Step| match step.kind {
            StepKind::SendPiece => {
                pieces.is_none_or(|named| step.piece_index.is_some_and(|index| named.contains(&index)))
            }
            StepKind::SendEnvelope | StepKind::FetchReceipt => true,
            StepKind::Analyse
            | StepKind::Redact
            | StepKind::Thumbnail
            | StepKind::SendRecord
            | StepKind::SendFindings => false,
        };
        let steps = content.steps.values().filter(|step| step.capture_id == capture_id && wanted(step));
        for step in steps.cloned().collect::<Vec<_>>() {
            for event in
                [PieceEvent::Interrupted, PieceEvent::SealedMismatch, PieceEvent::ServerLost, PieceEvent::Revive]
            {
                content.apply(&step, event);
            }
            if let Some(index) = step.piece_index {
                content.piece(asset_id, index)?.upload = None;
            }
            if let Some(row) = content.steps.get_mut(&step.id) {
                row.state = StepState::Waiting;
                row.not_before = None;
                row.lease_until = None;
                row.failures = if step.kind == StepKind::FetchReceipt { row.failures } else { 0 };
            }
        }
        Ok(())
    }
}
