//! A capture's rows as lines of the new journal: everything that is only rows.

use crate::{
    StoreError, annotations,
    journal::{Entry, Lines},
    queue::outgoing,
    receipts, rows,
};
use rusqlite::Connection;
use snaptrak_domain::{AssetId, CaptureId, Finding, UnixMs};
use std::collections::BTreeMap;

/// Adds what the journal has to know of a capture.
pub(super) fn capture(
    connection: &Connection,
    capture_id: CaptureId,
    metadata_differs: bool,
    lines: &mut Lines,
) -> Result<(), StoreError> {
    let id = capture_id.as_bytes();
    let assets: Vec<(AssetId, Option<Vec<u8>>)> =
        rows::all(connection, "SELECT id, envelope FROM asset WHERE capture_id = ?1", [id], |row| {
            Ok((rows::asset_id(row, 0)?, row.get(1)?))
        })?;
    for (asset_id, envelope) in &assets {
        if let Some(envelope) = envelope {
            let sql = "SELECT sealed FROM piece WHERE asset_id = ?1 AND sealed IS NOT NULL";
            let piece: Vec<u8> = rows::only(connection, sql, [asset_id.as_bytes()], |row| Ok(row.get(0)?))?;
            lines.note(envelope, &piece);
        }
        asset(connection, *asset_id, lines)?;
    }
    findings(connection, capture_id, lines)?;
    let kept: Option<(bool, Option<UnixMs>)> =
        rows::first(connection, "SELECT pinned, viewed_ms FROM keep WHERE capture_id = ?1", [id], |row| {
            Ok((row.get(0)?, rows::unix_ms_or_none(row, 1)?))
        })?;
    if let Some((pinned, viewed_ms)) = kept {
        lines.entry(&Entry::Keep { capture_id, pinned, viewed_ms });
    }
    for annotation in annotations::all_of_capture(connection, capture_id)? {
        lines.entry(&Entry::Annotation { capture_id, annotation });
    }
    if metadata_differs {
        lines.entry(&Entry::Metadata { capture_id, metadata: outgoing::metadata(connection, capture_id)? });
    }
    Ok(())
}

fn asset(connection: &Connection, asset_id: AssetId, lines: &mut Lines) -> Result<(), StoreError> {
    let receipt = receipts::entry(connection, asset_id)?;
    receipt.iter().for_each(|entry| lines.entry(entry));
    let tombstones: Vec<(u32, String, UnixMs)> = rows::all(
        connection,
        "SELECT piece_index, reason, at_ms FROM tombstone WHERE asset_id = ?1 ORDER BY piece_index",
        [asset_id.as_bytes()],
        |row| Ok((rows::small(row, 0)?, row.get(1)?, rows::unix_ms(row, 2)?)),
    )?;
    let mut grouped = BTreeMap::<(String, UnixMs), Vec<u32>>::new();
    for (index, reason, at_ms) in tombstones {
        grouped.entry((reason, at_ms)).or_default().push(index);
    }
    for ((reason, at_ms), pieces) in grouped {
        lines.entry(&Entry::Tombstone { asset_id, pieces, reason, at_ms });
    }
    Ok(())
}

fn findings(connection: &Connection, capture_id: CaptureId, lines: &mut Lines) -> Result<(), StoreError> {
    let found: Vec<(AssetId, UnixMs, Finding)> = rows::all(
        connection,
        "SELECT asset_id, found_ms, body FROM finding WHERE capture_id = ?1 ORDER BY id",
        [capture_id.as_bytes()],
        |row| {
            let body = row.get_ref(2)?.as_str().map_err(|_| StoreError::Damaged { what: "finding" })?;
            let finding = serde_json::from_str(body).map_err(|_| StoreError::Damaged { what: "finding" })?;
            Ok((rows::asset_id(row, 0)?, rows::unix_ms(row, 1)?, finding))
        },
    )?;
    let mut grouped = BTreeMap::<(AssetId, UnixMs), Vec<Finding>>::new();
    for (asset_id, found_ms, finding) in found {
        grouped.entry((asset_id, found_ms)).or_default().push(finding);
    }
    for ((asset_id, found_ms), findings) in grouped {
        lines.entry(&Entry::Findings { capture_id, asset_id, findings, found_ms });
    }
    Ok(())
}
