//! The rows and how they are shown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench answers on the terminal")]

use crate::plot;
use serde::Serialize;
use std::{error::Error, path::Path, process::ExitCode};

/// One figure beside its peer.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Median of ours.
    pub(crate) ours: f64,
    /// Median of the peer's.
    pub(crate) peer: f64,
    /// What the machine could do at best, where that is known.
    pub(crate) floor: Option<f64>,
    pub(crate) ratio_median: f64,
    pub(crate) ratio_min: f64,
    pub(crate) ratio_max: f64,
    /// The ratio that was asked for; the row's median meets it or not.
    pub(crate) target: Option<f64>,
    pub(crate) rounds: usize,
}

/// A row that could not be measured.
#[derive(Debug, Serialize)]
pub(crate) struct NotRun {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// What the figures were measured on.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) not_run: Vec<NotRun>,
    pub(crate) machine: Machine,
}

impl Row {
    /// Whether the median reaches the target; `None` where there is none.
    pub(crate) fn meets_target(&self) -> Option<bool> {
        self.target.map(|target| self.ratio_median >= target)
    }
}

impl Answer {
    pub(crate) fn new(rows: Vec<Row>, not_run: Vec<NotRun>) -> Self {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            information.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { rows, not_run, machine: Machine { cpu: model.unwrap_or("unknown").to_owned(), cores } }
    }

    /// Prints the table and writes the files.
    pub(crate) fn give(&self, json: Option<&Path>, plot: Option<&Path>) -> Result<(), Box<dyn Error>> {
        println!(
            "{:<44} {:>10} {:>10} {:>10}  {:<9} {:>6} {:>13} {:>7}",
            "", "ours", "peer", "floor", "unit", "ratio", "range", "target"
        );
        for row in &self.rows {
            let floor = row.floor.map_or_else(|| "-".to_owned(), |floor| format!("{floor:.1}"));
            let target = match (row.target, row.meets_target()) {
                (Some(target), Some(false)) => format!("{target:.2} !"),
                (Some(target), _) => format!("{target:.2}  "),
                (None, _) => "-  ".to_owned(),
            };
            let range = format!("{:.2}-{:.2}", row.ratio_min, row.ratio_max);
            println!(
                "{:<44} {:>10.1} {:>10.1} {floor:>10}  {:<9} {:>6.2} {range:>13} {target:>7}",
                row.name, row.ours, row.peer, row.unit, row.ratio_median
            );
        }
        for row in &self.not_run {
            println!("{:<44} not run: {}", row.name, row.why);
        }
        println!("{} with {} cores; a target that is not met has a mark", self.machine.cpu, self.machine.cores);
        if let Some(file) = json {
            std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")?;
        }
        if let Some(file) = plot {
            std::fs::write(file, plot::svg(self))?;
        }
        Ok(())
    }
}

/// One number alone, for the process that asked for it.
pub(crate) fn tell(number: u64) {
    println!("{number}");
}

pub(crate) fn complain(error: &dyn Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
