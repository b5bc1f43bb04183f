//! Flips bytes of a store and sees what comes of it.
//!
//! Owns which bytes, and the count at the end. The flipped byte is put back, with everything that the trial wrote, before the
//! next one; each thread has a store of its own that began as a copy of the same.

#![expect(clippy::print_stdout, reason = "the counts are this program's answer")]

mod site;
mod truth;

use clap::Parser;
use serde::Serialize;
use site::Site;
use std::{
    collections::BTreeMap,
    error::Error,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// Bytes at the beginning of each file that a sample always flips: formats, versions and keys stand there.
const HEAD_BYTES: usize = 64;

/// Of the database's flips this many give one recovery: it does not look at the database.
const DATABASE_FLIPS_A_RECOVERY: usize = 64;

/// Wrong answers that are named.
const NAMED_MAX: usize = 20;

#[derive(Parser)]
struct Arguments {
    /// Every Nth byte of each file, besides the first of each
    #[arg(long, default_value_t = 397)]
    every: usize,
    /// Where the stores lie while they are damaged; a folder in memory is quicker
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Threads, each with a store of its own
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What came of a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Opened, and everything was there and right.
    Right,
    /// Opened, and what could not be read said so.
    Told,
    /// Not opened.
    Refused,
}

#[derive(Default, Serialize)]
struct Counts {
    files: usize,
    bytes: usize,
    flips: u64,
    right: u64,
    told: u64,
    refused: u64,
    recovered: u64,
    wrong: u64,
    panics: u64,
    /// The first wrong answers.
    named: Vec<String>,
}

/// One byte.
struct Flip {
    file: PathBuf,
    place: usize,
    mask: u8,
    /// A recovery belongs to it whatever opening says.
    recover: bool,
}

static PANICS: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    // The store turns a panic of its writer into an error; here each one counts.
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::SeqCst);
    }));
    match run(&Arguments::parse()) {
        Ok(counts) => {
            println!("{}", serde_json::to_string(&counts).unwrap_or_default());
            let held = counts.wrong == 0 && counts.panics == 0 && counts.flips > 0;
            if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("{}", serde_json::json!({"error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Counts, Box<dyn Error + Send + Sync>> {
    let work = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let first = Site::make(&work.path().join("0"))?;
    let flips = flips(first.files(), arguments.every.max(1));
    let counts = Mutex::new(Counts {
        files: first.files().len(),
        bytes: first.files().values().map(Vec::len).sum(),
        flips: flips.len() as u64,
        ..Counts::default()
    });
    let mut sites = vec![first];
    for number in 1..arguments.threads.max(1) {
        sites.push(sites[0].copied(&work.path().join(number.to_string()))?);
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for site in &sites {
            scope.spawn(|| {
                while let Some(flip) = flips.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let tried = site.try_flip(flip);
                    count(&counts, flip, tried);
                }
            });
        }
    });
    let mut counts = counts.into_inner().map_err(|_| "a thread of the trial panicked")?;
    counts.panics = PANICS.load(Ordering::SeqCst);
    Ok(counts)
}

/// Masks take turns, so that both a single bit and a whole byte are tried everywhere.
fn flips(files: &BTreeMap<PathBuf, Vec<u8>>, every: usize) -> Vec<Flip> {
    let mut flips = Vec::new();
    for (file, bytes) in files {
        let is_database = file.starts_with("database");
        let places = (0..bytes.len()).filter(|place| *place < HEAD_BYTES || place.is_multiple_of(every));
        for (turn, place) in places.enumerate() {
            let mask = if (turn + place / every).is_multiple_of(2) { 0x01 } else { 0xff };
            let recover = !is_database || turn.is_multiple_of(DATABASE_FLIPS_A_RECOVERY);
            flips.push(Flip { file: file.clone(), place, mask, recover });
        }
    }
    flips
}

fn count(counts: &Mutex<Counts>, flip: &Flip, tried: Result<(Outcome, bool), String>) {
    let Ok(mut counts) = counts.lock() else { return };
    match tried {
        Ok((outcome, recovered)) => {
            match outcome {
                Outcome::Right => counts.right += 1,
                Outcome::Told => counts.told += 1,
                Outcome::Refused => counts.refused += 1,
            }
            counts.recovered += u64::from(recovered);
        }
        Err(why) => {
            counts.wrong += 1;
            if counts.named.len() < NAMED_MAX {
                counts.named.push(format!("{} byte {} ^ {:#04x}: {why}", flip.file.display(), flip.place, flip.mask));
            }
        }
    }
}
