//! Rows into values of the domain.
//!
//! Owns how a cell becomes an id, a word, a number. Refuses to know any query. A cell that no version of the schema could
//! have written is damage, said as such, and never a default.

use crate::StoreError;
use rusqlite::{Connection, Params, Row};
use snaptrak_domain::{AssetId, CaptureId, Reason, Sha256Digest, UnixMs};
use std::str::FromStr;

/// Every row of a query.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// The first row of a query, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// The only row of a query that always has one.
pub(crate) fn only<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    first(connection, sql, params, read)?.ok_or(StoreError::Damaged { what: "a row that must exist" })
}

/// Runs a statement that changes rows; the answer is how many.
pub(crate) fn change(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// A capture's id.
pub(crate) fn capture_id(row: &Row<'_>, column: usize) -> Result<CaptureId, StoreError> {
    Ok(CaptureId::from_bytes(row.get(column)?))
}

/// An asset's id.
pub(crate) fn asset_id(row: &Row<'_>, column: usize) -> Result<AssetId, StoreError> {
    Ok(AssetId::from_bytes(row.get(column)?))
}

/// A digest.
pub(crate) fn digest(row: &Row<'_>, column: usize) -> Result<Sha256Digest, StoreError> {
    Ok(Sha256Digest(row.get(column)?))
}

/// A wall time.
pub(crate) fn unix_ms(row: &Row<'_>, column: usize) -> Result<UnixMs, StoreError> {
    Ok(UnixMs(row.get(column)?))
}

/// A wall time that may be absent.
pub(crate) fn unix_ms_or_none(row: &Row<'_>, column: usize) -> Result<Option<UnixMs>, StoreError> {
    Ok(row.get::<_, Option<i64>>(column)?.map(UnixMs))
}

/// A word of the vocabulary.
pub(crate) fn word<T: FromStr>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, StoreError> {
    let text = row.get_ref(column)?.as_str().map_err(|_| StoreError::Damaged { what })?;
    text.parse().map_err(|_| StoreError::Damaged { what })
}

/// A reason in its column's JSON.
pub(crate) fn reason(row: &Row<'_>, column: usize) -> Result<Option<Reason>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Damaged { what: "reason" })).transpose()
}

/// A number that is not negative.
pub(crate) fn count(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| StoreError::Damaged { what: "count" })
}

/// A small number that is not negative.
pub(crate) fn small(row: &Row<'_>, column: usize) -> Result<u32, StoreError> {
    u32::try_from(row.get::<_, i64>(column)?).map_err(|_| StoreError::Damaged { what: "count" })
}

/// A reason as its column holds it.
pub(crate) fn reason_text(reason: &Reason) -> String {
    serde_json::to_string(reason).expect("a code, a number and a map of texts always have JSON")
}

/// A length or count as SQLite holds numbers; what does not fit is no length of ours.
pub(crate) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Refused { code: "too_large" })
}
