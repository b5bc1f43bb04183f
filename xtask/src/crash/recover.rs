//! A store whose database is gone, and a recovery that is killed with SIGKILL at random moments, into a new folder or in place.
//!
//! Whatever a kill leaves: the folder that was read is byte for byte what it was; the same call goes on, and one into a fresh
//! folder begins; both give every capture with the id, the digest, the findings and the sealed bytes that it had. A recovery
//! that has finished and was told answers the same call with `store_exists` and changes nothing. In place the folder lies
//! beside its new store, and the same call recovers it again. At the end the device goes on with a store that came back after
//! a kill: everything is brought to the server, and what was purged is fetched back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use snaptrak_driver::{Answer, Client};

use super::Outcome;
use super::check::{self, Tally};
use super::contents::Contents;
use super::evidence::Acknowledged;
use super::ground::{Chance, Ground};
use super::job::Running;
use super::recovered::Before;
use super::recovery::{Course, Moment, Recovery, is_filling, is_store, is_untold, odd, wait_until};
use crate::error::{AtPath, Result};
use crate::{process, terminal};

/// Generated files are small: it is their number that makes a recovery long.
const GENERATED_BYTES_MAX: u64 = 256 * 1024;
/// Processes started for one kill, at most.
const TRIES_A_KILL: u64 = 4;
/// One of so many kills hits a recovery in place.
const KILLS_IN_PLACE: u64 = 3;
/// One of so many comes at any moment, also before there is a new folder and after it is a store.
const KILLS_AT_ANY: u64 = 4;
/// The exit code of `store_exists`.
const STORE_EXISTS: i32 = 1;

#[derive(Default, Serialize)]
struct Counts {
    /// Recoveries that were killed while they ran.
    kills: u64,
    /// Of these, recoveries in place.
    in_place: u64,
    /// Of the kills, those that came after the new folder was begun and before it was a store.
    midway: u64,
    /// Of the kills, those that came after it was a store and before its report was told.
    untold: u64,
    /// Stores that came back after a kill, by the same call or in a fresh folder, and were looked through.
    recovered: u64,
    /// Times that the folder that was read was not what it had been.
    changed: u64,
    /// Stores that lack something, or have something that was never there.
    incomplete: u64,
    /// Answers that were not those that a recovery gives.
    other_answers: u64,
    /// Whether the chain of receipts holds at the end.
    chain_ok: bool,
    #[serde(flatten)]
    tally: Tally,
}

/// From so many kills on, a trial in which none came midway proves too little to have held.
const MIDWAY_FROM_KILLS: u64 = 10;

pub(super) fn run(ground: &Ground<'_>, kills: u64) -> Result<Outcome> {
    let mut site = ground.site(ground.client()?)?;
    let (mut chance, mut acknowledged) = (ground.chance(), Acknowledged::default());
    let before = Before::make(&site, &mut ground.sources(GENERATED_BYTES_MAX)?, &mut chance, &mut acknowledged)?;
    terminal::progress(&format!("   {} captures, and the database is deleted", before.captures()));
    let client = site.client.clone();
    let course = Course::watch(&client, &ground.folder.join("watched"))?;
    let mut trial = Trial { client, before, course, acknowledged, counts: Counts::default(), last: None };
    for number in 0..kills.saturating_mul(TRIES_A_KILL) {
        // On a loaded machine the first few may come when the folder is full already.
        if trial.counts.kills >= kills && trial.counts.midway > 0 {
            break;
        }
        let folder = ground.folder.join(format!("recovery-{number}"));
        fs::create_dir(&folder).at(&folder)?;
        let moment = if number % KILLS_AT_ANY == KILLS_AT_ANY - 1 { Moment::Any } else { Moment::Midway };
        if number % KILLS_IN_PLACE == KILLS_IN_PLACE - 1 {
            trial.kill_in_place(&folder, moment, &mut chance)?;
        } else {
            trial.kill(&folder, moment, &mut chance)?;
        }
        let Counts { kills, midway, untold, incomplete, changed, .. } = &trial.counts;
        terminal::progress(&format!(
            "   {kills} kills: {midway} midway, {untold} before it was told; {incomplete} incomplete, {changed} changed"
        ));
    }
    let Trial { acknowledged, mut counts, last, .. } = trial;
    site.client = site.client.with_store(&last.ok_or_else(|| odd("no recovery was killed"))?);
    site.sign_in()?;
    counts.tally = check::all(&site, &acknowledged)?;
    let verified = site.client.ask(&["verify"])?.json;
    counts.chain_ok = verified["chain_ok"] == true;
    let own = [
        (counts.changed == 0, "the folder that was read has changed"),
        (counts.incomplete == 0, "something did not come back, or came back as something else"),
        (counts.other_answers == 0, "a recovery answered something else than it has to"),
        (counts.chain_ok, "the chain of receipts does not hold"),
        (counts.kills >= kills, "too few recoveries were killed"),
        (counts.midway > 0 || kills < MIDWAY_FROM_KILLS, "no recovery was killed while it filled its folder"),
    ];
    Ok(Outcome::judged(&counts, &[&counts.tally.conditions()[..], &own].concat()))
}

struct Trial {
    /// On the store without its database.
    client: Client,
    before: Before,
    course: Course,
    acknowledged: Acknowledged,
    counts: Counts,
    /// The store that the same call brought back after the last kill.
    last: Option<PathBuf>,
}

impl Trial {
    /// Kills a recovery into a new folder, and lets the same call and one into a fresh folder do the work.
    fn kill(&mut self, folder: &Path, moment: Moment, chance: &mut Chance) -> Result<()> {
        let (into, fresh) = (folder.join("into"), folder.join("fresh"));
        let client = self.client.clone();
        let mut running = Recovery::Into(&into).start(&client)?;
        self.course.wait(moment, &mut running, &into, chance)?;
        self.end(running, &into)?;
        self.is_unchanged(&client.store)?;
        // Finished, and told: a report that lies there is told by the next call.
        let was_finished = is_store(&into) && !is_untold(&into);
        let again = Recovery::Into(&into).ask(&client)?;
        if was_finished {
            self.is_refused(&again);
        } else {
            self.is_whole(&again);
        }
        self.is_recovered(&client.clone().with_store(&into), chance)?;
        let finished = Contents::of(&into)?;
        let refused = Recovery::Into(&into).ask(&client)?;
        self.is_refused(&refused);
        self.counts.other_answers += u64::from(finished.difference(&Contents::of(&into)?).is_some());
        let begun_anew = Recovery::Into(&fresh).ask(&client)?;
        self.is_whole(&begun_anew);
        self.is_recovered(&client.clone().with_store(&fresh), chance)?;
        self.is_unchanged(&client.store)?;
        fs::remove_dir_all(&fresh).at(&fresh)?;
        if let Some(last) = self.last.replace(into) {
            fs::remove_dir_all(&last).at(&last)?;
        }
        Ok(())
    }

    /// Kills a recovery of a copy in its own place, and lets the same call do the work.
    fn kill_in_place(&mut self, folder: &Path, moment: Moment, chance: &mut Chance) -> Result<()> {
        let (store, aside) = (folder.join("store"), folder.join("store.quarantined-1"));
        process::run(Command::new("cp").arg("-a").args([&self.client.store, &store]))?;
        let client = self.client.clone().with_store(&store);
        let kills = self.counts.kills;
        let mut running = Recovery::InPlace.start(&client)?;
        if moment == Moment::Midway {
            // The folder that is filled has the name of the one that is read: this one has to go first.
            wait_until(&mut running, || aside.exists())?;
        }
        self.course.wait(moment, &mut running, &store, chance)?;
        self.end(running, &store)?;
        self.counts.in_place += self.counts.kills - kills;
        // Before it was set aside it lies where it lay.
        self.is_unchanged(if aside.exists() { &aside } else { &store })?;
        let again = Recovery::InPlace.ask(&client)?;
        self.is_whole(&again);
        self.is_unchanged(&aside)?;
        self.is_recovered(&client, chance)?;
        fs::remove_dir_all(folder).at(folder)
    }

    /// Kills it, and sees how far it came.
    fn end(&mut self, mut running: Running, into: &Path) -> Result<()> {
        let was_running = running.kill()?;
        running.end()?;
        self.counts.kills += u64::from(was_running);
        self.counts.midway += u64::from(was_running && is_filling(into));
        self.counts.untold += u64::from(was_running && is_untold(into));
        Ok(())
    }

    fn is_unchanged(&mut self, folder: &Path) -> Result<()> {
        if let Some(path) = Contents::of(folder)?.difference(&self.before.contents) {
            terminal::progress(&format!("   {} of the folder that was read is not what it was", path.display()));
            self.counts.changed += 1;
        }
        Ok(())
    }

    fn is_recovered(&mut self, client: &Client, chance: &mut Chance) -> Result<()> {
        self.counts.recovered += 1;
        self.counts.incomplete += u64::from(!self.before.is_in(client, chance, &mut self.acknowledged)?);
        Ok(())
    }

    /// The answer of a recovery that brought everything. A kill may leave a line of the journal cut short, nothing else.
    fn is_whole(&mut self, answer: &Answer) {
        let told = &answer.json;
        let lacks = told["unreadable"].as_array().is_none_or(|all| all.iter().any(|one| one["code"] != "torn_line"));
        let captures = self.before.captures();
        let is_whole = answer.code == 0 && told["readable"] == captures && told["recovered"] == captures && !lacks;
        self.judge(answer, is_whole && told["keys_kept"] == true);
    }

    /// The answer where there is a store already.
    fn is_refused(&mut self, answer: &Answer) {
        self.judge(answer, answer.code == STORE_EXISTS && answer.json["code"] == "store_exists");
    }

    fn judge(&mut self, answer: &Answer, holds: bool) {
        if !holds {
            terminal::progress(&format!("   recover ends with {}: {}{}", answer.code, answer.json, answer.words));
            self.counts.other_answers += 1;
        }
    }
}
