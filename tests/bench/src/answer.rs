//! The rows and how they are shown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench answers on the terminal")]

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
    /// The ratio that was asked for.
    pub(crate) target: Option<f64>,
    pub(crate) rounds: usize,
}

/// A row that could not be measured.
#[derive(Debug, Serialize)]
pub(crate) struct NotRun {
    pub(crate) name: String,
    pub(crate) why: String,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) not_run: Vec<NotRun>,
    machine: Machine,
}

impl Answer {
    pub(crate) fn new(rows: Vec<Row>, not_run: Vec<NotRun>) -> Self {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            information.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { rows, not_run, machine: Machine { cpu: model.unwrap_or("unknown").to_owned(), cores } }
    }

    /// Prints the table and writes the file.
    pub(crate) fn give(&self, file: Option<&Path>) -> Result<(), Box<dyn Error>> {
        println!(
            "{:<42} {:>10} {:>10} {:>10}  {:<9} {:>6} {:>13}",
            "", "ours", "peer", "floor", "unit", "ratio", "range"
        );
        for row in &self.rows {
            let floor = row.floor.map_or_else(|| "-".to_owned(), |floor| format!("{floor:.1}"));
            println!(
                "{:<42} {:>10.1} {:>10.1} {:>10}  {:<9} {:>6.2} {:>6.2}-{:.2}",
                row.name, row.ours, row.peer, floor, row.unit, row.ratio_median, row.ratio_min, row.ratio_max
            );
        }
        for row in &self.not_run {
            println!("{:<42} not run: {}", row.name, row.why);
        }
        println!("{} with {} cores", self.machine.cpu, self.machine.cores);
        if let Some(file) = file {
            std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")?;
        }
        Ok(())
    }
}

pub(crate) fn complain(error: &dyn Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
