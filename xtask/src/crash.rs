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
use self::kill::{Chance, Lives};
use crate::cache::Cache;
use crate::error::{AtPath, Error, Result};
use crate::{build, models, pictures, prerequisites, terminal};

/// The account of the trial, on a server that lives as long as the trial.
const EMAIL: &str = "crash@example.org";
const PASSWORD: &str = "crash trial, on loopback only";

/// Processes started for one kill, at most: the moment is learned after a few.
const TRIES_A_KILL: u64 = 6;
/// A line of progress after so many kills.
const KILLS_BETWEEN_WORDS: u64 = 10;

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
    if outcome.lost == 0 && outcome.duplicates == 0 && outcome.acknowledged > 0 && outcome.kills >= command.rounds {
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
    let mut lives = Lives::default();
    let mut told = 0;
    // A process that ended before its kill was not killed: another one takes its place.
    for round in 0..command.rounds.saturating_mul(TRIES_A_KILL) {
        if outcome.kills >= command.rounds {
            break;
        }
        let drawn = (&mut chance, &mut lives);
        outcome.kills += match drawn.0.below(8) {
            0..3 => kill::capture(&client, &sources, drawn, round, &mut acknowledged)?,
            3 => kill::command(&client, "analyse", drawn)?,
            4..7 => kill::command(&client, "sync", drawn)?,
            _ => {
                let killed = kill::server_while_syncing(&client, server, drawn)?;
                server = Server::start(programs, &data, &address, &[])?;
                killed
            }
        };
        if outcome.kills >= told + KILLS_BETWEEN_WORDS {
            told = outcome.kills;
            terminal::progress(&format!("   {told} kills, {} captures acknowledged", acknowledged.len()));
        }
    }
    check::all(&client, &server, (EMAIL, PASSWORD), &acknowledged, &mut outcome)?;
    Ok(outcome)
}
