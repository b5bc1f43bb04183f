//! What sync needs of a store: enrolment, the steps that are ready, the bytes they send, and one place to write an
//! attempt's outcome. The store calls [`crate::step::after_attempt`] and [`crate::piece::next`] inside the transaction that
//! records the effect, so that a state never runs ahead of what caused it.

use crate::{
    AccountId, AssetId, CaptureId, DeviceId, Finding, OrganisationId, Reason, Secret, Sha256Digest, StepKind, UnixMs,
    outcome::Outcome, piece::PieceEvent, record::Record, step::StepNext,
};
use std::path::PathBuf;

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// No room on the disk.
    #[error("no room on the disk")]
    Full,
    /// A row or file is damaged.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// Which part; no content.
        detail: String,
    },
    /// A key of the viewing class is needed and cannot be had now.
    #[error("a key is needed that only the person can unlock")]
    NeedsUser,
    /// There is no such capture, asset, piece or step.
    #[error("there is no such {what}")]
    Missing {
        /// What was looked for.
        what: &'static str,
    },
    /// The store was closed: whoever still works on it ends.
    #[error("the store is closed")]
    Closed,
    /// Anything else that the file system or the database said.
    #[error("the store cannot be used now: {detail}")]
    Unavailable {
        /// What it said; no content.
        detail: String,
    },
}

/// Who this device works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Origin of the API, for example `https://api.example`; no trailing slash.
    pub server: String,
    /// The account.
    pub account_id: AccountId,
    /// Its organisation.
    pub organisation_id: OrganisationId,
    /// The device as the API knows it.
    pub device_id: DeviceId,
    /// SHA-256 of the raw root key of the trust bundle.
    pub trust_root: Sha256Digest,
    /// The root was given by the app; otherwise it was trusted on first use.
    pub trust_root_given: bool,
}

/// Tokens of a session; sealed again inside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Goes with each request.
    pub access: Secret,
    /// By the server's clock.
    pub access_expires: UnixMs,
    /// Buys the next pair.
    pub refresh: Secret,
}

/// How this device speaks for its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedSession {
    /// With tokens of its own.
    Tokens(Tokens),
    /// With those of the app's [`TokenProvider`](crate::TokenProvider), none of which is kept.
    Provided,
}

/// A step that can be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyStep {
    /// Row of the step.
    pub step_id: i64,
    /// What to do.
    pub kind: StepKind,
    /// For which capture.
    pub capture_id: CaptureId,
    /// For which asset (not for `analyse`, `send_record` and `send_findings`).
    pub asset_id: Option<AssetId>,
    /// For which piece (`send_piece` only).
    pub piece_index: Option<u32>,
    /// Sealed bytes that it will send; 0 where small.
    pub bytes: u64,
}

/// A public key to which data keys are wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// `organisation` or `recovery`.
    pub role: RecipientRole,
    /// Bound into the wrap.
    pub organisation_id: OrganisationId,
    /// `x-wing` or `x25519`.
    pub algorithm: String,
    /// Serialized public key.
    pub public: Vec<u8>,
}

/// For whom a data key is wrapped besides the device itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientRole {
    /// The organisation's upload key.
    Organisation,
    /// The organisation's recovery key.
    Recovery,
}

/// An envelope as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingEnvelope {
    /// The file's exact bytes.
    pub bytes: Vec<u8>,
    /// The device's receipt (COSE_Sign1), once it is signed.
    pub device_receipt: Option<Vec<u8>>,
}

/// Where a piece's sealed bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PieceBytes {
    /// A file of the store.
    File(PathBuf),
    /// In a row (notes).
    Inline(Vec<u8>),
}

/// A piece as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingPiece {
    /// The sealed bytes.
    pub source: PieceBytes,
    /// How many.
    pub sealed_bytes: u64,
    /// Their digest.
    pub sealed_sha256: Sha256Digest,
}

/// A begun upload; the capability is sealed again inside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Absolute URL of the upload.
    pub url: String,
    /// Bearer token for this upload alone.
    pub capability: Secret,
    /// By the server's clock.
    pub expires: UnixMs,
}

/// What a countersignature must say of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedReceipt {
    /// SHA-256 of the device receipt's payload.
    pub receipt_payload_sha256: Sha256Digest,
    /// Plaintext digest.
    pub sha256: Sha256Digest,
    /// Plaintext bytes.
    pub bytes: u64,
    /// Index, sealed bytes and sealed digest of each piece, in order.
    pub pieces: Vec<(u32, u64, Sha256Digest)>,
    /// Key ids (SHA-256 of the public key) of the organisation's wraps in the envelope.
    pub wrap_key_ids: Vec<Sha256Digest>,
}

/// An attempt's end, written in one transaction.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    /// Which step.
    pub step_id: i64,
    /// How it went.
    pub outcome: Outcome,
    /// What it means for the step's piece, if it is a `send_piece`.
    pub piece_event: Option<PieceEvent>,
    /// Wall time of the end.
    pub now: UnixMs,
    /// Uniform in 0..=65535.
    pub jitter: u16,
}

/// How much of the queue is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Captures whose original is not verified, withheld, cancelled or parked.
    pub captures: u64,
    /// Sealed bytes of theirs that are still to be sent.
    pub bytes: u64,
    /// Captures with something parked that keeps the original from being verified.
    pub parked: u64,
    /// The earliest moment at which a delayed sending step becomes ready.
    pub next_try: Option<UnixMs>,
}

/// The queue as sync sees it. Every call is one short transaction; none is held across a request.
pub trait QueueStore: Send + Sync {
    /// Who this device works for, if anyone.
    fn enrolment(&self) -> Result<Option<Enrolment>, QueueError>;
    /// Remembers it, together with the trust bundle that was accepted (exact bytes).
    fn save_enrolment(&self, enrolment: &Enrolment, trust_bundle: &[u8]) -> Result<(), QueueError>;
    /// The session, if someone is signed in.
    fn session(&self) -> Result<Option<SavedSession>, QueueError>;
    /// Replaces it; `None` signs out. It belongs to the enrolment: one with another account or server ends it.
    fn save_session(&self, session: Option<&SavedSession>) -> Result<(), QueueError>;
    /// The trust bundle's exact bytes.
    fn trust_bundle(&self) -> Result<Option<Vec<u8>>, QueueError>;
    /// Replaces it with a newer one that was accepted, and a rotated root with it.
    fn save_trust_bundle(&self, bundle: &[u8], trust_root: Sha256Digest) -> Result<(), QueueError>;
    /// Why nothing can be sent at all, for `why`; `None` clears it.
    fn set_sync_block(&self, reason: Option<&Reason>) -> Result<(), QueueError>;

    /// Lets leave what policy allows, however much waits at most [`LET_OUT_MAX`](crate::limits::LET_OUT_MAX) pieces and as
    /// many revivals a call: sealed pieces become queued, what was parked and is due comes back. In the order in which
    /// [`QueueStore::ready`] answers; pieces whose record was sent go before pieces whose record was not. Whether more is
    /// left that could be sent at once: call again when nothing is ready.
    fn enqueue(&self, now: UnixMs) -> Result<bool, QueueError>;
    /// Steps of `kind` that are ready at `now` (what they wait for is settled, no delay, no lease), oldest capture first, small
    /// before large for pieces; at most `limit`.
    fn ready(&self, kind: StepKind, now: UnixMs, limit: usize) -> Result<Vec<ReadyStep>, QueueError>;
    /// Takes a lease on a step (and marks its piece as sending) until `lease_ms` from now, monotonic.
    fn begin(&self, step_id: i64, now: UnixMs, lease_ms: i64) -> Result<(), QueueError>;
    /// Writes how an attempt ended.
    fn end(&self, end: AttemptEnd) -> Result<StepNext, QueueError>;
    /// Writes many ends in one transaction.
    fn end_all(&self, ends: Vec<AttemptEnd>) -> Result<(), QueueError> {
        ends.into_iter().try_for_each(|end| self.end(end).map(|_| ()))
    }
    /// How much is left.
    fn backlog(&self, now: UnixMs) -> Result<Backlog, QueueError>;

    /// The record of a capture.
    fn record(&self, capture_id: CaptureId) -> Result<Record, QueueError>;
    /// The envelope of an asset after making sure that it is wrapped for each recipient (needs a viewing key where a wrap is
    /// missing) and that the device's receipt is signed.
    fn envelope(&self, asset_id: AssetId, recipients: &[Recipient]) -> Result<OutgoingEnvelope, QueueError>;
    /// A piece's sealed bytes.
    fn piece(&self, asset_id: AssetId, index: u32) -> Result<OutgoingPiece, QueueError>;
    /// What was found in a capture.
    fn findings(&self, capture_id: CaptureId) -> Result<Vec<Finding>, QueueError>;
    /// The begun upload of a piece.
    fn upload(&self, asset_id: AssetId, index: u32) -> Result<Option<Upload>, QueueError>;
    /// Remembers or forgets a begun upload.
    fn save_upload(&self, asset_id: AssetId, index: u32, upload: Option<&Upload>) -> Result<(), QueueError>;
    /// What the countersignature must say.
    fn expected_receipt(&self, asset_id: AssetId) -> Result<ExpectedReceipt, QueueError>;
    /// Ends a `fetch_receipt` step with a checked countersignature: receipt kept, pieces verified, step done, one transaction.
    fn save_countersigned(&self, step_id: i64, countersigned: &[u8], now: UnixMs) -> Result<(), QueueError>;
    /// The server does not hold what it should: the named pieces (`None`: all; an empty list: none) go back to queued and their
    /// steps to waiting, together with the asset's envelope step; `fetch_receipt` waits for them again.
    fn send_again(&self, asset_id: AssetId, pieces: Option<&[u32]>, now: UnixMs) -> Result<(), QueueError>;
}
