//! No statement of this crate reads more than it asks for, however large the store is.
//!
//! The statements are taken from the sources themselves, so that a new one is looked at from the day it is written. Triggers
//! are looked at with the statement that fires them.

use super::Fixture;
use rusqlite::{Connection, config::DbConfig};
use std::path::{Path, PathBuf};

/// Tables that do not grow with the store: one row a name, a kind, a state, or a rendition and state; notes that wait, which are bounded.
const SMALL_TABLES: [&str; 7] = ["setting", "enrolment", "intake", "last_success", "tally", "step_tally", "list_start"];

/// Indexes of which one place holds as many rows as the store has: whoever goes along them must say how far.
const WIDE_INDEXES: [&str; 8] = [
    "asset_in_incoming",
    "asset_to_drop",
    "receipt_unsigned",
    "step_parked",
    "step_parked_oldest",
    "step_ready",
    "step_revival",
    "tombstone_to_remove",
];

/// What stands in a statement that may do what the others may not, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("state = 'running'", "few steps run at once: as many as there are lanes"),
    ("WHERE kind = ?1 AND state = ?2", "ends the leases of the steps that ran when the process died"),
    ("AS latest", "the subquery ends after some hundred captures"),
    ("FROM receipt ORDER BY sequence DESC LIMIT 1", "the last row of the table"),
    ("UPDATE capture SET number", "recovery numbers every capture, once"),
];

/// String literals of a source file that are statements, its tests left out.
fn statements(source: &str) -> Vec<String> {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut literals = Vec::new();
    let mut rest = source.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '/' if rest.peek() == Some(&'/') => while rest.next().is_some_and(|next| next != '\n') {},
            '\'' => {
                // A character, or a lifetime, which has no closing quote behind its first letter.
                let first = rest.next();
                if first == Some('\\') {
                    while rest.next().is_some_and(|next| next != '\'') {}
                } else if rest.peek() == Some(&'\'') {
                    rest.next();
                }
            }
            '"' => {
                let mut literal = String::new();
                while let Some(next) = rest.next().filter(|next| *next != '"') {
                    literal.push(match next {
                        '\\' => match rest.next().unwrap() {
                            '\n' => ' ',
                            escaped => escaped,
                        },
                        other => other,
                    });
                }
                literals.push(literal);
            }
            _ => {}
        }
    }
    let begins = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH "];
    literals.retain(|literal| begins.iter().any(|begin| literal.trim_start().starts_with(begin)));
    literals
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| !path.ends_with("tests"))
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    found.sort();
    found
}

/// What `format!` would fill in: names of columns, or a list of values.
fn filled(statement: &str) -> String {
    statement.replace("({})", "('a', 'b')").replace("{COLUMNS}", "*").replace("{}", "*")
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {}", filled(sql)))
        .unwrap_or_else(|error| panic!("{error} in {sql}"));
    // An unbound parameter is NULL; the plan does not depend on it.
    let mut rows = statement.raw_query();
    let mut details = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        // A trigger's own line has no words.
        details.extend(row.get::<_, Option<String>>(3).unwrap());
    }
    details
}

/// Why a statement would read more the more there is; `None`: it would not.
fn grows(sql: &str, plan: &[String]) -> Option<String> {
    let bounded = sql.contains("LIMIT ");
    for detail in plan {
        let table = detail.split(' ').nth(1).unwrap_or_default();
        let wide =
            WIDE_INDEXES.iter().any(|index| detail.contains(&format!("INDEX {index} ")) || detail.ends_with(index));
        if detail.starts_with("SCAN") && !(SMALL_TABLES.contains(&table) || table == "CONSTANT" || (wide && bounded)) {
            return Some(format!("walks a table: {detail}"));
        }
        if (wide || detail.contains(">?)") || detail.contains("<?)")) && !bounded && !SMALL_TABLES.contains(&table) {
            return Some(format!("goes along an index without an end: {detail}"));
        }
        if bounded && detail.contains("TEMP B-TREE") {
            return Some(format!("sorts before it stops: {detail}"));
        }
    }
    None
}

#[test]
fn no_statement_grows_with_the_store() {
    let fixture = Fixture::new();
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut looked_at = 0;
    let mut bad = Vec::new();
    fixture
        .store
        .read(|connection| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP, true)?;
            for file in &files {
                for statement in statements(&std::fs::read_to_string(file).unwrap()) {
                    looked_at += 1;
                    if EXCEPTIONS.iter().any(|(words, _)| statement.contains(words)) {
                        continue;
                    }
                    if let Some(why) = grows(&statement, &plan(connection, &statement)) {
                        bad.push(format!("{}: {why}\n    {statement}", file.display()));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
    // The sources are really read: the crate has dozens of statements.
    assert!(looked_at > 60, "{looked_at}");
}

#[test]
fn every_exception_is_still_needed() {
    let all: Vec<String> = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .iter()
        .flat_map(|file| statements(&std::fs::read_to_string(file).unwrap()))
        .collect();
    for (words, why) in EXCEPTIONS {
        assert!(all.iter().any(|statement| statement.contains(words)), "no statement has {words:?} any more ({why})");
    }
}

/// Deleting a row looks for the rows that refer to it: without an index that walks their table.
#[test]
fn every_foreign_key_has_an_index() {
    let fixture = Fixture::new();
    let sql = "SELECT tables.name, key.'from' FROM sqlite_schema AS tables
                 JOIN pragma_foreign_key_list(tables.name) AS key
                WHERE tables.type = 'table' AND NOT EXISTS (
                    SELECT 1 FROM pragma_index_list(tables.name) AS list
                      JOIN pragma_index_info(list.name) AS info ON info.seqno = 0
                     WHERE info.name = key.'from' AND list.partial = 0)";
    let missing = fixture.store.read(|connection| {
        crate::rows::all(connection, sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
    });
    assert_eq!(missing.unwrap(), []);
}

#[test]
fn ready_reads_the_index_and_sorts_nothing() {
    let fixture = Fixture::new();
    let read = |sql: &str| fixture.store.read(|connection| Ok(plan(connection, sql))).unwrap();
    for sql in [super::super::ready::FRESH, super::super::ready::DUE, super::super::ready::NEXT_TRY] {
        let details = read(sql);
        assert!(details.iter().any(|detail| detail.contains("step_ready")), "{details:?}");
        assert!(!details.iter().any(|detail| detail.contains("TEMP B-TREE")), "{details:?}");
    }
}

#[test]
fn lists_read_narrow_rows_alone() {
    let details = Fixture::new().store.read(|connection| Ok(plan(connection, crate::list::PAGE))).unwrap();
    assert_eq!(details, ["SEARCH list_line USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]);
}

#[test]
fn the_lane_of_the_index_is_the_lane_of_the_merge() {
    let lane = format!("bytes / {}", crate::queue::ready::LANE_BYTES);
    assert!(crate::queue::ready::FRESH.contains(&lane));
    assert!(crate::queue::enqueue::HELD.contains(&lane));
    assert!(crate::migrate::LADDER[1].sql.contains(&lane));
}
