//! One journal entry, or an envelope's receipts, as rows. Whatever speaks of something that is not there is passed over.

use super::{
    asset::Opened,
    replay::Replayed,
    report::{Findings, UnreadableCode},
};
use crate::{StoreError, annotations, journal::Entry, queue::enrolment as enrolment_rows, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{AssetId, CaptureId, CaptureMetadata, Finding, Sha256Digest, UnixMs, queue_store::Enrolment};
use snaptrak_seal::{PieceEntry, ReceiptClaims, UntrustedCountersignature, UntrustedReceipt, sha256};

/// A receipt as an envelope or the journal has it.
struct Receipt<'a> {
    asset_id: AssetId,
    payload: &'a [u8],
    signed: Option<&'a [u8]>,
    countersigned: Option<&'a [u8]>,
    countersigned_ms: Option<UnixMs>,
}

/// Applies an entry.
pub(super) fn entry(
    connection: &Connection,
    entry: &Entry,
    place: &str,
    found: &mut Findings,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    match entry {
        Entry::Receipt { asset_id, payload, signed, countersigned, countersigned_ms, .. } => {
            let receipt = Receipt {
                asset_id: *asset_id,
                payload: &payload.0,
                signed: signed.as_ref().map(|bytes| bytes.0.as_slice()),
                countersigned: countersigned.as_ref().map(|bytes| bytes.0.as_slice()),
                countersigned_ms: *countersigned_ms,
            };
            match keep_receipt(connection, &receipt)? {
                Kept::Yes => {}
                Kept::NoAsset => {
                    replayed.unknown.insert(*asset_id);
                }
                Kept::Contradicts => found.unreadable(place, UnreadableCode::ReceiptContradicts),
            }
        }
        Entry::Note(note) => {
            // Settled ones have their rows already, from a line of their own.
            let id = note.asset_id.as_bytes();
            if rows::first(connection, "SELECT 1 FROM asset WHERE id = ?1", [id], |_| Ok(()))?.is_none() {
                replayed.waiting.insert(note.asset_id, note.clone());
            }
        }
        Entry::Findings { capture_id, asset_id, findings, found_ms } => {
            findings
                .iter()
                .try_for_each(|finding| keep_finding(connection, *capture_id, *asset_id, finding, *found_ms))?;
        }
        Entry::Tombstone { asset_id, pieces, reason, at_ms } => {
            for index in pieces {
                rows::change(
                    connection,
                    "INSERT INTO tombstone (asset_id, piece_index, reason, at_ms, removed)
                     SELECT asset_id, piece_index, ?3, ?4, 1 FROM piece WHERE asset_id = ?1 AND piece_index = ?2
                     ON CONFLICT (asset_id, piece_index) DO UPDATE SET reason = excluded.reason, at_ms = excluded.at_ms",
                    params![asset_id.as_bytes(), index, reason, at_ms.0],
                )?;
            }
        }
        Entry::Keep { capture_id, pinned, viewed_ms } => {
            rows::change(
                connection,
                "INSERT INTO keep (capture_id, pinned, viewed_ms) SELECT id, ?2, ?3 FROM capture WHERE id = ?1
                 ON CONFLICT (capture_id) DO UPDATE SET pinned = excluded.pinned, viewed_ms = excluded.viewed_ms",
                params![capture_id.as_bytes(), pinned, viewed_ms.map(|at| at.0)],
            )?;
        }
        Entry::Annotation { capture_id, annotation } => annotations::keep(connection, *capture_id, annotation)?,
        Entry::Metadata { capture_id, metadata } => {
            if keep_metadata(connection, *capture_id, metadata)? {
                replayed.metadata.insert(*capture_id);
            }
        }
        Entry::Enrolment { .. } => enrolment(connection, entry)?,
        // The first is no row; the second is of a newer version.
        Entry::Device { .. } | Entry::Unknown => {}
    }
    Ok(())
}

/// Who the device works for; it has to sign in again, since tokens are in no journal.
fn enrolment(connection: &Connection, entry: &Entry) -> Result<(), StoreError> {
    let Entry::Enrolment { server, account_id, organisation_id, device_id, trust_root, trust_root_given, trust_bundle } =
        entry
    else {
        return Ok(());
    };
    let enrolment = Enrolment {
        server: server.clone(),
        account_id: *account_id,
        organisation_id: *organisation_id,
        device_id: *device_id,
        trust_root: *trust_root,
        trust_root_given: *trust_root_given,
    };
    enrolment_rows::save(connection, &enrolment, &trust_bundle.0)
}

/// The receipts that an envelope carries.
pub(super) fn of_envelope(connection: &Connection, opened: &Opened) -> Result<bool, StoreError> {
    let content = opened.envelope.content();
    let Some(receipts) = &content.receipt else { return Ok(true) };
    let Ok(device) = UntrustedReceipt::parse(&receipts.device) else { return Ok(false) };
    let verified = receipts.server.as_deref().and_then(|server| UntrustedCountersignature::parse(server).ok());
    let receipt = Receipt {
        asset_id: content.asset_id,
        payload: &device.claims().to_payload(),
        signed: Some(&receipts.device),
        countersigned: receipts.server.as_deref(),
        countersigned_ms: verified.map(|countersigned| countersigned.claims().verified_ms),
    };
    Ok(matches!(keep_receipt(connection, &receipt)?, Kept::Yes))
}

enum Kept {
    Yes,
    NoAsset,
    Contradicts,
}

fn keep_receipt(connection: &Connection, receipt: &Receipt<'_>) -> Result<Kept, StoreError> {
    let Ok(claims) = ReceiptClaims::from_payload(receipt.payload) else { return Ok(Kept::Contradicts) };
    let id = receipt.asset_id.as_bytes();
    let asset: Option<(u64, Option<[u8; 32]>)> =
        rows::first(connection, "SELECT bytes, sha256 FROM asset WHERE id = ?1", [id], |row| {
            Ok((rows::count(row, 0)?, row.get(1)?))
        })?;
    let Some((bytes, digest)) = asset else { return Ok(Kept::NoAsset) };
    let agrees = claims.asset_id == receipt.asset_id
        && claims.bytes == bytes
        && Some(claims.sha256) == digest.map(Sha256Digest)
        && claims.pieces == pieces(connection, receipt.asset_id)?;
    if !agrees {
        return Ok(Kept::Contradicts);
    }
    // The place may be taken by a chain that went on from an older state of the store: the first that is known keeps it.
    let sequence = rows::signed(claims.sequence)?;
    let holder: Option<[u8; 16]> =
        rows::first(connection, "SELECT asset_id FROM receipt WHERE sequence = ?1", [sequence], |row| Ok(row.get(0)?))?;
    if holder.is_some_and(|holder| holder != *id) {
        return Ok(Kept::Contradicts);
    }
    let digest = sha256(receipt.payload);
    rows::change(
        connection,
        "DELETE FROM receipt WHERE asset_id = ?1 AND (sequence <> ?2 OR payload_sha256 <> ?3)",
        params![id, sequence, digest.as_bytes()],
    )?;
    rows::change(
        connection,
        "INSERT INTO receipt (sequence, asset_id, payload, payload_sha256, signed, countersigned, countersigned_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (sequence) DO UPDATE SET signed = coalesce(signed, excluded.signed),
             countersigned = coalesce(excluded.countersigned, countersigned),
             countersigned_ms = coalesce(excluded.countersigned_ms, countersigned_ms)",
        params![
            sequence,
            id,
            receipt.payload,
            digest.as_bytes(),
            receipt.signed,
            receipt.countersigned,
            receipt.countersigned_ms.map(|at| at.0)
        ],
    )?;
    Ok(Kept::Yes)
}

/// The pieces of an asset as a receipt lists them.
pub(super) fn pieces(connection: &Connection, asset_id: AssetId) -> Result<Vec<PieceEntry>, StoreError> {
    rows::all(
        connection,
        "SELECT piece_index, sealed_bytes, sealed_sha256 FROM piece WHERE asset_id = ?1 ORDER BY piece_index",
        [asset_id.as_bytes()],
        |row| {
            Ok(PieceEntry {
                index: rows::small(row, 0)?,
                sealed_bytes: rows::count(row, 1)?,
                sealed_sha256: rows::digest(row, 2)?,
            })
        },
    )
}

fn keep_finding(
    connection: &Connection,
    capture_id: CaptureId,
    asset_id: AssetId,
    finding: &Finding,
    at: UnixMs,
) -> Result<(), StoreError> {
    let Ok(body) = serde_json::to_string(finding) else { return Ok(()) };
    rows::change(
        connection,
        "INSERT INTO finding (capture_id, asset_id, task, model_id, body, found_ms)
         SELECT capture_id, id, ?3, ?4, ?5, ?6 FROM asset WHERE id = ?2 AND capture_id = ?1
         ON CONFLICT (asset_id, model_id) DO UPDATE SET
             task = excluded.task, body = excluded.body, found_ms = excluded.found_ms",
        params![capture_id.as_bytes(), asset_id.as_bytes(), finding.task.as_str(), finding.model_id, body, at.0],
    )
    .map(|_| ())
}

fn keep_metadata(
    connection: &Connection,
    capture_id: CaptureId,
    metadata: &CaptureMetadata,
) -> Result<bool, StoreError> {
    let Ok(text) = serde_json::to_string(metadata) else { return Ok(false) };
    if metadata.capture_id != capture_id {
        return Ok(false);
    }
    let changed = rows::change(
        connection,
        "UPDATE capture SET kind = ?2, created_ms = ?3, metadata = ?4 WHERE id = ?1 AND metadata <> ?4",
        params![capture_id.as_bytes(), metadata.kind.as_str(), metadata.created.unix_ms.0, text],
    )?;
    Ok(changed == 1)
}
