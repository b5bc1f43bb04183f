//! A disk that fails: EIO on reads, writes, names and syncs, short reads and writes, and no room at single calls.
//!
//! Every command ends with an answer, never with a panic; once the disk is well again, what was acknowledged is there, right
//! and once. A failed sync throws the unsynced bytes away and the next one succeeds (`tests/faults/disk_faults.c`), so that
//! whoever syncs again instead of writing again is found out.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;
use serde_json::Value;
use snaptrak_driver::Client;

use super::check::{self, Tally};
use super::evidence::{Acknowledged, Sources};
use super::ground::{Chance, Ground};
use super::job::{Ended, Job};
use super::{Outcome, shim};
use crate::error::Result;
use crate::terminal;

/// Generated files are small: a fault is to hit every kind of write, not the millionth block.
const GENERATED_BYTES_MAX: u64 = 512 * 1024;
/// Recordings too.
const RECORD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What fails in a round.
const KINDS: [&str; 9] =
    ["sync", "sync", "write", "short", "full", "read", "name", "sync,write,short", "sync,write,full,short,read,name"];

/// One of so many calls fails: from "nearly nothing works" to "once in a while".
const EVERY: [u64; 6] = [3, 10, 30, 100, 300, 1_000];

/// Commands of a round.
const COMMANDS_A_ROUND: u64 = 3;

/// What Rust's runtime ends with after a panic.
const PANIC: i32 = 101;

#[derive(Default, Serialize)]
struct Counts {
    /// Commands that ran on the failing disk.
    commands: u64,
    /// Calls that failed.
    faults: u64,
    /// How often each exit code was seen.
    codes: BTreeMap<i32, u64>,
    /// Commands that panicked, died of a signal or failed without words.
    without_answer: u64,
    /// Captures that open and are not at the server: a step that met the failing disk is parked until its daily try.
    set_aside: u64,
    /// How often the well disk's store did not open.
    unopened: u64,
    #[serde(flatten)]
    tally: Tally,
}

pub(super) fn run(ground: &Ground<'_>, rounds: u64) -> Result<Outcome> {
    let library = match shim::compile(ground, "disk_faults")? {
        Ok(library) => library,
        Err(why) => return Ok(Outcome::NotRun { why }),
    };
    let site = ground.site(ground.client()?)?;
    let log = ground.folder.join("faults.log");
    let failing = site
        .client
        .clone()
        .with_environment("LD_PRELOAD", &library)
        .with_environment("SNAPTRAK_FAULT_FOLDER", shim::canonical(&site.client.store))
        .with_environment("SNAPTRAK_FAULT_LOG", &log);
    let (mut chance, mut sources) = (ground.chance(), ground.sources(GENERATED_BYTES_MAX)?);
    let (mut acknowledged, mut counts) = (Acknowledged::default(), Counts::default());
    for _ in 0..rounds {
        round(&failing, (&mut counts, &mut acknowledged), &mut chance, &mut sources)?;
        let well = site.client.ask(&["status"])?;
        if well.code != 0 {
            terminal::progress(&format!("   the store does not open: {} {}", well.json, well.words));
            counts.unopened += 1;
            break;
        }
    }
    counts.faults = fs::read_to_string(&log).unwrap_or_default().lines().count() as u64;
    counts.tally = check::all(&site, &acknowledged)?;
    // What was set aside is here and is tried again in a day; lost is what is not here.
    counts.set_aside = counts.tally.acknowledged - counts.tally.verified_once;
    counts.tally.lost = counts.tally.acknowledged - counts.tally.opened;
    let [lost, duplicates, purged, _] = counts.tally.conditions();
    let answers = (counts.without_answer == 0, "a command ended without an answer");
    let opens = (counts.unopened == 0, "the store does not open although the disk is well again");
    let tried = (counts.faults > 0, "no call failed");
    Ok(Outcome::judged(&counts, &[lost, duplicates, purged, answers, opens, tried]))
}

/// Some commands on a disk that fails in one way.
fn round(
    failing: &Client,
    (counts, acknowledged): (&mut Counts, &mut Acknowledged),
    chance: &mut Chance,
    sources: &mut Sources,
) -> Result<()> {
    let kinds = KINDS[chance.below(KINDS.len() as u64) as usize];
    let every = EVERY[chance.below(EVERY.len() as u64) as usize];
    for _ in 0..COMMANDS_A_ROUND {
        let seed = chance.next();
        let client = failing
            .clone()
            .with_environment("SNAPTRAK_FAULT_KINDS", kinds)
            .with_environment("SNAPTRAK_FAULT_EVERY", every.to_string())
            .with_environment("SNAPTRAK_FAULT_SEED", seed.to_string());
        let job = Job::draw(chance, sources, RECORD_BYTES_MAX)?;
        let ended = job.start(&client)?.end()?;
        acknowledged.add_all(&ended.lines);
        counts.commands += 1;
        *counts.codes.entry(ended.code.unwrap_or(-1)).or_default() += 1;
        if !is_answer(&ended) {
            counts.without_answer += 1;
            let Ended { code, lines, words } = ended;
            terminal::progress(&format!("   {} {kinds} {every} {seed}: {code:?} {lines:?} {words}", job.name()));
        }
    }
    Ok(())
}

/// No signal, no panic in any thread, and an error says what it is.
fn is_answer(ended: &Ended) -> bool {
    let is_json = ended.lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok());
    let ended_itself = ended.code.is_some_and(|code| code != PANIC);
    ended_itself && is_json && !ended.lines.is_empty() && !ended.words.contains("panicked at")
}
