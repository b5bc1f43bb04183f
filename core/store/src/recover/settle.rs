//! What can be decided once every row is there: the order of arrival, places in the chain for what has none, steps, states.
//!
//! A countersigned receipt that matches makes its asset verified again, and a piece that is then not here is purged: the
//! server holds it. Everything else is to be sent; what the server already has it recognises. The new store's journal is
//! written from these rows, so that it could be recovered in its turn.

use super::{
    apply, echo, go_on,
    replay::Replayed,
    report::{Findings, Lacking, UnreadableCode},
};
use crate::{
    StoreError,
    capture_rows::Witness,
    journal::{Journal, Lines},
    layout,
    queue::{
        derive, outgoing, piece_row,
        step_row::{self, StepRow, StepWrite},
        steps,
    },
    receipts, rows,
    writer::WriteTransaction,
};
use rusqlite::{Connection, TransactionBehavior, params};
use snaptrak_domain::{
    AssetId, CancelToken, CaptureId, CaptureMetadata, Reason, ReasonCode, Rendition, Sha256Digest, StepKind, StepState,
    UnixMs, piece::PieceEvent,
};
use snaptrak_seal::{ReceiptClaims, UntrustedCountersignature, sha256};

/// Captures in one transaction.
const CAPTURES_PER_TRANSACTION: i64 = 200;

/// What receipts of this run say of their moment.
pub(super) struct Moment {
    pub(super) witness: Witness,
    pub(super) now: UnixMs,
}

/// An asset of a capture that is being settled.
struct Asset {
    id: AssetId,
    rendition: Rendition,
    bytes: u64,
    sha256: Sha256Digest,
}

/// Settles every capture.
pub(super) fn all(
    connection: &mut Connection,
    journal: &mut Journal,
    moment: &Moment,
    replayed: &Replayed,
    found: &mut Findings,
    cancel: &CancelToken,
) -> Result<(), StoreError> {
    number(connection)?;
    found.lacking.sort_unstable_by_key(|lacking| (lacking.capture_id, lacking.asset_id, lacking.index));
    let lacking = std::mem::take(&mut found.lacking);
    let mut after = 0_i64;
    loop {
        let captures: Vec<(i64, CaptureId)> = rows::all(
            connection,
            "SELECT number, id FROM capture WHERE number > ?1 ORDER BY number LIMIT ?2",
            [after, CAPTURES_PER_TRANSACTION],
            |row| Ok((row.get(0)?, rows::capture_id(row, 1)?)),
        )?;
        let Some((last, _)) = captures.last() else { return Ok(()) };
        go_on(cancel)?;
        after = *last;
        let transaction =
            WriteTransaction::unwatched(connection.transaction_with_behavior(TransactionBehavior::Immediate)?);
        let mut lines = Lines::default();
        for (_, capture_id) in captures {
            let start = lacking.partition_point(|one| one.capture_id < capture_id);
            let end = lacking.partition_point(|one| one.capture_id <= capture_id);
            capture(&transaction, capture_id, &lacking[start..end], moment, found)?;
            let metadata_differs = replayed.metadata.contains(&capture_id);
            echo::capture(&transaction, capture_id, metadata_differs, &mut lines)?;
        }
        journal.append(lines)?;
        transaction.commit()?;
    }
}

/// The order of arrival: by place in the chain, which no clock can change; what has none came last, by its id.
fn number(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("UPDATE capture SET number = -number", [])?;
    transaction.execute(
        "WITH ordered AS (
             SELECT capture.id AS id, row_number() OVER (ORDER BY receipt.sequence IS NULL, receipt.sequence, capture.id) AS place
               FROM capture LEFT JOIN asset ON asset.capture_id = capture.id AND asset.rendition = 'original'
                            LEFT JOIN receipt ON receipt.asset_id = asset.id)
         UPDATE capture SET number = ordered.place FROM ordered WHERE ordered.id = capture.id",
        [],
    )?;
    transaction.commit()?;
    Ok(())
}

fn capture(
    transaction: &WriteTransaction<'_>,
    capture_id: CaptureId,
    lacking: &[Lacking],
    moment: &Moment,
    found: &mut Findings,
) -> Result<(), StoreError> {
    let metadata = outgoing::metadata(transaction, capture_id)?;
    let assets = rows::all(
        transaction,
        "SELECT id, rendition, bytes, sha256 FROM asset WHERE capture_id = ?1",
        [capture_id.as_bytes()],
        |row| {
            Ok(Asset {
                id: rows::asset_id(row, 0)?,
                rendition: rows::word(row, 1, "rendition")?,
                bytes: rows::count(row, 2)?,
                sha256: rows::digest(row, 3)?,
            })
        },
    )?;
    for asset in &assets {
        let lacking: Vec<Lacking> = lacking.iter().filter(|one| one.asset_id == asset.id).copied().collect();
        match asset.rendition {
            Rendition::Original => original(transaction, &metadata, asset, &lacking, moment, found)?,
            Rendition::Redacted | Rendition::Thumbnail => derived(transaction, asset.id, &lacking, found)?,
        }
    }
    finish_found(transaction, capture_id, moment.now)?;
    derive::derive_capture(transaction, capture_id, moment.now)
}

/// The asset that has a receipt and is sent.
fn original(
    connection: &Connection,
    metadata: &CaptureMetadata,
    asset: &Asset,
    lacking: &[Lacking],
    moment: &Moment,
    found: &mut Findings,
) -> Result<(), StoreError> {
    let pieces = apply::pieces(connection, asset.id)?;
    take_place(connection, metadata, asset, &pieces, moment)?;
    let sealed_bytes: Vec<u64> = pieces.iter().map(|piece| piece.sealed_bytes).collect();
    let new = steps::NewSteps {
        capture_id: metadata.capture_id,
        asset_id: asset.id,
        kind: metadata.kind,
        content_type: &metadata.content_type,
        pieces: &sealed_bytes,
        now: moment.now,
    };
    steps::insert(connection, new)?;
    let verified = is_countersigned(connection, asset.id)?;
    if verified {
        for event in [PieceEvent::Enqueue, PieceEvent::Start, PieceEvent::Arrived, PieceEvent::Countersigned] {
            piece_row::apply_where_possible(connection, asset.id, event)?;
        }
        let sent = [StepKind::SendRecord, StepKind::SendEnvelope, StepKind::SendPiece, StepKind::FetchReceipt];
        for step in step_row::of_capture(connection, metadata.capture_id)? {
            if sent.contains(&step.kind) && step.asset_id.is_none_or(|id| id == asset.id) {
                finish(connection, &step, moment.now)?;
            }
        }
    }
    for one in lacking {
        lacking_piece(connection, one, verified, moment.now, found)?;
    }
    // What was removed and is here was fetched back, or its removal never happened.
    rows::change(
        connection,
        "DELETE FROM tombstone WHERE asset_id = ?1 AND piece_index IN
             (SELECT piece_index FROM piece WHERE asset_id = ?1 AND state NOT IN ('purged', 'cancelled'))",
        [asset.id.as_bytes()],
    )?;
    Ok(())
}

/// Gives an asset without a receipt the next place in the chain: its old one is not known any more.
fn take_place(
    connection: &Connection,
    metadata: &CaptureMetadata,
    asset: &Asset,
    pieces: &[snaptrak_seal::PieceEntry],
    moment: &Moment,
) -> Result<(), StoreError> {
    let known =
        rows::first(connection, "SELECT 1 FROM receipt WHERE asset_id = ?1", [asset.id.as_bytes()], |_| Ok(()))?;
    if known.is_some() {
        return Ok(());
    }
    receipts::take_place(connection, |sequence, previous| ReceiptClaims {
        asset_id: asset.id,
        capture_id: metadata.capture_id,
        device_id: metadata.device_id,
        rendition: asset.rendition,
        sequence,
        previous,
        sha256: asset.sha256,
        bytes: asset.bytes,
        pieces: pieces.to_vec(),
        wall: metadata.created.clone(),
        instant: moment.witness.instant.clone(),
        server_offset_ms: None,
        hardware: moment.witness.hardware,
    })
}

/// Whether the asset has a countersignature that speaks of its bytes. One that does not is dropped: it is asked for again.
/// Who signed is checked where the organisation's keys are, by `verify`; here the seal of journal and envelope vouches.
fn is_countersigned(connection: &Connection, asset_id: AssetId) -> Result<bool, StoreError> {
    let id = asset_id.as_bytes();
    let receipt: Option<(Vec<u8>, Option<Vec<u8>>)> =
        rows::first(connection, "SELECT payload, countersigned FROM receipt WHERE asset_id = ?1", [id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let Some((payload, Some(countersigned))) = receipt else { return Ok(false) };
    let holds = ReceiptClaims::from_payload(&payload).is_ok_and(|claims| {
        UntrustedCountersignature::parse(&countersigned)
            .is_ok_and(|said| said.claims().check_against(&claims, &sha256(&payload)).is_ok())
    });
    if !holds {
        let sql = "UPDATE receipt SET countersigned = NULL, countersigned_ms = NULL WHERE asset_id = ?1";
        rows::change(connection, sql, [id])?;
    }
    Ok(holds)
}

/// A piece that is not as its envelope says.
fn lacking_piece(
    connection: &Connection,
    one: &Lacking,
    verified: bool,
    now: UnixMs,
    found: &mut Findings,
) -> Result<(), StoreError> {
    let id = one.asset_id.as_bytes();
    let reason: Option<String> = rows::first(
        connection,
        "SELECT reason FROM tombstone WHERE asset_id = ?1 AND piece_index = ?2",
        params![id, one.index],
        |row| Ok(row.get(0)?),
    )?;
    let given_up = reason.as_deref().is_some_and(|reason| reason != "purged");
    if !(given_up || (verified && reason.is_some())) {
        found.unreadable(path(one), one.code);
        found.incomplete(one.capture_id);
    }
    if verified {
        piece_row::apply(connection, one.asset_id, one.index, PieceEvent::Purge)?;
        // A damaged file is in the way of the one that will be fetched back, and goes as every purged one does.
        rows::change(
            connection,
            "INSERT INTO tombstone (asset_id, piece_index, reason, at_ms, removed) VALUES (?1, ?2, 'purged', ?3, ?4)
             ON CONFLICT (asset_id, piece_index) DO UPDATE SET removed = excluded.removed",
            params![id, one.index, now.0, one.code == UnreadableCode::MissingPiece],
        )?;
        return Ok(());
    }
    let event = if given_up { PieceEvent::Cancel } else { PieceEvent::Park };
    piece_row::apply(connection, one.asset_id, one.index, event)?;
    for step in step_row::of_asset(connection, one.capture_id, one.asset_id, StepKind::SendPiece)? {
        if step.piece_index == Some(one.index) {
            let state = if given_up { StepState::Cancelled } else { StepState::Parked };
            let reason = Reason::new(ReasonCode::LocalDamaged).with("piece", one.index.to_string());
            let write = StepWrite { state, reason: Some(reason), ..step.unchanged() };
            step_row::write(connection, &step, &write, now)?;
        }
    }
    Ok(())
}

fn path(one: &Lacking) -> String {
    let layout = layout::Layout::new(std::path::Path::new(""));
    let folder = if one.incoming { layout.incoming_asset(one.asset_id) } else { layout.settled_asset(one.asset_id) };
    folder.join(layout::piece_name(one.index)).to_string_lossy().into_owned()
}

/// A thumbnail that is not whole goes: it is made again.
fn derived(
    connection: &Connection,
    asset_id: AssetId,
    lacking: &[Lacking],
    found: &mut Findings,
) -> Result<(), StoreError> {
    if lacking.is_empty() {
        return Ok(());
    }
    for one in lacking {
        found.unreadable(path(one), one.code);
    }
    rows::change(connection, "DELETE FROM tombstone WHERE asset_id = ?1", [asset_id.as_bytes()])?;
    rows::change(connection, "DELETE FROM piece WHERE asset_id = ?1", [asset_id.as_bytes()])?;
    rows::change(connection, "DELETE FROM asset WHERE id = ?1", [asset_id.as_bytes()])?;
    Ok(())
}

/// What was found need not be looked for again, and a thumbnail that is there need not be made.
fn finish_found(connection: &Connection, capture_id: CaptureId, now: UnixMs) -> Result<(), StoreError> {
    let exists = |sql: &str| rows::first(connection, sql, [capture_id.as_bytes()], |_| Ok(()));
    let analysed = exists("SELECT 1 FROM finding WHERE capture_id = ?1 LIMIT 1")?.is_some();
    let pictured = exists("SELECT 1 FROM asset WHERE capture_id = ?1 AND rendition = 'thumbnail'")?.is_some();
    for step in step_row::of_capture(connection, capture_id)? {
        let done = match step.kind {
            StepKind::Analyse => analysed,
            StepKind::Thumbnail => pictured,
            StepKind::Redact
            | StepKind::SendRecord
            | StepKind::SendEnvelope
            | StepKind::SendPiece
            | StepKind::SendFindings
            | StepKind::FetchReceipt => false,
        };
        if done {
            finish(connection, &step, now)?;
        }
    }
    Ok(())
}

fn finish(connection: &Connection, step: &StepRow, now: UnixMs) -> Result<(), StoreError> {
    step_row::write(connection, step, &StepWrite { state: StepState::Done, ..step.unchanged() }, now)
}
