//! Rows of captures and the assets that their records announce. Every statement names the account and its organisation.

use super::{AssetState, Caller, parsed};
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use snaptrak_domain::{AccountId, AssetId, CaptureId, DeviceId, Kind, Rendition, UnixMs};

/// A record as it is stored: what a person wrote is sealed already.
pub(crate) struct NewCapture {
    pub(crate) id: CaptureId,
    pub(crate) device_id: DeviceId,
    pub(crate) kind: Kind,
    pub(crate) created_ms: UnixMs,
    pub(crate) offset_minutes: i32,
    pub(crate) written_sealed: Vec<u8>,
    pub(crate) written_digest: [u8; 32],
    pub(crate) assets: Vec<(AssetId, Rendition)>,
}

/// What storing a record came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// New, or with changes that were taken over.
    Accepted,
    /// Everything was known.
    Unchanged,
    /// Another account's capture.
    NotYours,
    /// What never changes differs: kind, device or time.
    RecordConflict,
    /// One of the assets belongs to another capture or is another rendition.
    AssetConflict,
}

/// A stored capture.
pub(crate) struct CaptureRow {
    pub(crate) id: CaptureId,
    pub(crate) device_id: DeviceId,
    pub(crate) kind: Kind,
    pub(crate) created_ms: UnixMs,
    pub(crate) offset_minutes: i32,
    pub(crate) written_sealed: Vec<u8>,
    pub(crate) received_ms: UnixMs,
}

/// An asset as lists show it.
pub(crate) struct AssetRow {
    pub(crate) id: AssetId,
    pub(crate) rendition: Rendition,
    pub(crate) state: AssetState,
    pub(crate) content_sealed: Option<Vec<u8>>,
}

/// An asset's place, for a request that names the asset alone.
pub(crate) struct StoredAsset {
    pub(crate) capture_id: CaptureId,
    pub(crate) device_id: DeviceId,
    pub(crate) rendition: Rendition,
}

/// Stores a record; doing so twice changes nothing.
pub(crate) fn store(
    transaction: &Transaction<'_>,
    caller: &Caller,
    new: &NewCapture,
    now: UnixMs,
) -> Result<Stored, Error> {
    let id = new.id.to_string();
    let known = transaction
        .prepare_cached(
            "SELECT account_id, device_id, kind, created_ms, offset_minutes, written_digest FROM capture WHERE id = ?1",
        )?
        .query_row([&id], |row| {
            let same = parsed::<DeviceId>(row, "device_id")? == new.device_id
                && parsed::<Kind>(row, "kind")? == new.kind
                && row.get::<_, i64>("created_ms")? == new.created_ms.0
                && row.get::<_, i32>("offset_minutes")? == new.offset_minutes;
            let written: Vec<u8> = row.get("written_digest")?;
            Ok((parsed::<AccountId>(row, "account_id")?, same, written == new.written_digest))
        })
        .optional()?;
    if known.is_some_and(|(owner, ..)| owner != caller.account_id) {
        return Ok(Stored::NotYours);
    }
    if known.is_some_and(|(_, same, _)| !same) {
        return Ok(Stored::RecordConflict);
    }
    // Looked at before anything is written, so that a refused record leaves no trace in the batch's transaction.
    let mut missing = Vec::new();
    for (asset_id, rendition) in &new.assets {
        match asset_place(transaction, *asset_id)? {
            None => missing.push((asset_id, rendition)),
            Some(place) if place == (new.id, *rendition) => {}
            Some(_) => return Ok(Stored::AssetConflict),
        }
    }
    let written_is_known = known.is_some_and(|(.., written)| written);
    if written_is_known && missing.is_empty() {
        return Ok(Stored::Unchanged);
    }
    if !written_is_known {
        write(transaction, caller, new, now)?;
    }
    for (asset_id, rendition) in missing {
        transaction.execute(
            "INSERT INTO asset (id, capture_id, organisation_id, rendition, state) VALUES (?1, ?2, ?3, ?4, 'open')
             ON CONFLICT (id) DO NOTHING",
            params![asset_id.to_string(), id, caller.organisation_id.to_string(), rendition.as_str()],
        )?;
    }
    Ok(Stored::Accepted)
}

fn write(transaction: &Transaction<'_>, caller: &Caller, new: &NewCapture, now: UnixMs) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO capture (id, organisation_id, account_id, device_id, kind, created_ms, offset_minutes,
                              written_sealed, written_digest, received_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO UPDATE SET written_sealed = excluded.written_sealed, written_digest = excluded.written_digest",
        params![
            new.id.to_string(),
            caller.organisation_id.to_string(),
            caller.account_id.to_string(),
            new.device_id.to_string(),
            new.kind.as_str(),
            new.created_ms.0,
            new.offset_minutes,
            new.written_sealed,
            new.written_digest,
            now.0
        ],
    )?;
    Ok(())
}

fn asset_place(transaction: &Transaction<'_>, asset_id: AssetId) -> Result<Option<(CaptureId, Rendition)>, Error> {
    Ok(transaction
        .prepare_cached("SELECT capture_id, rendition FROM asset WHERE id = ?1")?
        .query_row([asset_id.to_string()], |row| Ok((parsed(row, "capture_id")?, parsed(row, "rendition")?)))
        .optional()?)
}

/// The caller's capture with this id.
pub(crate) fn one(transaction: &Transaction<'_>, caller: &Caller, id: CaptureId) -> Result<Option<CaptureRow>, Error> {
    Ok(transaction
        .prepare_cached(
            "SELECT id, device_id, kind, created_ms, offset_minutes, written_sealed, received_ms FROM capture
             WHERE organisation_id = ?1 AND account_id = ?2 AND id = ?3",
        )?
        .query_row(
            params![caller.organisation_id.to_string(), caller.account_id.to_string(), id.to_string()],
            capture_row,
        )
        .optional()?)
}

/// The caller's captures after an id, in the order of their ids.
pub(crate) fn page(
    transaction: &Transaction<'_>,
    caller: &Caller,
    after: Option<CaptureId>,
    limit: u32,
) -> Result<Vec<CaptureRow>, Error> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, device_id, kind, created_ms, offset_minutes, written_sealed, received_ms FROM capture
         WHERE organisation_id = ?1 AND account_id = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = statement.query_map(
        params![caller.organisation_id.to_string(), caller.account_id.to_string(), after, limit],
        capture_row,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn capture_row(row: &Row<'_>) -> rusqlite::Result<CaptureRow> {
    Ok(CaptureRow {
        id: parsed(row, "id")?,
        device_id: parsed(row, "device_id")?,
        kind: parsed(row, "kind")?,
        created_ms: UnixMs(row.get("created_ms")?),
        offset_minutes: row.get("offset_minutes")?,
        written_sealed: row.get("written_sealed")?,
        received_ms: UnixMs(row.get("received_ms")?),
    })
}

/// The assets of a capture that was found for its caller.
pub(crate) fn assets(transaction: &Transaction<'_>, capture_id: CaptureId) -> Result<Vec<AssetRow>, Error> {
    let mut statement = transaction
        .prepare_cached("SELECT id, rendition, state, content_sealed FROM asset WHERE capture_id = ?1 ORDER BY id")?;
    let rows = statement.query_map([capture_id.to_string()], |row| {
        Ok(AssetRow {
            id: parsed(row, "id")?,
            rendition: parsed(row, "rendition")?,
            state: parsed(row, "state")?,
            content_sealed: row.get("content_sealed")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The caller's asset with this id.
pub(crate) fn asset(transaction: &Transaction<'_>, caller: &Caller, id: AssetId) -> Result<Option<StoredAsset>, Error> {
    Ok(transaction
        .prepare_cached(
            "SELECT capture_id, device_id, rendition FROM asset JOIN capture ON capture.id = capture_id
             WHERE capture.organisation_id = ?1 AND account_id = ?2 AND asset.id = ?3",
        )?
        .query_row(params![caller.organisation_id.to_string(), caller.account_id.to_string(), id.to_string()], |row| {
            Ok(StoredAsset {
                capture_id: parsed(row, "capture_id")?,
                device_id: parsed(row, "device_id")?,
                rendition: parsed(row, "rendition")?,
            })
        })
        .optional()?)
}
