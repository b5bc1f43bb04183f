#![doc = include_str!("../README.md")]

mod answer;
mod inference;
mod measure;
mod plot;
mod store;

use clap::{Parser, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

/// What can be measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Group {
    /// Durable captures and notes, sealing, reading.
    Store,
    /// Both engines beside the same libraries driven from Python; the folder is the cache.
    Inference,
    /// Loads the detector on the engine that `only` names and prints the time; the inference group starts it
    #[value(hide = true)]
    Load,
    /// Opens the store in the folder, sits idle and prints its memory; the store group starts it
    #[value(hide = true)]
    Idle,
    /// Does nothing and prints its memory; the store group starts it
    #[value(hide = true)]
    Empty,
}

#[derive(Parser)]
struct Arguments {
    /// What to measure
    group: Group,
    /// Write the rows to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw the ratios into this file as SVG
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Rounds of each pair
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only the rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Captures of the large store that is put beside one of a thousand
    #[arg(long, default_value_t = 1_000_000)]
    captures: usize,
    /// Folder on the file system to measure (default: the system's temporary folder)
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let answer = match arguments.group {
        Group::Store => store::measure(&folder, arguments.captures, arguments.rounds.max(1), &arguments.only),
        Group::Inference => match inference::measure(folder, arguments.rounds.max(1), &arguments.only) {
            Ok(answer) => answer,
            Err(error) => return answer::complain(error.as_ref()),
        },
        Group::Load => return finished(inference::tell_load(&arguments.only, &folder)),
        Group::Idle => return finished(store::million::sit(&folder)),
        Group::Empty => return finished(store::million::wait()),
    };
    match answer.give(arguments.json.as_deref(), arguments.plot.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => answer::complain(error.as_ref()),
    }
}

fn finished(result: Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => answer::complain(error.as_ref()),
    }
}
