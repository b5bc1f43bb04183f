//! Several processes on one store: one owns it, the others are told at once, and nothing acknowledged is lost.
//!
//! First the answers: while a recording holds the store, another process gets `in_use` at once, by the store's own path and
//! by a symbolic link; the holder is killed with SIGKILL and the next process owns the store. Then the crowd: four processes
//! take notes and files, each trying again when the store is in use.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use snaptrak_driver::{Client, patience};

use super::check::{self, Tally};
use super::evidence::Acknowledged;
use super::ground::Ground;
use super::job::{self, Job};
use super::{Outcome, now};
use crate::error::{AtPath, Error, Result};

/// Processes of the crowd.
const CROWD: usize = 4;

/// `in_use` is an answer, not a wait: far above starting a process on a loaded machine, far below any patience for a lock.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What a well-behaved process waits before it tries again: asking all the time would take the machine from the owner.
const BEFORE_TRYING_AGAIN: Duration = Duration::from_millis(20);

/// Files of the crowd are small: the lock is to change hands often.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Files prepared for each process of the crowd; more than it takes in any time that is asked for.
const FILES_A_PROCESS: usize = 64;

/// A recording that no one would wait for.
const ENDLESS_BYTES: u64 = 1 << 40;

/// The exit code of `in_use`.
const IN_USE: i32 = 8;

#[derive(Serialize)]
struct Counts {
    /// Commands that were told that the store is in use.
    in_use: u64,
    /// The slowest of these answers to a single process.
    in_use_ms_max: u64,
    /// Commands of the crowd that ended otherwise than well or `in_use`.
    other_answers: u64,
    #[serde(flatten)]
    tally: Tally,
}

pub(super) fn run(ground: &Ground<'_>, seconds: u64) -> Result<Outcome> {
    let site = ground.site(ground.client()?)?;
    let answers = told_at_once(ground, &site.client)?;
    let mut chance = ground.chance();
    let mut sources = ground.sources(FILE_BYTES_MAX)?;
    let mut files = Vec::new();
    for _ in 0..CROWD {
        let own = (0..FILES_A_PROCESS).map(|_| sources.one(&mut chance)).collect::<Result<Vec<_>>>()?;
        files.push(own);
    }
    let until = now() + Duration::from_secs(seconds);
    let members: Vec<Member> = std::thread::scope(|scope| {
        let client = &site.client;
        let threads: Vec<_> = files
            .into_iter()
            .enumerate()
            .map(|(number, own)| scope.spawn(move || crowd(client, number, own, until)))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Result<Vec<_>>>()
    })?;
    let whole_crowd = members.len() == CROWD;
    let mut acknowledged = Acknowledged::default();
    let (mut in_use, mut other_answers) = (answers.len() as u64, 0);
    for member in members {
        acknowledged.merge(member.acknowledged);
        in_use += member.in_use;
        other_answers += member.other_answers;
    }
    let in_use_ms_max = answers.iter().map(|took| took.as_millis() as u64).max().unwrap_or_default();
    let counts = Counts { in_use, in_use_ms_max, other_answers, tally: check::all(&site, &acknowledged)? };
    let [lost, duplicates, purged, tried] = counts.tally.conditions();
    let at_once = (in_use_ms_max < AT_ONCE.as_millis() as u64, "in_use was not answered at once");
    let only = (other_answers == 0 && whole_crowd, "a process was told something else than in_use");
    Ok(Outcome::judged(&counts, &[lost, duplicates, purged, tried, at_once, only]))
}

/// A holder, and others that ask by two paths; how long each answer took. Then the holder is killed.
fn told_at_once(ground: &Ground<'_>, client: &Client) -> Result<Vec<Duration>> {
    let link = ground.folder.join("link");
    symlink(&client.store, &link).at(&link)?;
    let mut holder = Job::Record { head: "held ".to_owned(), bytes: ENDLESS_BYTES }.start(client)?;
    let incoming = client.store.join("incoming");
    if !patience::until(|| incoming.read_dir().is_ok_and(|mut entries| entries.next().is_some())) {
        return Err(broken("a recording did not begin"));
    }
    let mut answers = Vec::new();
    for asking in [client.clone(), client.clone().with_store(&link), client.clone().with_store(&link.join("."))] {
        for arguments in [&["note", "while it is in use"][..], &["list"], &["sync"]] {
            let started = now();
            let answer = asking.ask(arguments)?;
            answers.push(started.elapsed());
            if answer.code != IN_USE || answer.json["code"] != "in_use" {
                return Err(broken(&format!("in place of in_use: {} {}", answer.code, answer.json)));
            }
        }
    }
    holder.kill()?;
    holder.end()?;
    let answer = client.ask(&["status"])?;
    if answer.code == 0 { Ok(answers) } else { Err(broken(&format!("after the holder's death: {}", answer.json))) }
}

fn broken(words: &str) -> Error {
    Error::Missing { what: words.to_owned(), next: "read core/store/src/lock.rs".to_owned() }
}

/// What one process of the crowd was told.
#[derive(Default)]
struct Member {
    acknowledged: Acknowledged,
    in_use: u64,
    other_answers: u64,
}

fn crowd(client: &Client, number: usize, files: Vec<PathBuf>, until: Instant) -> Result<Member> {
    let mut member = Member::default();
    for (round, file) in files.into_iter().enumerate() {
        let note = Job::Note(format!("note {round} of process {number}"));
        for job in [note, Job::Capture(vec![file])] {
            loop {
                if now() >= until {
                    return Ok(member);
                }
                let ended = job.start(client)?.end()?;
                member.acknowledged.add_all(&ended.lines);
                match ended.code {
                    Some(0) => break,
                    Some(IN_USE) => {
                        member.in_use += 1;
                        job::wait(BEFORE_TRYING_AGAIN);
                    }
                    Some(_) | None => {
                        crate::terminal::progress(&format!("   {:?} {:?} {}", ended.code, ended.lines, ended.words));
                        member.other_answers += 1;
                    }
                }
            }
        }
    }
    Ok(member)
}
