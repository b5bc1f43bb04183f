//! What a call costs from Kotlin and from Swift, beside a call that crosses in the same way and does nothing.
//!
//! Owns: which library the packages' own tests measure, and how their lines become a table. The same tests hold, in the gate with
//! fewer calls, that a call leaves nothing in the library.

use std::path::Path;

use serde::Serialize;

use crate::cache::{Cache, repository};
use crate::error::{AtPath, Error, Result};
use crate::packages::{kotlin, swift, target};
use crate::{process, terminal};

/// Calls of each kind, after which the library holds what it held before.
const CALLS: usize = 100_000;

/// Events of a round, at ten thousand a second.
const EVENTS: usize = 20_000;

/// What telling them may take of a core, in percent.
const SHARE_MAX: f64 = 5.0;

/// Calls that do as little as the bare one must cost no more than one and a half of it.
const TARGET: f64 = 0.67;

/// With which the rows' names begin.
const LANGUAGES: [&str; 2] = ["Kotlin", "Swift"];

/// The beginnings of their names.
const WITH_TARGET: [&str; 4] = ["call", "handle", "suspend call", "async call"];

/// Rounds of each row, of which the tests give the median and the range.
const ROUNDS: usize = 7;

/// One kind of call.
#[derive(Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    ours: f64,
    peer: f64,
    floor: Option<f64>,
    /// Above 1 means that ours is cheaper.
    ratio_median: f64,
    ratio_min: f64,
    ratio_max: f64,
    target: Option<f64>,
    rounds: usize,
}

/// A language that was not measured.
#[derive(Serialize)]
struct NotRun {
    name: &'static str,
    why: String,
}

#[derive(Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Answer {
    rows: Vec<Row>,
    not_run: Vec<NotRun>,
    machine: Machine,
}

/// Measures both languages, Swift where its tool-chain can be had; only rows whose name contains `only`, all of which begin with
/// the language.
pub(super) fn run(json: Option<&Path>, only: &str, cache: &Cache) -> Result<()> {
    let mut answer = Answer { rows: Vec::new(), not_run: Vec::new(), machine: machine() };
    build(&["--workspace", "--all-targets"])?;
    build(&["--release", "--package", "snaptrak-probe"])?;
    if may_be_asked(only, "Kotlin") {
        terminal::progress(&format!("measuring Kotlin: {CALLS} calls of each kind, ten minutes or more"));
        answer.take(&measured_kotlin(cache)?, only);
    }
    match swift::obstacle() {
        _ if !may_be_asked(only, "Swift") => {}
        Some(why) => answer.not_run.push(NotRun { name: "Swift", why }),
        None => {
            swift::prepare(cache)?;
            let mut tests = swift::probe(cache, "release")?;
            tests.env("SNAPTRAK_CALLS", CALLS.to_string());
            tests.env("SNAPTRAK_EVENTS", EVENTS.to_string());
            terminal::progress(&format!("measuring Swift: {CALLS} calls of each kind, some minutes"));
            answer.take(&process::run(&mut tests)?, only);
        }
    }
    answer.print();
    let Some(file) = json else { return Ok(()) };
    let text =
        serde_json::to_string_pretty(&answer).map_err(|source| Error::Description { path: file.to_owned(), source })?;
    std::fs::write(file, text + "\n").at(file)
}

/// Whether rows of the language may be among those whose name contains `only`.
fn may_be_asked(only: &str, language: &str) -> bool {
    LANGUAGES.into_iter().all(|other| other == language || !only.contains(other))
}

fn measured_kotlin(cache: &Cache) -> Result<String> {
    let mut maven = kotlin::maven(cache, &target().join("release"))?;
    maven.args(["test", "-Dtest=CallsTest,ManyEventsTest", "-Dsurefire.failIfNoSpecifiedTests=false", "-DskipShipped"]);
    maven.args([format!("-Dsnaptrak.events={EVENTS}"), format!("-Dsnaptrak.calls={CALLS}")]);
    process::run(&mut maven)
}

fn machine() -> Machine {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Machine { cpu: model.unwrap_or("unknown").to_owned(), cores }
}

fn build(what: &[&str]) -> Result<()> {
    terminal::progress(&format!("cargo build {} (the first time takes some minutes)", what.join(" ")));
    let mut cargo = process::cargo();
    cargo.arg("build").args(what).args(["--locked"]).env("CARGO_INCREMENTAL", "0").current_dir(repository());
    process::run(&mut cargo).map(drop)
}

/// Lines of the form `bench-ffi LANGUAGE NAME OURS BARE RATIO MIN MAX`, in nanoseconds a call and times of the bare one, and of the
/// form `bench-ffi-events LANGUAGE SHARE MIN MAX`. A name comes twice, since the first run only warms up.
fn rows(said: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for row in said.lines().filter_map(|line| row(line).or_else(|| events(line))) {
        rows.retain(|earlier| earlier.name != row.name);
        rows.push(row);
    }
    rows
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.strip_prefix("bench-ffi\t")?.split('\t');
    let (language, call) = (words.next()?, words.next()?);
    let figures: Vec<f64> = words.filter_map(|figure| figure.trim().parse().ok()).collect();
    let [ours, bare, ratio, min, max] = figures[..] else { return None };
    let measured = WITH_TARGET.contains(&call) || call.starts_with("handle");
    Some(Row {
        name: format!("{language}: {call}"),
        unit: "µs",
        ours: ours / 1000.0,
        peer: bare / 1000.0,
        floor: None,
        ratio_median: 1.0 / ratio,
        ratio_min: 1.0 / max,
        ratio_max: 1.0 / min,
        target: measured.then_some(TARGET),
        rounds: ROUNDS,
    })
}

/// What telling the events took, in percent of a core, beside what it may take.
fn events(line: &str) -> Option<Row> {
    let mut words = line.strip_prefix("bench-ffi-events\t")?.split('\t');
    let language = words.next()?;
    let figures: Vec<f64> = words.filter_map(|figure| figure.trim().parse().ok()).collect();
    let [share, min, max] = figures[..] else { return None };
    // Less than the clock can tell is not less than nothing.
    let ratio = |share: f64| SHARE_MAX / share.max(0.01);
    Some(Row {
        name: format!("{language}: 10,000 events a second"),
        unit: "%",
        ours: share,
        peer: SHARE_MAX,
        floor: None,
        ratio_median: ratio(share),
        ratio_min: ratio(max),
        ratio_max: ratio(min),
        target: Some(1.0),
        rounds: ROUNDS,
    })
}

impl Answer {
    fn take(&mut self, said: &str, only: &str) {
        self.rows.extend(rows(said).into_iter().filter(|row| row.name.contains(only)));
    }

    fn print(&self) {
        terminal::result(&format!(
            "{:<48} {:>9} {:>9}  {:<4} {:>6} {:>13} {:>7}",
            "", "ours", "bare", "unit", "ratio", "range", "target"
        ));
        for row in &self.rows {
            let target = match row.target {
                Some(target) if row.ratio_median < target => format!("{target:.2} !"),
                Some(target) => format!("{target:.2}  "),
                None => "-  ".to_owned(),
            };
            let range = format!("{:.2}-{:.2}", row.ratio_min, row.ratio_max);
            terminal::result(&format!(
                "{:<48} {:>9.3} {:>9.3}  {:<4} {:>6.2} {range:>13} {target:>7}",
                row.name, row.ours, row.peer, row.unit, row.ratio_median
            ));
        }
        for row in &self.not_run {
            terminal::result(&format!("{:<48} not run: {}", row.name, row.why));
        }
        terminal::result(&format!(
            "{} with {} cores; a target that is not met has a mark",
            self.machine.cpu, self.machine.cores
        ));
        terminal::result(&format!(
            "{CALLS} calls of each kind (49 of a chunk of 1 MiB); nothing stayed in the library"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_run_of_a_call_counts() {
        let said = "bench-ffi\tSwift\tcall\t900.0\t9.0\t100.0\t90.0\t110.0\n[INFO] other\n\
                    bench-ffi\tSwift\tcall\t20.0\t10.0\t2.0\t1.0\t4.0\n";
        let rows = rows(said);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].ours, rows[0].ratio_median, rows[0].ratio_min), (0.02, 0.5, 0.25));
        assert_eq!(rows[0].target, Some(TARGET));
    }

    #[test]
    fn only_what_names_the_other_language_leaves_one_out() {
        for (only, asked) in [
            ("", [true, true]),
            ("suspend call", [true, true]),
            ("Swift", [false, true]),
            ("Kotlin: call", [true, false]),
        ] {
            assert_eq!(LANGUAGES.map(|language| may_be_asked(only, language)), asked, "{only:?}");
        }
    }

    #[test]
    fn events_are_a_share_of_a_core() {
        let rows = rows("bench-ffi-events\tKotlin\t2.5\t2.0\t10.0\n");
        assert_eq!((rows[0].ours, rows[0].ratio_median, rows[0].ratio_min), (2.5, 2.0, 0.5));
    }
}
