//! `recover`: brings back what a store's folder still holds, into a new store or in its own place.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, progress::Bar, secret_input, session};
use serde::Serialize;
use snaptrak::{RecoverReport, Secret, SnapTrak, Unreadable, UnreadableCode};
use std::path::{Path, PathBuf};

pub(super) const SCHEMA: &str = "snaptrak.recover/1";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of the store that cannot be opened; it stays as it is
    #[arg(long, value_name = "FOLDER", required_unless_present = "in_place")]
    from: Option<PathBuf>,
    /// The folder of the new store, absent or empty; --store otherwise
    #[arg(long, value_name = "STORE", conflicts_with = "in_place")]
    into: Option<PathBuf>,
    /// Set the folder of --store aside (NAME.quarantined-N) and make the new store in its place
    #[arg(long, conflicts_with = "from")]
    in_place: bool,
    /// The organisation's private recovery key, for what the keyset cannot open
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shape {
    /// Captures whose envelope could be read: all of these are in the new store.
    readable: u64,
    /// Of these, complete.
    recovered: u64,
    unreadable: Vec<Part>,
    /// More that is not listed.
    unlisted: u64,
    /// The new store opens with the keys of the old one.
    keys_kept: bool,
}

#[derive(Serialize)]
pub(super) struct Part {
    path: String,
    code: &'static str,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let key = arguments.recovery_key.as_deref().map(|path| recovery_key(path, output)).transpose()?;
    let bar = Bar::new(output);
    let report = match &arguments.from {
        Some(from) => {
            let into = arguments.into.as_deref().map_or_else(|| session::store_folder(globals), Ok)?;
            let (config, platform) = session::parts(globals, into, output)?;
            SnapTrak::recover(from, &config, &platform, key.as_ref(), &bar)?
        }
        None => {
            let (config, platform) = session::parts(globals, session::store_folder(globals)?, output)?;
            SnapTrak::quarantine_and_recover(&config, &platform, key.as_ref(), &bar)?
        }
    };
    drop(bar);
    tell(report, output)
}

/// The organisation's key file.
pub(super) fn recovery_key(path: &Path, output: &Output) -> Result<Secret, Error> {
    secret_input::from_file(path, "recovery key", output)
}

/// Shows a report; what is not whole is damage, but for the line that every kill may leave.
pub(super) fn tell(report: RecoverReport, output: &Output) -> Result<Exit, Error> {
    let exit = exit(&report);
    let shape = Shape {
        readable: report.readable,
        recovered: report.recovered,
        unreadable: parts(report.unreadable),
        unlisted: report.unlisted,
        keys_kept: report.keys_kept,
    };
    output.result(SCHEMA, &shape, words)?;
    if !shape.keys_kept {
        output.say("The new store has new keys: sign in again, so that the organisation knows them.");
    }
    Ok(exit)
}

/// A line that was cut short is what every kill may leave.
fn exit(report: &RecoverReport) -> Exit {
    let torn_at_most = report.unreadable.iter().all(|one| one.code == UnreadableCode::TornLine);
    let whole = report.readable == report.recovered && torn_at_most;
    if whole { Exit::Done } else { Exit::Damaged }
}

/// What could not be read, for scripts.
pub(super) fn parts(unreadable: Vec<Unreadable>) -> Vec<Part> {
    unreadable.into_iter().map(|one| Part { path: one.path, code: one.code.as_str() }).collect()
}

/// What could not be read, for a person.
pub(super) fn table(parts: &[Part]) -> String {
    let rows: Vec<[String; 2]> = parts.iter().map(|one| [one.code.to_owned(), human::printable(&one.path)]).collect();
    human::table(["WHY", "WHAT CANNOT BE READ"], &rows)
}

fn words(shape: &Shape) -> String {
    let mut lines = vec![format!("readable   {}", shape.readable), format!("recovered  {}", shape.recovered)];
    if !shape.unreadable.is_empty() {
        lines.push(format!("\n{}", table(&shape.unreadable)));
    }
    if shape.unlisted > 0 {
        lines.push(format!("and {} more", shape.unlisted));
    }
    lines.join("\n")
}
