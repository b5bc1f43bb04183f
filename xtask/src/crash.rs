//! `cargo xtask crash`: SIGKILL at random moments of capture, analysis and upload, of the client and of the server.
//!
//! Owns: what is killed when, and the count at the end. What a capture acknowledged (`capture --jsonl` printed its line) must
//! be there, open with the same digest, and be verified by the server exactly once. Chance comes from a seed, so that a
//! failing trial can be told and started again; the moment at which a signal lands is the machine's.

mod check;
mod evidence;
mod kill;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use snaptrak_driver::{Client, Programs, Server};

use self::evidence::{Acknowledged, Sources};
use self::kill::Chance;
use crate::cache::Cache;
use crate::error::{AtPath, Error, Result};
use crate::{build, models, pictures, prerequisites, terminal};

/// The account of the trial, on a server that lives as long as the trial.
const EMAIL: &str = "crash@example.org";
const PASSWORD: &str = "crash trial, on loopback only";

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// How many processes are killed
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the result to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The result.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    /// Processes that were killed while they ran.
    kills: u64,
    /// Captures whose line was printed before the kill.
    acknowledged: u64,
    /// Of these, listed at the end.
    present: u64,
    /// Of these, opened with the digest that was acknowledged.
    opened: u64,
    /// Of these, verified at the server once.
    verified_once: u64,
    /// Captures or pieces that the server holds more than once.
    duplicates: u64,
    /// Acknowledged and not present, not opened or not verified.
    lost: u64,
}

/// Runs the trial; an error when anything acknowledged is lost or there twice.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    prerequisites::ensure()?;
    models::ensure(cache)?;
    pictures::ensure(cache)?;
    let programs = build::programs()?;
    let work = cache.workspace()?;
    let outcome = trial(command, cache, &programs, work.path())?;
    let line = serde_json::to_string(&outcome)
        .map_err(|source| Error::Description { path: work.path().to_owned(), source })?;
    if let Some(file) = &command.json {
        fs::write(file, format!("{line}\n")).at(file)?;
    }
    terminal::result(&line);
    if outcome.lost == 0 && outcome.duplicates == 0 && outcome.acknowledged > 0 && outcome.kills > 0 {
        return Ok(());
    }
    let kept = work.keep();
    let next = format!("the store and the server's data are kept in {}", kept.display());
    Err(Error::Missing { what: "the trial did not hold".to_owned(), next })
}

fn trial(command: &Command, cache: &Cache, programs: &Programs, work: &Path) -> Result<Outcome> {
    let client = Client::new(programs, work).at(work)?;
    let client = client.with_cache(&cache.path(""), &models::runtime_library(cache)?);
    let password_file = work.join("password");
    fs::write(&password_file, PASSWORD).at(&password_file)?;
    let data = work.join("server");
    let mut server = Server::start(programs, &data, "127.0.0.1:0", &[])?;
    let address = server.address().to_owned();
    client.tell(&["init"])?;
    let password = password_file.to_string_lossy().into_owned();
    client.tell(&["sign-up", "--server", &server.url, "--email", EMAIL, "--password-file", &password])?;

    let mut chance = Chance::new(command.seed);
    let sources = Sources::new(work, &pictures::files(cache)?)?;
    let mut acknowledged = Acknowledged::default();
    let mut outcome = Outcome::default();
    for round in 0..command.rounds {
        match chance.below(8) {
            0..3 => outcome.kills += kill::capture(&client, &sources, &mut chance, round, &mut acknowledged)?,
            3 => outcome.kills += kill::command(&client, &["analyse"], &mut chance)?,
            4..7 => outcome.kills += kill::command(&client, &["sync"], &mut chance)?,
            _ => {
                let killed = kill::server_while_syncing(&client, server, &mut chance)?;
                server = Server::start(programs, &data, &address, &[])?;
                outcome.kills += killed;
            }
        }
        if (round + 1) % 10 == 0 {
            terminal::progress(&format!("   {} rounds, {} captures acknowledged", round + 1, acknowledged.len()));
        }
    }
    check::all(&client, &server, (EMAIL, PASSWORD), &acknowledged, &mut outcome)?;
    Ok(outcome)
}
