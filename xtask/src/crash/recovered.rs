//! A store that is to be recovered, and what must have come back of it.
//!
//! Owns what was known of the store before its database went: captures, states, findings, annotations, sealed bytes, and a recording that
//! broke off. Refuses to know how a recovery is started or killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use snaptrak_driver::Client;

use super::check::{self, Listed};
use super::contents::Contents;
use super::evidence::{Acknowledged, Sources};
use super::ground::{Chance, Site};
use super::job::Job;
use super::recorder::{self, Recorder, Source, broken};
use super::stream::AtEnd;
use crate::error::{AtPath, Result};
use crate::terminal;

/// Commands that capture files before the sync, and after it; some files each.
const CAPTURES_SENT: u64 = 2;
const CAPTURES_NOT_SENT: u64 = 1;
/// A recording that ends, and one that breaks off.
const RECORDING_BYTES: u64 = 1_500_000;
/// Of what was sent, so much is purged: some captures, not all.
const PURGED_BYTES: u64 = 1_000_000;
/// Captures that are opened in each store that came back; all are listed, and all their sealed bytes are compared.
const OPENED: u64 = 2;

/// The exit code of a command that set something aside.
const PARKED: i32 = 6;

/// What was in the store.
pub(super) struct Before {
    /// The folder without its database.
    pub(super) contents: Contents,
    captures: Vec<Listed>,
    /// Findings and annotations of each.
    said: BTreeMap<String, Value>,
    /// The asset that broke off, whose piece is sealed again when it is closed.
    broken_off: String,
    source: Source,
    /// So much of it was complete in its files.
    owed_bytes: u64,
}

impl Before {
    /// Fills a store with everything that a device makes, lets a recording break off, and deletes the database.
    pub(super) fn make(
        site: &Site,
        sources: &mut Sources,
        chance: &mut Chance,
        acknowledged: &mut Acknowledged,
    ) -> Result<Self> {
        for job in jobs(sources, chance)? {
            let ended = job.start(&site.client)?.end()?;
            // A picture that nothing here decodes is set aside, and that is told; it is captured, sent and recovered all the same.
            let is_set_aside = matches!(job, Job::Analyse) && ended.code == Some(PARKED);
            if ended.code != Some(0) && !is_set_aside {
                return Err(broken(&format!("{} ended with {:?}: {}", job.name(), ended.code, ended.words)));
            }
            acknowledged.add_all(&ended.lines);
        }
        let captures = check::listed(&site.client)?;
        for one in captures.iter().step_by(2) {
            let field = format!("trial={}", chance.next());
            site.client.tell(&["annotations", &one.id, "--set", "trial=0", "--set", "gone=1"])?;
            site.client.tell(&["annotations", &one.id, "--set", &field, "--remove", "gone"])?;
        }
        let said = captures.iter().map(|one| Ok((one.id.clone(), said(&site.client, &one.id)?)));
        let said = said.collect::<Result<BTreeMap<_, _>>>()?;
        let nobody = |what: &str| said.values().all(|said| said[what] == Value::Array(Vec::new()));
        if acknowledged.purged() == 0 || nobody("findings") || nobody("annotations") {
            return Err(broken("nothing was purged, or nothing was found in any capture or said of it"));
        }
        let store = &site.client.store;
        let incoming = store.join("incoming");
        let known = recorder::folders(&incoming)?;
        let mut recorder = Recorder::start(&site.client, RECORDING_BYTES, AtEnd::Hold, chance)?;
        let complete = || recorder::complete_bytes(&incoming, &known);
        recorder.wait_until_given_whole()?;
        recorder.wait_until_taken(complete)?;
        let (source, ..) = recorder.kill()?;
        let new: Vec<String> = recorder::folders(&incoming)?.difference(&known).cloned().collect();
        let [broken_off] =
            <[String; 1]>::try_from(new).map_err(|_| broken("a recording that breaks off has no folder"))?;
        let (owed_bytes, database) = (complete()?, store.join("database"));
        fs::remove_dir_all(&database).at(&database)?;
        Ok(Self { contents: Contents::of(store)?, captures, said, broken_off, source, owed_bytes })
    }

    /// Captures that must come back: those that were listed, and the recording.
    pub(super) fn captures(&self) -> u64 {
        self.captures.len() as u64 + 1
    }

    /// Whether a store has everything; the recording that broke off is then acknowledged.
    pub(super) fn is_in(&self, client: &Client, chance: &mut Chance, acknowledged: &mut Acknowledged) -> Result<bool> {
        let listed = check::listed(client)?;
        let known: BTreeSet<&str> = self.captures.iter().map(|one| one.id.as_str()).collect();
        let (old, new): (Vec<&Listed>, Vec<&Listed>) = listed.iter().partition(|one| known.contains(one.id.as_str()));
        let mut holds = old.len() == known.len() && self.captures.iter().all(|one| self.is_listed(one, &old));
        for _ in 0..OPENED {
            let one = &self.captures[chance.below(self.captures.len() as u64) as usize];
            let opens = check::opens(client, one)? && said(client, &one.id)? == self.said[&one.id];
            if !opens {
                terminal::progress(&format!(
                    "   {} does not open, or other things are found in it or said of it",
                    one.id
                ));
            }
            holds &= opens;
        }
        holds &= self.has_pieces(&client.store)?;
        let [recording] = new.as_slice() else {
            terminal::progress(&format!("   {} captures beside those that were there", new.len()));
            return Ok(false);
        };
        let kept = self.source.kept(client, recording)?;
        acknowledged.hold(&recording.id, &recording.sha256);
        let has_recording = kept.interrupted && kept.bytes.is_some_and(|bytes| bytes >= self.owed_bytes);
        if !has_recording {
            terminal::progress(&format!("   of a recording {:?} bytes came back, not {}", kept.bytes, self.owed_bytes));
        }
        Ok(holds && has_recording)
    }

    /// The same digest, and what the server has signed for is still what it was.
    fn is_listed(&self, one: &Listed, listed: &[&Listed]) -> bool {
        let found = listed.iter().find(|found| found.id == one.id);
        let is_same = found.is_some_and(|found| {
            let is_settled = ["verified", "purged"].contains(&one.state.as_str());
            found.sha256 == one.sha256 && (!is_settled || found.state == one.state)
        });
        if !is_same {
            terminal::progress(&format!("   {one:?} came back as {found:?}"));
        }
        is_same
    }

    /// Every sealed piece that was there is there, byte for byte.
    fn has_pieces(&self, store: &Path) -> Result<bool> {
        let contents = Contents::of(store)?;
        let found = contents.pieces();
        let mut all = self.contents.pieces().into_iter().filter(|(path, _)| !path.starts_with(&self.broken_off));
        let lacking = all.find(|(path, sha256)| found.get(path) != Some(sha256));
        if let Some((path, _)) = &lacking {
            terminal::progress(&format!("   {} did not come back as it was", path.display()));
        }
        Ok(lacking.is_none())
    }
}

/// Files, notes and a recording; some at the server, some of these purged; some never sent.
fn jobs(sources: &mut Sources, chance: &mut Chance) -> Result<Vec<Job>> {
    let note = |chance: &mut Chance| Job::Note(format!("a note with the number {}", chance.next()));
    let mut jobs = vec![Job::Capture(vec![sources.photo()?]), note(chance)];
    for _ in 0..CAPTURES_SENT {
        jobs.push(Job::Capture(sources.choose(chance)?));
    }
    jobs.extend([Job::Analyse, Job::Sync, Job::Purge { to_free_bytes: Some(PURGED_BYTES) }, Job::RotateKeys]);
    let head = format!("a recording with the number {} ", chance.next());
    jobs.extend([Job::Record { head, bytes: RECORDING_BYTES }, note(chance)]);
    for _ in 0..CAPTURES_NOT_SENT {
        jobs.push(Job::Capture(sources.choose(chance)?));
    }
    Ok(jobs)
}

fn said(client: &Client, id: &str) -> Result<Value> {
    let mut shown = client.tell(&["show", id])?;
    Ok(json!({"findings": shown["findings"].take(), "annotations": shown["annotations"].take()}))
}
