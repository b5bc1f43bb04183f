//! Durable notes beside plain SQLite with `synchronous=FULL` at one row a transaction.

use super::{new_store, side_by_side};
use crate::{
    answer::Row,
    measure::{Better, Figure, pair, seconds},
};
use rusqlite::Connection;
use snaptrak_store::CaptureRequest;
use std::{error::Error, path::Path, sync::Mutex};

/// What a person types between two photos.
const NOTE: &str = "Water stain below the third window, about two metres wide; the plaster is loose and sounds hollow.";
/// Notes of one caller in a round.
const TURNS: usize = 200;

pub(super) fn name(callers: usize) -> String {
    format!("note to durable, {callers} callers")
}

pub(super) fn durable(folder: &Path, callers: usize, rounds: usize) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir_in(folder)?;
    let store = new_store(&work.path().join("store"))?;
    let plain = Mutex::new(plain_sqlite(&work.path().join("plain.sqlite3"))?);
    let notes = (callers * TURNS) as f64;
    let ours =
        |_: usize, _: usize| store.note(CaptureRequest::default(), NOTE).map(|_| ()).map_err(|error| error.to_string());
    let peer = |_: usize, _: usize| {
        // SQLite has one writer: eight callers take turns, as they would on one connection of an app.
        let connection = plain.lock().map_err(|error| error.to_string())?;
        let mut statement = connection
            .prepare_cached("INSERT INTO note (created_ms, text) VALUES (1790000000000, ?1)")
            .map_err(|error| error.to_string())?;
        statement.execute([NOTE]).map(|_| ()).map_err(|error| error.to_string())
    };
    let row = pair(
        &Figure { name: &name(callers), unit: "notes/s", better: Better::Larger, target: None, rounds },
        &mut || Ok(notes / seconds(|| side_by_side(callers, TURNS, &ours))?),
        &mut || Ok(notes / seconds(|| side_by_side(callers, TURNS, &peer))?),
        None,
    )?;
    store.close()?;
    Ok(row)
}

fn plain_sqlite(path: &Path) -> Result<Connection, Box<dyn Error>> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, created_ms INTEGER, text TEXT)", [])?;
    Ok(connection)
}
