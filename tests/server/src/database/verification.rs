//! Where an asset stands on its way to a countersignature.
//!
//! `open` waits for something, `ready` has everything and waits for the verifier, `verified` and `failed` are its answers.
//! Whatever changes an asset's envelope, receipt or pieces calls [`changed`] in the same transaction; the verifier's answer
//! counts only for the revision that it looked at.

use super::parsed;
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{AssetId, CaptureId, DeviceId, OrganisationId, Rendition, UnixMs};
use std::str::FromStr;

/// Where an asset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssetState {
    /// Something has not arrived.
    Open,
    /// Everything is here; the verifier has not looked.
    Ready,
    /// Countersigned.
    Verified,
    /// The verifier found something wrong.
    Failed,
}

impl FromStr for AssetState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "open" => Ok(Self::Open),
            "ready" => Ok(Self::Ready),
            "verified" => Ok(Self::Verified),
            "failed" => Ok(Self::Failed),
            _ => Err(()),
        }
    }
}

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureCode {
    /// A piece is not the one that the envelope lists; it was dropped and may be sent again.
    SealedMismatch,
    /// A piece does not open, or opens to other bytes than the envelope says.
    PlaintextMismatch,
    /// The envelope does not open with the organisation's key.
    EnvelopeUnreadable,
    /// The device's receipt is not by its key or says something else.
    ReceiptInvalid,
}

impl FailureCode {
    const ALL: [Self; 4] =
        [Self::SealedMismatch, Self::PlaintextMismatch, Self::EnvelopeUnreadable, Self::ReceiptInvalid];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SealedMismatch => "sealed_mismatch",
            Self::PlaintextMismatch => "plaintext_mismatch",
            Self::EnvelopeUnreadable => "envelope_unreadable",
            Self::ReceiptInvalid => "receipt_invalid",
        }
    }

    /// A sentence for a person who reads a log.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::SealedMismatch => "a piece is not the one that the envelope lists; send it again",
            Self::PlaintextMismatch => "a piece does not open to the bytes that the envelope promises",
            Self::EnvelopeUnreadable => "the envelope does not open with the organisation's key",
            Self::ReceiptInvalid => "the device's receipt is not signed by its key or contradicts the envelope",
        }
    }
}

impl FromStr for FailureCode {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or(())
    }
}

/// What was wrong, and with which piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: FailureCode,
    pub(crate) piece: Option<u32>,
}

/// Everything that the verifier looks at.
pub(crate) struct VerificationJob {
    pub(crate) asset_id: AssetId,
    pub(crate) capture_id: CaptureId,
    pub(crate) device_id: DeviceId,
    pub(crate) organisation_id: OrganisationId,
    pub(crate) rendition: Rendition,
    pub(crate) revision: i64,
    pub(crate) envelope: Vec<u8>,
    pub(crate) device_receipt: Vec<u8>,
}

/// An asset's state with what belongs to it.
pub(crate) struct VerificationRow {
    pub(crate) state: AssetState,
    pub(crate) failure: Option<Failure>,
    pub(crate) countersigned: Option<Vec<u8>>,
    pub(crate) has_envelope: bool,
    pub(crate) closed: bool,
    pub(crate) has_receipt: bool,
}

/// Settles an asset's state after a change; whether it is now ready. A verified asset stays verified: nothing that its
/// countersignature covers can change.
pub(crate) fn changed(transaction: &Transaction<'_>, asset_id: AssetId, now: UnixMs) -> Result<bool, Error> {
    let id = asset_id.to_string();
    let complete: bool = transaction
        .prepare_cached(
            "SELECT envelope_closed AND device_receipt IS NOT NULL
               AND EXISTS (SELECT 1 FROM envelope_piece WHERE asset_id = asset.id)
               AND NOT EXISTS (SELECT 1 FROM envelope_piece AS listed WHERE listed.asset_id = asset.id AND NOT EXISTS
                 (SELECT 1 FROM upload WHERE upload.asset_id = asset.id AND upload.piece_index = listed.piece_index
                  AND upload.state = 'stored'))
             FROM asset WHERE id = ?1",
        )?
        .query_row([&id], |row| row.get(0))?;
    let settled = transaction.execute(
        "UPDATE asset SET revision = revision + 1, state = ?2, ready_ms = ?3, failure_code = NULL, failure_piece = NULL
         WHERE id = ?1 AND state <> 'verified'",
        params![id, if complete { "ready" } else { "open" }, complete.then_some(now.0)],
    )?;
    Ok(complete && settled == 1)
}

/// The assets that wait longest for the verifier.
pub(crate) fn ready(transaction: &Transaction<'_>, limit: u32) -> Result<Vec<AssetId>, Error> {
    let mut statement =
        transaction.prepare_cached("SELECT id FROM asset WHERE state = 'ready' ORDER BY ready_ms, id LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| parsed(row, "id"))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What the verifier looks at, if the asset still waits.
pub(crate) fn job(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<Option<VerificationJob>, Error> {
    Ok(transaction
        .prepare_cached(
            "SELECT asset.id AS id, capture_id, device_id, asset.organisation_id AS organisation_id, rendition, revision,
               envelope, device_receipt
             FROM asset JOIN capture ON capture.id = capture_id WHERE asset.id = ?1 AND state = 'ready'",
        )?
        .query_row([asset_id.to_string()], |row| {
            Ok(VerificationJob {
                asset_id: parsed(row, "id")?,
                capture_id: parsed(row, "capture_id")?,
                device_id: parsed(row, "device_id")?,
                organisation_id: parsed(row, "organisation_id")?,
                rendition: parsed(row, "rendition")?,
                revision: row.get("revision")?,
                envelope: row.get("envelope")?,
                device_receipt: row.get("device_receipt")?,
            })
        })
        .optional()?)
}

/// Stores the countersignature, if nothing changed since the job was read; whether it did.
pub(crate) fn set_verified(
    transaction: &Transaction<'_>,
    job: &VerificationJob,
    countersigned: &[u8],
    now: UnixMs,
) -> Result<bool, Error> {
    let updated = transaction.execute(
        "UPDATE asset SET state = 'verified', countersigned = ?3, verified_ms = ?4, ready_ms = NULL
         WHERE id = ?1 AND state = 'ready' AND revision = ?2",
        params![job.asset_id.to_string(), job.revision, countersigned, now.0],
    )?;
    Ok(updated == 1)
}

/// Stores what was wrong, if nothing changed since the job was read. A piece that is not the listed one is dropped in the
/// same transaction, so that the right one can be sent; whether it was.
pub(crate) fn set_failed(
    transaction: &Transaction<'_>,
    job: &VerificationJob,
    failure: Failure,
) -> Result<bool, Error> {
    let id = job.asset_id.to_string();
    let updated = transaction.execute(
        "UPDATE asset SET state = 'failed', failure_code = ?3, failure_piece = ?4, ready_ms = NULL
         WHERE id = ?1 AND state = 'ready' AND revision = ?2",
        params![id, job.revision, failure.code.as_str(), failure.piece],
    )?;
    if updated == 0 || failure.code != FailureCode::SealedMismatch {
        return Ok(false);
    }
    let dropped = transaction
        .execute("DELETE FROM upload WHERE asset_id = ?1 AND piece_index = ?2", params![id, failure.piece])?;
    Ok(dropped == 1)
}

/// An asset's state. The caller's right to see it was checked.
pub(crate) fn of_asset(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<VerificationRow, Error> {
    Ok(transaction
        .prepare_cached(
            "SELECT state, failure_code, failure_piece, countersigned, envelope IS NOT NULL AS has_envelope,
               envelope_closed, device_receipt IS NOT NULL AS has_receipt FROM asset WHERE id = ?1",
        )?
        .query_row([asset_id.to_string()], |row| {
            let code: Option<String> = row.get("failure_code")?;
            let piece = row.get("failure_piece")?;
            let code = code.and_then(|code| code.parse().ok());
            Ok(VerificationRow {
                state: parsed(row, "state")?,
                failure: code.map(|code| Failure { code, piece }),
                countersigned: row.get("countersigned")?,
                has_envelope: row.get("has_envelope")?,
                closed: row.get("envelope_closed")?,
                has_receipt: row.get("has_receipt")?,
            })
        })?)
}

/// Whether a piece is missing that the envelope lists; without an envelope, whether none is here.
pub(crate) fn pieces_are_missing(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<bool, Error> {
    Ok(transaction
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM upload WHERE asset_id = ?1 AND state = 'stored')
               OR EXISTS (SELECT 1 FROM envelope_piece AS listed WHERE listed.asset_id = ?1 AND NOT EXISTS
                 (SELECT 1 FROM upload WHERE upload.asset_id = ?1 AND upload.piece_index = listed.piece_index
                  AND upload.state = 'stored'))",
        )?
        .query_row([asset_id.to_string()], |row| row.get(0))?)
}
