//! SIGKILL at random moments of capture, notes, recordings, analysis, upload, purges and new keys, of the client and of the
//! server.
//!
//! What was acknowledged must be there, open with the same digest, and be verified by the server exactly once. What was purged
//! is listed as purged, and is fetched back for that.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Outcome;
use super::check::{self, Tally};
use super::evidence::Acknowledged;
use super::ground::{Chance, Ground, Site};
use super::job::{self, Job};
use crate::error::Result;
use crate::terminal;

/// What a command is expected to take before the first one was watched: opening takes some 200 ms, half of it the
/// passphrase; the work that must not be lost comes after.
const EXPECTED_MS: u64 = 800;
/// A command is never expected to end sooner than its store opens, nor to take longer than anyone would watch.
const EXPECTED_MS_RANGE: std::ops::RangeInclusive<u64> = 250..=20_000;

/// Processes started for one kill, at most: the moment is learned after a few.
const TRIES_A_KILL: u64 = 6;
/// One of so many kills hits a purge, whatever chance draws beside it: little is verified where most syncs are killed.
const KILLS_A_PURGE: u64 = 8;
/// From so many kills on, some purge must have come so far that something was purged.
const KILLS_WITH_PURGES: u64 = 50;

/// A line of progress after so many kills.
const KILLS_BETWEEN_WORDS: u64 = 10;

/// Generated files are up to this long: most fit into a few segments, some need several pieces' worth of time to send.
const GENERATED_BYTES_MAX: u64 = 6 * 1024 * 1024;
/// Recordings are up to this long: some have a finished piece when they are killed.
const RECORD_BYTES_MAX: u64 = 40 * 1024 * 1024;

#[derive(Serialize)]
struct Counts {
    /// Processes that were killed while they ran.
    kills: u64,
    #[serde(flatten)]
    tally: Tally,
}

/// How long the commands take, learned from watching them: a kill after the end kills nothing, and kills before the work
/// begins prove little, so that the moment is drawn over what the command is expected to take.
#[derive(Default)]
pub(super) struct Lives(BTreeMap<&'static str, u64>);

impl Lives {
    /// What is known of a command, or of the one that tells the most.
    fn expected_ms(&self, command: &str) -> u64 {
        self.0.get(command).or_else(|| self.0.get("capture")).copied().unwrap_or(EXPECTED_MS)
    }

    /// A random moment in the life of a command. A purge is short beside the opening before it, which the other commands try
    /// often enough: its moments are in the second half.
    pub(super) fn draw(&self, command: &'static str, chance: &mut Chance) -> Duration {
        let expected_ms = self.expected_ms(command);
        let from_ms = if command == "purge" { expected_ms / 2 } else { 0 };
        Duration::from_millis(from_ms + chance.below(expected_ms - from_ms))
    }

    /// Learns from a command that was interrupted after this time, or had ended before. One of a command that tells of its
    /// work as it goes, and had told nothing, came far too soon: on a loaded machine opening alone can take seconds.
    pub(super) fn learn(&mut self, command: &'static str, lived: Duration, was_running: bool, has_told: bool) {
        let expected_ms = self.expected_ms(command);
        let lived_ms = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
        let learned_ms = match (was_running, has_told || command != "capture") {
            (true, true) => expected_ms + lived_ms / 8,
            (true, false) => expected_ms + lived_ms,
            (false, _) => (expected_ms + lived_ms) / 2,
        };
        self.0.insert(command, learned_ms.clamp(*EXPECTED_MS_RANGE.start(), *EXPECTED_MS_RANGE.end()));
    }
}

pub(super) fn run(ground: &Ground<'_>, rounds: u64) -> Result<Outcome> {
    let mut site = ground.site(ground.client()?)?;
    let (mut chance, mut sources) = (ground.chance(), ground.sources(GENERATED_BYTES_MAX)?);
    let (mut acknowledged, mut lives) = (Acknowledged::default(), Lives::default());
    let (mut kills, mut told) = (0, 0);
    // On a machine so loaded that every kill comes too soon, this much is there to be lost.
    acknowledged.add_all(&Job::Capture(sources.choose(&mut chance)?).start(&site.client)?.end()?.lines);
    // A process that ended before its kill was not killed: another one takes its place.
    for _ in 0..rounds.saturating_mul(TRIES_A_KILL) {
        if kills >= rounds {
            break;
        }
        let job = if kills % KILLS_A_PURGE == KILLS_A_PURGE - 1 {
            Job::purge(&mut chance)
        } else {
            Job::draw(&mut chance, &mut sources, RECORD_BYTES_MAX)?
        };
        if let Some(before) = job.before() {
            acknowledged.add_all(&before.start(&site.client)?.end()?.lines);
        }
        kills += if matches!(job, Job::Sync) && chance.below(4) == 0 {
            kill_server_and_client(&mut site, (&mut chance, &mut lives))?
        } else {
            kill_client(&site, &job, (&mut chance, &mut lives), &mut acknowledged)?
        };
        if kills >= told + KILLS_BETWEEN_WORDS {
            told = kills;
            terminal::progress(&format!("   {told} kills, {} captures acknowledged", acknowledged.len()));
        }
    }
    let counts = Counts { kills, tally: check::all(&site, &acknowledged)? };
    let killed = (kills >= rounds, "too few processes were killed");
    let purged = (counts.tally.purged > 0 || rounds < KILLS_WITH_PURGES, "no purge came so far that anything went");
    Ok(Outcome::judged(&counts, &[&counts.tally.conditions()[..], &[killed, purged]].concat()))
}

fn kill_client(
    site: &Site,
    job: &Job,
    (chance, lives): (&mut Chance, &mut Lives),
    acknowledged: &mut Acknowledged,
) -> Result<u64> {
    let mut running = job.start(&site.client)?;
    let life = lives.draw(job.name(), chance);
    job::wait(life);
    let was_running = running.kill()?;
    let lines = running.end()?.lines;
    acknowledged.add_all(&lines);
    lives.learn(job.name(), life, was_running, !lines.is_empty());
    Ok(u64::from(was_running))
}

/// Kills the server while the client syncs, then the client.
fn kill_server_and_client(site: &mut Site, (chance, lives): (&mut Chance, &mut Lives)) -> Result<u64> {
    let mut running = Job::Sync.start(&site.client)?;
    job::wait(lives.draw("sync", chance));
    let later = lives.draw("sync", chance) / 4;
    let mut was_running = Ok(false);
    site.kill_server(|| {
        job::wait(later);
        was_running = running.kill();
    })?;
    running.end()?;
    Ok(1 + u64::from(was_running?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_purge_is_hit_in_its_second_half_and_the_others_anywhere() {
        let (mut lives, mut chance) = (Lives::default(), Chance::new(1));
        lives.learn("purge", Duration::from_millis(EXPECTED_MS), false, true);
        let mut drawn = |command| (0..100).map(|_| lives.draw(command, &mut chance).as_millis()).min().unwrap();
        assert!(drawn("purge") >= u128::from(EXPECTED_MS / 2));
        assert!(drawn("note") < u128::from(EXPECTED_MS / 4));
    }
}
