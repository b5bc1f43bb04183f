//! Single values of the store: one row each, JSON.

use crate::{StoreError, rows};
use rusqlite::Connection;
use serde::{Serialize, de::DeserializeOwned};

/// Names of the values.
pub(crate) const STORE_ID: &str = "store_id";
pub(crate) const GENERATION_ID: &str = "generation_id";
/// The device as every organisation will know it, made with the store.
pub(crate) const DEVICE_ID: &str = "device_id";

/// How often the store was opened; its second copy is a file, see `session`.
pub(crate) const SESSION: &str = "session";

/// Public keys with which this store's receipts were signed before its present one, after a recovery without the old keys.
pub(crate) const DEVICE_KEYS: &str = "device_keys";

/// Reads a value.
pub(crate) fn read<T: DeserializeOwned>(connection: &Connection, name: &str) -> Result<Option<T>, StoreError> {
    let text: Option<String> =
        rows::first(connection, "SELECT value FROM setting WHERE name = ?1", [name], |row| Ok(row.get(0)?))?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Damaged { what: "setting" })).transpose()
}

/// Writes a value, or removes it.
pub(crate) fn write<T: Serialize>(connection: &Connection, name: &str, value: Option<&T>) -> Result<(), StoreError> {
    match value {
        Some(value) => {
            let text = serde_json::to_string(value).map_err(|_| StoreError::Damaged { what: "setting" })?;
            rows::change(
                connection,
                "INSERT INTO setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [name, &text],
            )?;
        }
        None => {
            rows::change(connection, "DELETE FROM setting WHERE name = ?1", [name])?;
        }
    }
    Ok(())
}
