//! Durable notes beside plain SQLite with `synchronous=FULL` at one row a transaction, of the same text.
//!
//! A note is durable as one row and one line of the journal; what makes a capture of it is done when nobody waits. A round of
//! ours is therefore followed by settling everything, outside its time and before the peer's round begins, so that no work
//! of ours slows the peer down. A row of its own has both inside its time.

use super::{Setting, new_store, side_by_side};
use crate::{
    answer::Row,
    measure::{Better, Figure, median, pair, seconds},
};
use rusqlite::Connection;
use snaptrak_store::{CaptureRequest, Store};
use std::{
    error::Error,
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Mutex,
};

/// What a person types between two photos.
const NOTE: &str = "Water stain below the third window, about two metres wide; the plaster is loose and sounds hollow.";
/// Rounds at least: a sync takes as long as the neighbours let it.
const ROUNDS_MIN: usize = 7;
/// Callers side by side.
const CALLERS: usize = 8;
/// Notes of one of them in a round: with the others' fewer than may wait, so that a round measures one thing.
const TURNS: usize = 100;
/// Notes of a caller who is alone.
const TURNS_ALONE: usize = 400;
/// What the floor writes before its sync: what SQLite adds to its log for a row, and a page of the journal.
const FLOOR_BYTES: usize = 8192;

pub(super) const MANY: &str = "note to durable, 8 callers";
pub(super) const SETTLED: &str = "note to durable and settled, 8 callers";
pub(super) const ALONE: &str = "note, 1 caller: p50 (peer: + 1 fdatasync)";

/// A store and a plain database beside it.
struct Sides {
    store: Store,
    plain: Mutex<Connection>,
    _work: tempfile::TempDir,
}

impl Sides {
    fn new(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let work = tempfile::tempdir_in(folder)?;
        let store = new_store(&work.path().join("store"))?;
        let plain = Mutex::new(plain_sqlite(&work.path().join("plain.sqlite3"))?);
        Ok(Self { store, plain, _work: work })
    }

    fn ours(&self) -> Result<(), String> {
        self.store.note(CaptureRequest::default(), NOTE).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Whoever looks settles everything first.
    fn settle(&self) -> Result<(), Box<dyn Error>> {
        self.store.status()?;
        Ok(())
    }

    /// SQLite has one writer: eight callers take turns, as they would on one connection of an app.
    fn peer(&self) -> Result<(), String> {
        let connection = self.plain.lock().map_err(|error| error.to_string())?;
        let mut statement = connection
            .prepare_cached("INSERT INTO note (created_ms, text) VALUES (1790000000000, ?1)")
            .map_err(|error| error.to_string())?;
        statement.execute([NOTE]).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Eight callers; `settled`: until every note is a capture with its envelope, receipt and steps.
fn side_by_side_with_sqlite(setting: &Setting<'_>, settled: bool) -> Result<Row, Box<dyn Error>> {
    let sides = Sides::new(setting.folder)?;
    let rate = |seconds: f64| (CALLERS * TURNS) as f64 / seconds;
    let (name, target) = if settled { (SETTLED, None) } else { (MANY, Some(2.0)) };
    let row = pair(
        &Figure { name, unit: "notes/s", better: Better::Larger, target, rounds: setting.rounds.max(ROUNDS_MIN) },
        &mut || {
            let taken = seconds(|| side_by_side(CALLERS, TURNS, &|_, _| sides.ours()))?;
            let settling = seconds(|| sides.settle())?;
            Ok(rate(if settled { taken + settling } else { taken }))
        },
        &mut || Ok(rate(seconds(|| side_by_side(CALLERS, TURNS, &|_, _| sides.peer()))?)),
        None,
    )?;
    sides.store.close()?;
    Ok(row)
}

pub(super) fn many(setting: &Setting<'_>) -> Result<Row, Box<dyn Error>> {
    side_by_side_with_sqlite(setting, false)
}

pub(super) fn many_settled(setting: &Setting<'_>) -> Result<Row, Box<dyn Error>> {
    side_by_side_with_sqlite(setting, true)
}

/// One caller: the median of a round's notes, beside SQLite's median and that of a sync of its own.
pub(super) fn alone(setting: &Setting<'_>) -> Result<Row, Box<dyn Error>> {
    let sides = Sides::new(setting.folder)?;
    let mut file = tempfile::tempfile_in(setting.folder)?;
    let figure = Figure {
        name: ALONE,
        unit: "µs",
        better: Better::Smaller,
        target: Some(1.0 / 1.5),
        rounds: setting.rounds.max(ROUNDS_MIN),
    };
    let row = pair(
        &figure,
        &mut || {
            let ours = p50(&mut || Ok(sides.ours()?))?;
            sides.settle()?;
            Ok(ours)
        },
        &mut || Ok(p50(&mut || Ok(sides.peer()?))? + sync_p50(&mut file)?),
        None,
    )?;
    sides.store.close()?;
    Ok(row)
}

/// Median of what `work` takes, in microseconds.
fn p50(work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let times = (0..TURNS_ALONE).map(|_| Ok(seconds(&mut *work)? * 1e6));
    Ok(median(times.collect::<Result<Vec<f64>, Box<dyn Error>>>()?))
}

/// Median of an fdatasync of what was just written, the writing not counted, in microseconds.
fn sync_p50(file: &mut File) -> Result<f64, Box<dyn Error>> {
    let bytes = vec![0x5a; FLOOR_BYTES];
    let mut times = Vec::with_capacity(TURNS_ALONE);
    for _ in 0..TURNS_ALONE {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        times.push(seconds(|| Ok(file.sync_data()?))? * 1e6);
    }
    Ok(median(times))
}

fn plain_sqlite(path: &Path) -> Result<Connection, Box<dyn Error>> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, created_ms INTEGER, text TEXT)", [])?;
    Ok(connection)
}
