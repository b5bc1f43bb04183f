//! `cargo xtask crash`: the trials in which processes, power, disks and clocks fail, and nothing acknowledged may be lost.
//!
//! Owns: the list of trials, how each is asked for, and what is printed of it. A trial is a file beside this one and a row of
//! [`TRIALS`]; it refuses to know the others. Chance comes from a seed, so that a failing trial can be told and started
//! again; the moment at which a signal lands is the machine's. A trial that this machine cannot run says so and counts as
//! skipped, never as passed. When one does not hold, its folder is kept.

mod check;
mod clock;
mod contents;
mod cut_recording;
mod disk;
mod evidence;
mod file_system;
mod flips;
mod full_disk;
mod ground;
mod io_errors;
mod job;
mod kills;
mod power_cut;
mod power_model;
mod recorder;
mod recording;
mod recover;
mod recovered;
mod recovery;
mod shim;
mod stream;
mod two_processes;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};

use self::ground::Ground;
use crate::cache::Cache;
use crate::error::{AtPath, Error, Result};
use crate::{build, models, pictures, prerequisites, terminal};

/// Kills when nothing else is asked for.
const ROUNDS_DEFAULT: u64 = 100;
/// A recording of an afternoon, and one that the gate has time for.
const RECORDING_BYTES_LONG: u64 = 2_000_000_000;
const RECORDING_BYTES_SHORT: u64 = 48_000_000;

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// How many processes are killed (100 when no other trial is asked for)
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// How often the power is cut under a file system with the store
    #[arg(long, value_name = "N")]
    power_cuts: Option<u64>,
    /// How often the power is cut on a model of a file system, which drops what was not synced in any mixture
    #[arg(long, value_name = "N")]
    model_cuts: Option<u64>,
    /// How often the disk is full at a random moment
    #[arg(long, value_name = "N")]
    full_disk: Option<u64>,
    /// For so many rounds the disk fails: EIO, short reads and writes
    #[arg(long, value_name = "N")]
    io_errors: Option<u64>,
    /// For so many rounds the wall clock jumps
    #[arg(long, value_name = "N")]
    clock: Option<u64>,
    /// For so many seconds four processes write to one store
    #[arg(long, value_name = "SECONDS")]
    two_processes: Option<u64>,
    /// Every Nth byte of a store is flipped
    #[arg(long, value_name = "N")]
    flips: Option<u64>,
    /// How many recoveries of a store without its database are killed
    #[arg(long, value_name = "N")]
    recover: Option<u64>,
    /// How many long recordings are killed
    #[arg(long, value_name = "N")]
    recording: Option<u64>,
    /// How long the source of each of them is (2 GB; 48 MB in the gate)
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    bytes: Option<u64>,
    /// Every trial, as short as in the gate
    #[arg(long)]
    short: bool,
    /// Every trial, in full
    #[arg(long, conflicts_with = "short")]
    long: bool,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the result to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One way to fail.
struct Trial {
    name: &'static str,
    /// How much of it the gate runs.
    short: u64,
    /// How much of it is the full form.
    long: u64,
    asked: fn(&Command) -> Option<u64>,
    run: fn(&Ground<'_>, u64) -> Result<Outcome>,
}

const TRIALS: &[Trial] = &[
    Trial { name: "kills", short: 12, long: 500, asked: |command| command.rounds, run: kills::run },
    Trial { name: "power_cuts", short: 3, long: 50, asked: |command| command.power_cuts, run: power_cut::run },
    Trial { name: "model_cuts", short: 4, long: 100, asked: |command| command.model_cuts, run: power_model::run },
    Trial { name: "full_disk", short: 2, long: 20, asked: |command| command.full_disk, run: full_disk::run },
    Trial { name: "io_errors", short: 4, long: 100, asked: |command| command.io_errors, run: io_errors::run },
    Trial { name: "clock", short: 1, long: 20, asked: |command| command.clock, run: clock::run },
    Trial { name: "flips", short: 397, long: 1, asked: |command| command.flips, run: flips::run },
    Trial {
        name: "two_processes",
        short: 2,
        long: 20,
        asked: |command| command.two_processes,
        run: two_processes::run,
    },
    Trial { name: "recover", short: 3, long: 20, asked: |command| command.recover, run: recover::run },
    Trial { name: "recording", short: 3, long: 20, asked: |command| command.recording, run: recording::run },
];

/// What came of a trial.
enum Outcome {
    /// It ran; its counts, and why it did not hold, if it did not.
    Ran { counts: Value, broken: Option<String> },
    /// This machine cannot run it.
    NotRun { why: String },
}

impl Outcome {
    /// A trial that ran, with the first of the conditions that did not hold.
    fn judged(counts: &impl Serialize, conditions: &[(bool, &str)]) -> Self {
        let broken = conditions.iter().find(|(holds, _)| !holds).map(|(_, words)| (*words).to_owned());
        Self::Ran { counts: serde_json::to_value(counts).unwrap_or_default(), broken }
    }
}

/// Runs the trials that were asked for; an error when one does not hold.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    prerequisites::ensure()?;
    models::ensure(cache)?;
    pictures::ensure(cache)?;
    let programs = build::programs()?;
    let work = cache.workspace()?;
    let recording_bytes = if command.short { RECORDING_BYTES_SHORT } else { RECORDING_BYTES_LONG };
    let recording_bytes = command.bytes.unwrap_or(recording_bytes);
    let mut account = Account { is_gate: command.short, ..Account::default() };
    for (trial, amount) in asked(command) {
        terminal::progress(&format!("-- {} {amount}", trial.name));
        let folder = work.path().join(trial.name);
        fs::create_dir(&folder).at(&folder)?;
        let ground = Ground::new(&programs, cache, folder, command.seed, recording_bytes);
        let started = now();
        let outcome = (trial.run)(&ground, amount);
        account.add(trial.name, outcome, started);
    }
    if let Some(file) = &command.json {
        account.write(file)?;
    }
    if account.broken.is_empty() {
        return Ok(());
    }
    let next = format!("the folders of the trials are kept in {}", work.keep().display());
    Err(Error::Missing { what: format!("did not hold: {}", account.broken.join("; ")), next })
}

fn asked(command: &Command) -> Vec<(&'static Trial, u64)> {
    let every = |amount: fn(&Trial) -> u64| TRIALS.iter().map(move |trial| (trial, amount(trial))).collect();
    if command.long {
        return every(|trial| trial.long);
    }
    if command.short {
        return every(|trial| trial.short);
    }
    let named: Vec<_> =
        TRIALS.iter().filter_map(|trial| (trial.asked)(command).map(|amount| (trial, amount))).collect();
    if named.is_empty() { vec![(&TRIALS[0], ROUNDS_DEFAULT)] } else { named }
}

#[expect(clippy::disallowed_methods, reason = "a trial tells a person how long it took")]
fn now() -> Instant {
    Instant::now()
}

/// What is told of the trials at their end.
#[derive(Default)]
struct Account {
    /// The gate counts checks by closing lines as a test runner prints them; scripts want one line of JSON a trial.
    is_gate: bool,
    trials: Vec<Value>,
    not_run: Vec<Value>,
    broken: Vec<String>,
}

impl Account {
    fn add(&mut self, name: &str, outcome: Result<Outcome>, started: Instant) {
        let mut line = Map::from_iter([("trial".to_owned(), name.into())]);
        let verdict = match outcome {
            Ok(Outcome::Ran { counts, broken }) => {
                line.extend(counts.as_object().cloned().unwrap_or_default());
                line.insert("seconds".to_owned(), started.elapsed().as_secs().into());
                terminal::result(&Value::Object(line.clone()).to_string());
                self.trials.push(Value::Object(line));
                broken
            }
            Ok(Outcome::NotRun { why }) => {
                // The gate reads this line.
                terminal::result(&format!("skipped {name}: {why}"));
                self.not_run.push(serde_json::json!({ "name": name, "why": why }));
                return;
            }
            Err(error) => Some(error.to_string()),
        };
        if self.is_gate {
            let failed = u64::from(verdict.is_some());
            terminal::result(&format!("test result: {} passed; {failed} failed", 1 - failed));
        }
        self.broken.extend(verdict.map(|words| format!("{name}: {words}")));
    }

    /// The counts of the kills stand at the top, where scripts look for them; every trial is in the list.
    fn write(&self, file: &std::path::Path) -> Result<()> {
        let kills = self.trials.iter().find(|trial| trial["trial"] == "kills");
        let mut whole = kills.and_then(Value::as_object).cloned().unwrap_or_default();
        whole.remove("trial");
        whole.insert("trials".to_owned(), self.trials.clone().into());
        whole.insert("not_run".to_owned(), self.not_run.clone().into());
        fs::write(file, format!("{}\n", Value::Object(whole))).at(file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        command: Command,
    }

    fn names(words: &[&str]) -> Vec<(&'static str, u64)> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"crash").chain(words)).unwrap();
        asked(&arguments.command).into_iter().map(|(trial, amount)| (trial.name, amount)).collect()
    }

    #[test]
    fn what_is_asked_for_runs_and_nothing_else() {
        assert_eq!(names(&[]), [("kills", ROUNDS_DEFAULT)]);
        assert_eq!(names(&["--rounds", "7", "--seed", "3"]), [("kills", 7)]);
        assert_eq!(names(&["--two-processes", "1"]), [("two_processes", 1)]);
        assert_eq!(names(&["--recover", "5"]), [("recover", 5)]);
        assert_eq!(names(&["--recording", "2", "--bytes", "1000"]), [("recording", 2)]);
        assert_eq!(names(&["--short"]).len(), TRIALS.len());
        assert!(names(&["--long"]).contains(&("kills", 500)));
    }

    #[test]
    fn the_counts_of_the_kills_stand_at_the_top_and_a_skipped_trial_is_named() {
        let mut account = Account::default();
        let counts = serde_json::json!({ "kills": 3, "lost": 0 });
        account.add("kills", Ok(Outcome::Ran { counts, broken: None }), now());
        account.add("other", Ok(Outcome::NotRun { why: "cannot mount".to_owned() }), now());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        account.write(&file).unwrap();
        let whole: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!((&whole["kills"], &whole["lost"]), (&3.into(), &0.into()));
        assert_eq!(whole["not_run"][0]["why"], "cannot mount");
        assert!(account.broken.is_empty());
    }
}
