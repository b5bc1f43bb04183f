//! The database's files do not grow without bound, and give back what was freed.

use super::world::World;
use crate::{Store, rows, tidy};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Another letter each turn: SQLite does not write a page again that would stay as it is.
fn write_text(store: &Store, turn: usize, bytes: usize) {
    let letter = char::from(b'a' + u8::try_from(turn % 26).unwrap());
    let (name, text) = (format!("large {}", turn % 12), letter.to_string().repeat(bytes));
    store
        .write(move |transaction| {
            let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            rows::change(transaction, sql, [&name, &text]).map(|_| ())
        })
        .unwrap();
}

fn number(store: &Store, pragma: &str) -> i64 {
    store.read(|connection| Ok(connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?)).unwrap()
}

#[test]
fn the_log_does_not_grow_without_bound_under_readers_that_are_always_there() {
    /// Written in all: several times what the log may hold.
    const WRITES: usize = 200;
    const BYTES: usize = 250_000;
    let world = World::new();
    let store = world.create();
    let log = store.layout().database_log();
    let (over, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut largest = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let read = |connection: &Connection| {
                        let began = written.load(Ordering::SeqCst);
                        rows::only(connection, "SELECT count(*) FROM setting", [], |row| rows::count(row, 0))?;
                        // At every commit someone reads an older one, so that SQLite never begins its log anew; but whoever
                        // wants to be alone gets it.
                        while written.load(Ordering::SeqCst) < began + 2
                            && !store.inner.readers.gate().is_shut()
                            && !over.load(Ordering::SeqCst)
                        {
                            std::thread::yield_now();
                        }
                        Ok(())
                    };
                    store.read(read).unwrap();
                }
            });
        }
        for turn in 0..WRITES {
            write_text(&store, turn, BYTES);
            written.fetch_add(1, Ordering::SeqCst);
            largest = largest.max(std::fs::metadata(&log).unwrap().len());
        }
        over.store(true, Ordering::SeqCst);
    });
    assert!(largest < 20_000_000, "{largest} bytes of log for 50 MB of writes");
    store.close().unwrap();
}

#[test]
fn freed_pages_are_given_back_in_the_end() {
    let world = World::new();
    let store = world.create();
    assert_eq!(number(&store, "auto_vacuum"), 2);
    for turn in 0..12 {
        write_text(&store, turn, 1_000_000);
    }
    let full = number(&store, "page_count");
    store
        .write(|transaction| rows::change(transaction, "DELETE FROM setting WHERE name LIKE 'large %'", []).map(|_| ()))
        .unwrap();
    // Closing does the chores that are left.
    store.close().unwrap();
    let store = world.open();
    let (pages, free) = (number(&store, "page_count"), number(&store, "freelist_count"));
    assert!(free <= 2_048 && pages < full - 500, "{pages} pages of {full}, {free} of them free");
    store.close().unwrap();
}

#[test]
fn one_batch_gives_back_as_many_pages_as_it_was_asked_to() {
    let world = World::new();
    let store = world.create();
    write_text(&store, 0, 1_000_000);
    store
        .write(|transaction| rows::change(transaction, "DELETE FROM setting WHERE name LIKE 'large %'", []).map(|_| ()))
        .unwrap();
    let before = number(&store, "freelist_count");
    assert!(before > 200, "{before} free pages");
    store.write(|transaction| tidy::give_back(transaction, 100)).unwrap();
    let after = number(&store, "freelist_count");
    assert_eq!(before - after, 100);
}
