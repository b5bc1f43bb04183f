//! Power cuts on a model of a file system, for what no real one shows on its good days, and for machines that mount nothing.
//!
//! A device works while a library records everything that it does to the files of its store, together with what it prints
//! (`tests/faults/disk_trace.c`). Then the power is cut at random places of that record: what was synced until there is put
//! into a new folder with any mixture of what was not, and the store is opened. Everything that had been printed until there
//! must be in it.

use std::fs;
use std::path::Path;

use serde::Serialize;
use snaptrak_driver::Client;

use super::check::{self, Tally};
use super::disk::failed;
use super::evidence::Acknowledged;
use super::file_system::{FileSystem, Operation};
use super::ground::{Chance, Ground};
use super::job::Job;
use super::{Outcome, shim};
use crate::error::{AtPath, Result};
use crate::terminal;

/// Commands in one record.
const COMMANDS_A_RECORD: u64 = 6;
/// Cuts in one record.
const CUTS_A_RECORD: u64 = 10;

/// Generated files are small: each write is kept in memory until the end of its record, and written at each cut.
const GENERATED_BYTES_MAX: u64 = 256 * 1024;
/// Recordings too.
const RECORD_BYTES_MAX: u64 = 1024 * 1024;

/// Captures opened after a cut, the newest; all are listed. The older ones were opened after other cuts.
const OPENED_MAX: usize = 4;

#[derive(Default, Serialize)]
struct Counts {
    /// Power cuts.
    cuts: u64,
    /// Operations recorded.
    operations: u64,
    /// Captures that were acknowledged before a cut, summed over the cuts; each was looked for.
    acknowledged: u64,
    /// Of these, listed.
    present: u64,
    /// Captures that were opened.
    opened: u64,
    /// Captures that are there twice.
    duplicates: u64,
    /// Acknowledged, and not listed or not opened rightly.
    lost: u64,
    /// Cuts after which the store did not open.
    unopened: u64,
}

/// What happened, in order.
enum Event {
    Did(Operation),
    Printed(Vec<u8>),
}

pub(super) fn run(ground: &Ground<'_>, cuts: u64) -> Result<Outcome> {
    let library = match shim::compile(ground, "disk_trace")? {
        Ok(library) => library,
        Err(why) => return Ok(Outcome::NotRun { why }),
    };
    let mut chance = ground.chance();
    let mut counts = Counts::default();
    while counts.cuts < cuts {
        let events = record(ground, &library, &mut chance)?;
        counts.operations += events.len() as u64;
        for _ in 0..CUTS_A_RECORD.min(cuts - counts.cuts) {
            cut(ground, &events, &mut chance, &mut counts)?;
        }
        terminal::progress(&format!("   {} cuts, {} captures looked for", counts.cuts, counts.acknowledged));
    }
    Ok(Outcome::judged(
        &counts,
        &[
            (counts.lost == 0, "something acknowledged was lost"),
            (counts.unopened == 0, "a store did not open after a cut"),
            (counts.duplicates == 0, "something is there twice"),
            (counts.acknowledged > 0, "nothing was acknowledged, so that nothing was tried"),
        ],
    ))
}

/// A device works for a while.
fn record(ground: &Ground<'_>, library: &Path, chance: &mut Chance) -> Result<Vec<Event>> {
    let client = ground.client()?.with_store(&ground.folder.join("recorded"));
    let log = ground.folder.join("trace");
    for path in [&client.store, &log] {
        // The record before this one.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    fs::create_dir(&client.store).at(&client.store)?;
    let folder = shim::canonical(&client.store);
    let traced = client
        .with_environment("LD_PRELOAD", library)
        .with_environment("SNAPTRAK_TRACE_FOLDER", folder)
        .with_environment("SNAPTRAK_TRACE_LOG", &log);
    traced.tell(&["init"])?;
    let mut sources = ground.sources(GENERATED_BYTES_MAX)?;
    for _ in 0..COMMANDS_A_RECORD {
        let job = Job::draw(chance, &mut sources, RECORD_BYTES_MAX)?;
        job.start(&traced)?.end()?;
    }
    parse(&fs::read(&log).at(&log)?)
}

/// Cuts the power somewhere after the store was made.
fn cut(ground: &Ground<'_>, events: &[Event], chance: &mut Chance, counts: &mut Counts) -> Result<()> {
    let made = events.iter().position(|event| matches!(event, Event::Printed(_))).unwrap_or_default();
    let at = made + 1 + chance.below((events.len() - made) as u64) as usize;
    let mut model = FileSystem::new();
    let mut printed = Vec::new();
    for event in &events[..at] {
        match event {
            Event::Did(operation) => model.apply(operation),
            Event::Printed(bytes) => printed.extend_from_slice(bytes),
        }
    }
    let mut acknowledged = Acknowledged::default();
    String::from_utf8_lossy(&printed).lines().for_each(|line| acknowledged.add(line));
    let store = ground.folder.join(format!("cut-{}", counts.cuts));
    // Nothing of what was not synced, a half of it, or all.
    let one_of = chance.below(3);
    model.cut(chance, one_of).write_to(&store)?;
    let kept = counts.lost + counts.unopened + counts.duplicates;
    look(&ground.client()?.with_store(&store), &acknowledged, counts)?;
    counts.cuts += 1;
    if counts.lost + counts.unopened + counts.duplicates > kept {
        terminal::progress(&format!("   cut at {at} of {}, one of {one_of}: {}", events.len(), store.display()));
        return Ok(());
    }
    fs::remove_dir_all(&store).at(&store)
}

fn look(client: &Client, acknowledged: &Acknowledged, counts: &mut Counts) -> Result<()> {
    counts.acknowledged += acknowledged.len() as u64;
    let opened = client.ask(&["status"])?;
    if opened.code != 0 {
        terminal::progress(&format!("   {} {}", opened.json, opened.words));
        counts.unopened += 1;
        counts.lost += acknowledged.len() as u64;
        return Ok(());
    }
    let listed = check::listed(client)?;
    let is_listed =
        |id: &str, sha256: &str| listed.iter().any(|one| (one.id.as_str(), one.sha256.as_str()) == (id, sha256));
    let present = acknowledged.iter().filter(|(id, sha256)| is_listed(id, sha256)).count() as u64;
    counts.present += present;
    counts.lost += acknowledged.len() as u64 - present;
    // No server has anything of it: nothing may be purged.
    let Tally { opened, purged, duplicates, lost, .. } = check::on_device(client, &acknowledged.newest(OPENED_MAX))?;
    counts.opened += opened;
    counts.duplicates += duplicates;
    counts.lost += lost + purged;
    Ok(())
}

/// Reads a record (see `disk_trace.c`).
fn parse(mut record: &[u8]) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    while !record.is_empty() {
        events.push(next(&mut record).ok_or_else(|| failed("the record of a disk does not parse"))?);
    }
    Ok(events)
}

fn next(record: &mut &[u8]) -> Option<Event> {
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&record[..end]).ok()?;
    *record = &record[end + 1..];
    let (kind, rest) = line.split_once(' ')?;
    let path = rest.to_owned();
    let operation = match kind {
        "A" => return Some(Event::Printed(take(record, rest)?)),
        "W" => {
            let (offset, rest) = rest.split_once(' ')?;
            let (bytes, path) = rest.split_once(' ')?;
            let (offset, path) = (offset.parse().ok()?, path.to_owned());
            Operation::Write { path, offset, bytes: take(record, bytes)? }
        }
        "T" => {
            let (bytes, path) = rest.split_once(' ')?;
            Operation::Truncate { path: path.to_owned(), bytes: bytes.parse().ok()? }
        }
        "R" => {
            let (from, to) = rest.split_once('\t')?;
            Operation::Rename { from: from.to_owned(), to: to.to_owned() }
        }
        "C" => Operation::Create { path },
        "M" => Operation::MakeFolder { path },
        "U" => Operation::Remove { path },
        "S" => Operation::Sync { path },
        _ => return None,
    };
    Some(Event::Did(operation))
}

fn take(record: &mut &[u8], count: &str) -> Option<Vec<u8>> {
    let (bytes, rest) = record.split_at_checked(count.parse().ok()?)?;
    *record = rest;
    Some(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let events = parse(b"C a b\nW 5 3 a b\n\n\nxA 2\nokR a b\tc\nS \nT 7 c\n").unwrap();
        let operations: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Did(operation) => operation.clone(),
                Event::Printed(bytes) => Operation::Create { path: String::from_utf8(bytes.clone()).unwrap() },
            })
            .collect();
        let path = |name: &str| name.to_owned();
        assert_eq!(
            operations,
            [
                Operation::Create { path: path("a b") },
                Operation::Write { path: path("a b"), offset: 5, bytes: b"\n\nx".to_vec() },
                Operation::Create { path: path("ok") },
                Operation::Rename { from: path("a b"), to: path("c") },
                Operation::Sync { path: path("") },
                Operation::Truncate { path: path("c"), bytes: 7 },
            ]
        );
        assert!(parse(b"W 5 9 a\nshort").is_err());
    }
}
