//! A wall clock that jumps, between commands and within them: back a year, forward a decade, and home again.
//!
//! What is captured at such times is kept, sent and verified once by a server whose clock is right; the chain of receipts
//! holds, no id comes twice, and nothing waits for a moment that lies a decade ahead.

use serde::Serialize;

use super::check::{self, Tally};
use super::evidence::Acknowledged;
use super::ground::Ground;
use super::job::Job;
use super::{Outcome, shim};
use crate::error::Result;
use crate::terminal;

/// Back a year, forward a decade, a minute, and right.
const OFFSETS_S: [&str; 4] = ["-31536000", "315360000", "60", "0"];

/// Looks at the clock until it jumps within a command: a capture takes a few.
const LOOKS_MAX: u64 = 40;

/// Generated files are small: it is not their bytes that matter.
const GENERATED_BYTES_MAX: u64 = 64 * 1024;

#[derive(Default, Serialize)]
struct Counts {
    /// Commands that ran with a wrong clock.
    commands: u64,
    /// Of these, commands that could not do their work.
    failed: u64,
    /// Whether the chain of receipts holds.
    chain_ok: bool,
    /// Gaps in it.
    gaps: u64,
    #[serde(flatten)]
    tally: Tally,
}

pub(super) fn run(ground: &Ground<'_>, rounds: u64) -> Result<Outcome> {
    let library = match shim::compile(ground, "clock_jumps")? {
        Ok(library) => library,
        Err(why) => return Ok(Outcome::NotRun { why }),
    };
    let site = ground.site(ground.client()?)?;
    let (mut chance, mut sources) = (ground.chance(), ground.sources(GENERATED_BYTES_MAX)?);
    let (mut acknowledged, mut counts) = (Acknowledged::default(), Counts::default());
    for _ in 0..rounds {
        // One jump between commands, then several within one.
        let one = OFFSETS_S[chance.below(OFFSETS_S.len() as u64) as usize].to_owned();
        for offsets in [one, OFFSETS_S.join(",")] {
            let jumping = site
                .client
                .clone()
                .with_environment("LD_PRELOAD", &library)
                .with_environment("SNAPTRAK_CLOCK_OFFSETS_S", &offsets)
                .with_environment("SNAPTRAK_CLOCK_EVERY", (1 + chance.below(LOOKS_MAX)).to_string());
            let capture = Job::Capture(vec![sources.one(&mut chance)?, sources.one(&mut chance)?]);
            let note = Job::Note(format!("at {offsets}, {}", chance.next()));
            for job in [capture, note, Job::Sync] {
                let ended = job.start(&jumping)?.end()?;
                acknowledged.add_all(&ended.lines);
                counts.commands += 1;
                // A window may end with work left: the next one brings it.
                let is_over = ended.code == Some(0) || matches!(job, Job::Sync) && ended.code == Some(INCOMPLETE);
                if !is_over {
                    let (code, lines, words) = (ended.code, ended.lines.last(), &ended.words);
                    terminal::progress(&format!("   {} at {offsets}: {code:?} {lines:?} {words}", job.name()));
                    counts.failed += 1;
                }
            }
        }
    }
    counts.tally = check::all(&site, &acknowledged)?;
    let verified = site.client.ask(&["verify"])?.json;
    counts.chain_ok = verified["chain_ok"] == true;
    counts.gaps = verified["gaps"].as_array().map_or(0, Vec::len) as u64;
    let [lost, duplicates, purged, tried] = counts.tally.conditions();
    let chain = (counts.chain_ok && counts.gaps == 0, "the chain of receipts does not hold");
    let failed = (counts.failed == 0, "a command failed because of its clock");
    Ok(Outcome::judged(&counts, &[lost, duplicates, purged, tried, chain, failed]))
}

/// The exit code of a sync that left something for the next one.
const INCOMPLETE: i32 = 5;
