//! Two stores with the same keys: one of a thousand captures, made as an app makes them, and a copy of it whose rows are
//! multiplied by SQL, since a million captures would take an hour to make.
//!
//! Knows the format of the keyset's file (core/seal/README.md) and the schema. Ids move by whole minutes of their time, so that
//! every copy lies behind the one before it.

use super::{KEY, LEASE_MS, copy_folder, store, surroundings};
use base64::{Engine, engine::general_purpose::STANDARD};
use rusqlite::{Connection, OpenFlags, types::Value as SqlValue};
use serde_json::Value;
use snaptrak_domain::{
    CaptureId, KeyClass, KeyStore, Kind, StepKind,
    key_store::WrappedKeys,
    outcome::Outcome,
    queue_store::{AttemptEnd, QueueStore},
};
use snaptrak_store::{CaptureRequest, Store, Surroundings};
use snaptrak_testkit::{FakeClock, FixedKeyStore};
use std::{error::Error, fs, path::Path, sync::Arc};

/// Captures of the small store.
pub(super) const BASE_CAPTURES: usize = 1_000;
/// Between the copies: longer than the small store's captures took by their own clock, which moves a millisecond each.
const APART_MS: i64 = 60_000;
/// Every so manieth capture is a note, and every so manieth a photo that waits for analysis.
const NOTES_EVERY: usize = 5;
const PHOTOS_EVERY: usize = 3;

/// Makes both.
pub(super) fn both(small: &Path, large: &Path, captures: usize) -> Result<(), Box<dyn Error>> {
    let copies = (captures / BASE_CAPTURES).max(1);
    make(small)?;
    copy_folder(small, large)?;
    multiply(large, copies)?;
    // Both are opened and closed once, so that no chore of the making is left to either.
    for folder in [small, large] {
        store(folder)?.close()?;
    }
    Ok(())
}

/// The id in the copy of this number.
fn moved(id: CaptureId, copy: usize) -> CaptureId {
    let mut bytes = *id.as_bytes();
    let mut time = [0; 8];
    time[2..].copy_from_slice(&bytes[..6]);
    let moved_ms = u64::from_be_bytes(time) + copy as u64 * APART_MS.unsigned_abs();
    bytes[..6].copy_from_slice(&moved_ms.to_be_bytes()[2..]);
    CaptureId::from_bytes(bytes)
}

fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(FakeClock::new());
    let store = Store::create(folder, Surroundings { clock: clock.clone(), ..surroundings() })?;
    for number in 0..BASE_CAPTURES {
        clock.advance_ms(1);
        let request = CaptureRequest {
            note: Some(format!("What a person writes about number {number} while standing in the rain")),
            tags: vec!["facade".to_owned(), "water".to_owned()],
            project: Some("Harbour Street 12".to_owned()),
            file_name: Some(format!("IMG_{number:04}.jpg")),
            ..CaptureRequest::default()
        };
        if number % NOTES_EVERY == 0 {
            store.note(
                CaptureRequest { note: None, file_name: None, ..request },
                "The plaster is loose and sounds hollow.",
            )?;
        } else {
            let kind = if number % PHOTOS_EVERY == 0 { Kind::Photo } else { Kind::File };
            store
                .capture(CaptureRequest { kind: Some(kind), ..request }, &mut format!("content {number}").as_bytes())?;
        }
    }
    // Every other record was sent, as after a window that ended early.
    let now = surroundings().clock.now();
    let records = store.ready(StepKind::SendRecord, now, BASE_CAPTURES)?;
    let sent: Vec<i64> = records.iter().skip(1).step_by(2).map(|step| step.step_id).collect();
    let end = |step_id| AttemptEnd { step_id, outcome: Outcome::Done, piece_event: None, now, jitter: 0 };
    sent.iter().try_for_each(|step_id| store.begin(*step_id, now, LEASE_MS))?;
    store.end_all(sent.into_iter().map(end).collect())?;
    Ok(store.close()?)
}

/// The database's raw key out of the keyset that only the fixed key store opens.
fn database_key(folder: &Path) -> Result<String, Box<dyn Error>> {
    let file: Value = serde_json::from_slice(&fs::read(folder.join("keyset/background.json"))?)?;
    let text =
        |value: &Value, name: &str| value[name].as_str().map(str::to_owned).ok_or("the keyset has another format");
    let generation = file["generation"].as_u64().ok_or("the keyset has another format")?;
    let wrapped =
        WrappedKeys { parameters: file["key_store"].clone(), sealed: STANDARD.decode(text(&file, "sealed")?)? };
    let bound =
        [text(&file, "format")?.as_bytes(), KeyClass::Background.as_str().as_bytes(), &generation.to_be_bytes()]
            .concat();
    let plain = FixedKeyStore::new(KEY)
        .unwrap(KeyClass::Background, &wrapped, &bound)
        .map_err(|error| format!("the keyset does not open: {error:?}"))?;
    let keyset: Value = serde_json::from_slice(plain.expose())?;
    let keys = keyset["keys"].as_array().ok_or("the keyset has another format")?;
    let entry = keys.iter().find(|key| key["role"] == "database").ok_or("the keyset has no database key")?;
    let key = STANDARD.decode(text(entry, "key")?)?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Inserts the rows of the small store again and again, moved.
fn multiply(folder: &Path, copies: usize) -> Result<(), Box<dyn Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(folder.join("database/store.sqlite3"), flags)?;
    connection.pragma_update(None, "key", format!("x'{}'", database_key(folder)?))?;
    connection.pragma_update(None, "cipher_hmac_algorithm", "HMAC_SHA256")?;
    // Nothing of this has to survive anything.
    for (name, value) in
        [("journal_mode", "OFF"), ("synchronous", "OFF"), ("cache_size", "-262144"), ("foreign_keys", "OFF")]
    {
        connection.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(none_is_fine)?;
    }
    let triggers: Vec<(String, String)> = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let transaction = connection.transaction()?;
    for (name, _) in &triggers {
        transaction.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    let steps: i64 = transaction.query_row("SELECT max(id) FROM step", [], |row| row.get(0))?;
    for (table, moves) in [
        ("capture", vec![("id", None), ("number", Some(BASE_CAPTURES as i64))]),
        ("asset", vec![("id", None), ("capture_id", None)]),
        ("list_line", vec![("place", Some(BASE_CAPTURES as i64)), ("capture_id", None), ("asset_id", None)]),
        ("piece", vec![("asset_id", None)]),
        ("step", vec![("id", Some(steps)), ("capture_id", None), ("asset_id", None)]),
        ("receipt", vec![("sequence", Some(BASE_CAPTURES as i64)), ("asset_id", None)]),
    ] {
        multiply_table(&transaction, table, &moves, copies)?;
    }
    let factor = i64::try_from(copies)?;
    transaction.execute(
        "UPDATE tally SET assets = assets * ?1, unsent_bytes = unsent_bytes * ?1, local_bytes = local_bytes * ?1",
        [factor],
    )?;
    transaction.execute("UPDATE step_tally SET steps = steps * ?1", [factor])?;
    for (_, sql) in &triggers {
        transaction.execute_batch(sql)?;
    }
    transaction.commit()?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    Ok(())
}

/// A pragma that answers no row has done what it was asked to.
fn none_is_fine(error: rusqlite::Error) -> Result<(), rusqlite::Error> {
    if matches!(error, rusqlite::Error::QueryReturnedNoRows) { Ok(()) } else { Err(error) }
}

/// Every row of a table again for each copy. `moves` names the columns that differ: ids, which move in time, and numbers with
/// what is added a copy.
fn multiply_table(
    connection: &Connection,
    table: &str,
    moves: &[(&str, Option<i64>)],
    copies: usize,
) -> Result<(), Box<dyn Error>> {
    let mut base = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let columns: Vec<String> = base.column_names().map(str::to_owned).collect();
    let change = |column: &String| moves.iter().find(|(name, _)| name == column).map(|(_, added)| *added);
    let changes: Vec<Option<Option<i64>>> = columns.iter().map(change).collect();
    let rows: Vec<Vec<SqlValue>> = base
        .query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect())?
        .collect::<Result<_, _>>()?;
    let marks = vec!["?"; columns.len()].join(", ");
    let mut insert = connection.prepare(&format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", ")))?;
    for copy in 1..copies {
        for row in &rows {
            for (place, (value, change)) in (1..).zip(row.iter().zip(&changes)) {
                match (change, value) {
                    (Some(None), SqlValue::Blob(id)) => {
                        let id = moved(CaptureId::from_bytes(id.as_slice().try_into()?), copy);
                        insert.raw_bind_parameter(place, id.as_bytes())?;
                    }
                    (Some(Some(added)), SqlValue::Integer(number)) => {
                        insert.raw_bind_parameter(place, number + i64::try_from(copy)? * added)?;
                    }
                    _ => insert.raw_bind_parameter(place, value)?,
                }
            }
            insert.raw_execute()?;
        }
    }
    Ok(())
}
