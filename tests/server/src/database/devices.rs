//! Rows of devices and their signing keys.

use super::{Caller, parsed};
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{AccountId, DeviceId, Sha256Digest, UnixMs};

/// Signing keys that a device may have had: one each rotation, and a device does not rotate weekly.
const KEYS_MAX: u32 = 64;

/// A device as it registers.
pub(crate) struct DeviceRow {
    pub(crate) id: DeviceId,
    pub(crate) name_sealed: Vec<u8>,
    pub(crate) signing_key_id: Sha256Digest,
    pub(crate) signing_public: Vec<u8>,
    pub(crate) media_key_id: Sha256Digest,
    pub(crate) platform: String,
}

/// What registering came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// It is new.
    Made,
    /// It was known and is up to date.
    Known,
    /// Another account has it.
    Taken,
    /// It has had more signing keys than are kept.
    TooManyKeys,
}

pub(crate) fn register(
    transaction: &Transaction<'_>,
    caller: &Caller,
    row: &DeviceRow,
    now: UnixMs,
) -> Result<Registered, Error> {
    let id = row.id.to_string();
    let owner: Option<AccountId> = transaction
        .query_row("SELECT account_id FROM device WHERE id = ?1", [&id], |row| parsed(row, "account_id"))
        .optional()?;
    if owner.is_some_and(|owner| owner != caller.account_id) {
        return Ok(Registered::Taken);
    }
    transaction.execute(
        "INSERT INTO device (id, organisation_id, account_id, name_sealed, media_key_id, platform, created_ms, updated_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
         ON CONFLICT (id) DO UPDATE SET name_sealed = excluded.name_sealed, media_key_id = excluded.media_key_id,
           platform = excluded.platform, updated_ms = excluded.updated_ms",
        params![
            id,
            caller.organisation_id.to_string(),
            caller.account_id.to_string(),
            row.name_sealed,
            row.media_key_id.to_string(),
            row.platform,
            now.0
        ],
    )?;
    transaction.execute(
        "INSERT INTO device_key (device_id, key_id, public, created_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![id, row.signing_key_id.to_string(), row.signing_public, now.0],
    )?;
    let keys: u32 =
        transaction.query_row("SELECT count(*) FROM device_key WHERE device_id = ?1", [&id], |row| row.get(0))?;
    Ok(match owner {
        _ if keys > KEYS_MAX => Registered::TooManyKeys,
        Some(_) => Registered::Known,
        None => Registered::Made,
    })
}

/// Whose device it is, if it is known.
pub(crate) fn owner(transaction: &Transaction<'_>, device_id: DeviceId) -> Result<Option<AccountId>, Error> {
    Ok(transaction
        .prepare_cached("SELECT account_id FROM device WHERE id = ?1")?
        .query_row([device_id.to_string()], |row| parsed(row, "account_id"))
        .optional()?)
}

/// One of the keys that a device has registered: the SEC1 point.
pub(crate) fn signing_key(
    transaction: &Transaction<'_>,
    device_id: DeviceId,
    key_id: &Sha256Digest,
) -> Result<Option<Vec<u8>>, Error> {
    Ok(transaction
        .prepare_cached("SELECT public FROM device_key WHERE device_id = ?1 AND key_id = ?2")?
        .query_row(params![device_id.to_string(), key_id.to_string()], |row| row.get(0))
        .optional()?)
}
