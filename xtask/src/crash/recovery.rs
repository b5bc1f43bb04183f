//! One call of `recover`: what it is asked, how far it has come, and the moments at which it is killed.
//!
//! Owns the files by which the new folder tells how far a recovery has come. Refuses to know what must have come back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use snaptrak_driver::{Answer, Client};

use super::ground::Chance;
use super::job::{self, Running};
use super::now;
use crate::error::{AtPath, Error, Result};

/// A folder that recovery fills holds this file until it is a store.
const RECOVERING: &str = "recovering";
/// The report of a recovery, until it was told.
const RECOVERED: &str = "recovered.json";
/// After the asset whose turn it was, a kill waits for a part of the whole at most.
const PARTS_OF_FILLING: u32 = 4;
/// Between two looks at how far it has come.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The course of a recovery that nobody kills.
pub(super) struct Course {
    /// From the begun folder to the store in it.
    filling: Duration,
    /// Of the whole.
    lasted: Duration,
    /// Assets that come into the folder.
    assets: u64,
}

/// When a recovery is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// While it looks for keys, fills its folder, opens it or tells of it.
    Any,
    /// While it fills its folder.
    Midway,
}

impl Course {
    /// Watches one into a folder that goes again.
    pub(super) fn watch(client: &Client, into: &Path) -> Result<Self> {
        let started = now();
        let mut running = Recovery::Into(into).start(client)?;
        wait_until(&mut running, || is_begun(into))?;
        let begun = now();
        wait_until(&mut running, || is_store(into))?;
        let filling = begun.elapsed();
        let ended = running.end()?;
        if ended.code != Some(0) {
            return Err(odd(&format!("nobody killed a recovery, and it ended with {:?}: {}", ended.code, ended.words)));
        }
        let (lasted, assets) = (started.elapsed(), placed(into));
        fs::remove_dir_all(into).at(into)?;
        Ok(Self { filling, lasted, assets })
    }

    /// Lets a random moment come, or the end. Midway is told by what was placed: a machine that was loaded a minute ago says
    /// little of how long it takes now.
    pub(super) fn wait(&self, moment: Moment, running: &mut Running, into: &Path, chance: &mut Chance) -> Result<()> {
        let until = match moment {
            Moment::Any => self.lasted,
            Moment::Midway => {
                let place = chance.below(self.assets.max(1));
                wait_until(running, || is_begun(into) && placed(into) >= place)?;
                self.filling / PARTS_OF_FILLING
            }
        };
        let until_us = u64::try_from(until.as_micros()).unwrap_or(u64::MAX).max(1);
        job::wait(Duration::from_micros(chance.below(until_us)));
        Ok(())
    }
}

/// How many assets lie in their place in a folder.
fn placed(into: &Path) -> u64 {
    let parts = fs::read_dir(into.join("assets")).into_iter().flatten().flatten();
    parts.map(|part| fs::read_dir(part.path()).into_iter().flatten().count() as u64).sum()
}

/// Waits until a recovery has done something, or has ended.
pub(super) fn wait_until(running: &mut Running, done: impl Fn() -> bool) -> Result<()> {
    while !done() && !running.has_ended()? {
        job::wait(LOOK_EVERY);
    }
    Ok(())
}

/// A call of `recover`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recovery<'a> {
    /// Of the client's store, into another folder.
    Into(&'a Path),
    /// Of the client's store.
    InPlace,
}

impl Recovery<'_> {
    fn words(self, client: &Client) -> Vec<String> {
        match self {
            Self::Into(into) => {
                let [from, into] = [&client.store, into].map(|path: &Path| path.to_string_lossy().into_owned());
                ["recover", "--from", &from, "--into", &into].map(str::to_owned).to_vec()
            }
            Self::InPlace => ["recover", "--in-place"].map(str::to_owned).to_vec(),
        }
    }

    /// Starts it.
    pub(super) fn start(self, client: &Client) -> Result<Running> {
        let failed = |source| Error::Start { program: "snaptrak recover".to_owned(), source };
        Ok(Running::of("recover", client.command(&self.words(client)).spawn().map_err(failed)?))
    }

    /// Lets it come to its end.
    pub(super) fn ask(self, client: &Client) -> Result<Answer> {
        Ok(client.ask(&self.words(client))?)
    }
}

/// Whether it has begun its folder and not finished it.
pub(super) fn is_filling(into: &Path) -> bool {
    into.join(RECOVERING).exists()
}

fn is_begun(into: &Path) -> bool {
    is_filling(into) || is_store(into)
}

/// Whether its folder is a store.
pub(super) fn is_store(folder: &Path) -> bool {
    folder.join("store.json").exists()
}

/// Whether its folder is a store and nobody was told what came back.
pub(super) fn is_untold(into: &Path) -> bool {
    is_store(into) && into.join(RECOVERED).exists()
}

/// A recovery that does what none may do.
pub(super) fn odd(words: &str) -> Error {
    Error::Missing { what: words.to_owned(), next: "read core/store/src/recover/mod.rs".to_owned() }
}
