//! SIGKILL in the middle of long recordings: what is kept is a prefix of the source, and at most the open segment is missing.
//!
//! A source of known bytes flows through a pipe into `record`. The process is killed at a random place of the source: while
//! bytes flow, while the source rests (then all that it gave must be kept but for the open segment), or while the recording
//! ends. Some of the openings that close what was left are killed too. What the kill left on disk is measured before the store
//! is opened: what had been acknowledged and every complete segment of a file must be there, and the capture must say where it
//! broke off.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde::Serialize;
use snaptrak_driver::Client;

use super::Outcome;
use super::check::{self, Listed};
use super::ground::{Chance, Ground};
use super::job::{self, Running};
use super::recorder::{self, LATER_SEGMENT_PLAIN_BYTES, Recorder, Source, Told};
use super::stream::AtEnd;
use crate::error::{AtPath, Error, Result};
use crate::terminal;

/// Recordings that one store sees: at two gigabytes each, more would need more disk than a small machine has.
const RECORDINGS_A_STORE: u64 = 4;
/// Processes started for one kill, at most: one whose input ends may end before its kill.
const TRIES_A_KILL: u64 = 4;
/// What a rest before a kill takes at most: longer than the two seconds after which a recording syncs.
const REST_MS_MAX: u64 = 2_500;
/// Ending syncs a piece, the envelope and the rows: the kill falls into it or a little later.
const ENDING_MS_MAX: u64 = 150;
/// Opening a store takes so long; then it closes what it finds, at about so many bytes a millisecond.
const OPENING_MS: u64 = 250;
const CLOSED_BYTES_A_MS: u64 = 1_000_000;

/// What happens to a recording when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Flowing,
    Resting,
    Ending,
}

#[derive(Default, Serialize)]
struct Counts {
    /// Recordings that were killed while they went on or ended.
    kills: u64,
    /// Openings that were killed while they closed one.
    closings_killed: u64,
    /// Recordings of which something was kept.
    recordings: u64,
    kept_bytes: u64,
    /// The most that a source had given before it rested and that is not kept.
    missing_bytes_max: u64,
    /// Recordings of which less was kept than was acknowledged or lay complete on disk.
    lost: u64,
    /// Recordings that are not what the source gave, or that say something else than what happened to them.
    wrong: u64,
}

pub(super) fn run(ground: &Ground<'_>, kills: u64) -> Result<Outcome> {
    let (mut chance, mut counts) = (ground.chance(), Counts::default());
    let mut device = Device::new(ground, 0)?;
    for number in 0..kills.saturating_mul(TRIES_A_KILL) {
        if counts.kills >= kills {
            break;
        }
        if number > 0 && number % RECORDINGS_A_STORE == 0 {
            device = device.followed_by(ground, number, &counts)?;
        }
        let moment = match number % 5 {
            0 | 2 => Moment::Flowing,
            1 | 3 => Moment::Resting,
            _ => Moment::Ending,
        };
        let killed = Killed::make(&device, moment, ground.recording_bytes, &mut chance)?;
        if number % 4 == 1 {
            counts.closings_killed += device.kill_closing(killed.owed_bytes, &mut chance)?;
        }
        device.judge(&killed, &mut counts)?;
    }
    let open_segment = counts.missing_bytes_max <= LATER_SEGMENT_PLAIN_BYTES;
    Ok(Outcome::judged(
        &counts,
        &[
            (counts.lost == 0, "less was kept than was acknowledged or lay complete on disk"),
            (counts.wrong == 0, "a recording is not what the source gave, or says something else"),
            (open_segment, "more than the open segment is missing"),
            (counts.kills >= kills && counts.recordings > 0, "too few recordings were killed"),
        ],
    ))
}

/// A recording whose process is gone, before anybody opened its store again.
struct Killed {
    source: Source,
    moment: Moment,
    /// What the source had given before it rested.
    rested_at_bytes: Option<u64>,
    /// At least so much must be kept.
    owed_bytes: u64,
    /// It was acknowledged as a whole.
    acknowledged: bool,
    was_running: bool,
}

impl Killed {
    fn make(device: &Device, moment: Moment, bytes: u64, chance: &mut Chance) -> Result<Self> {
        let place = 1 + chance.below(bytes);
        let source_bytes = if moment == Moment::Flowing { bytes } else { place };
        let at_end = if moment == Moment::Ending { AtEnd::Close } else { AtEnd::Hold };
        let mut recorder = Recorder::start(&device.client, source_bytes, at_end, chance)?;
        recorder.wait_until_given(place)?;
        let rested_at_bytes = device.wait_for(moment, &recorder, chance)?;
        let (source, lines, was_running) = recorder.kill()?;
        let told = Told::of(&lines);
        let whole = if told.whole { source.bytes } else { 0 };
        let owed_bytes = device.complete_bytes()?.max(told.bytes).max(whole);
        Ok(Self { source, moment, rested_at_bytes, owed_bytes, acknowledged: told.whole, was_running })
    }
}

/// A store with the recordings that were checked in it.
struct Device {
    client: Client,
    checked: BTreeMap<String, String>,
}

impl Device {
    fn new(ground: &Ground<'_>, number: u64) -> Result<Self> {
        let client = ground.client()?.with_store(&ground.folder.join(format!("store-{number}")));
        client.tell(&["init"])?;
        Ok(Self { client, checked: BTreeMap::new() })
    }

    /// The next store, in place of this one; one in which something did not hold stays.
    fn followed_by(self, ground: &Ground<'_>, number: u64, counts: &Counts) -> Result<Self> {
        terminal::progress(&format!("   {} kills, {} bytes kept", counts.kills, counts.kept_bytes));
        if counts.lost == 0 && counts.wrong == 0 {
            fs::remove_dir_all(&self.client.store).at(&self.client.store)?;
        }
        Self::new(ground, number)
    }

    /// Lets the moment of the kill come; what the source had given, where it rests.
    fn wait_for(&self, moment: Moment, recorder: &Recorder, chance: &mut Chance) -> Result<Option<u64>> {
        match moment {
            Moment::Flowing => Ok(None),
            Moment::Ending => {
                job::wait(Duration::from_millis(chance.below(ENDING_MS_MAX)));
                Ok(None)
            }
            Moment::Resting => {
                let given = recorder.wait_until_taken(|| self.complete_bytes())?;
                job::wait(Duration::from_millis(chance.below(REST_MS_MAX)));
                Ok(Some(given))
            }
        }
    }

    /// Plaintext bytes of the complete segments of the one recording that goes on or broke off.
    fn complete_bytes(&self) -> Result<u64> {
        let checked: BTreeSet<String> = self.checked.values().cloned().collect();
        recorder::complete_bytes(&self.client.store.join("incoming"), &checked)
    }

    /// Opens the store, which closes what was left, and kills that.
    fn kill_closing(&self, bytes: u64, chance: &mut Chance) -> Result<u64> {
        let failed = |source| Error::Start { program: "snaptrak list".to_owned(), source };
        let mut running = Running::of("list", self.client.command(&["list"]).spawn().map_err(failed)?);
        job::wait(Duration::from_millis(chance.below(OPENING_MS + bytes / CLOSED_BYTES_A_MS)));
        let was_running = running.kill()?;
        running.end()?;
        Ok(u64::from(was_running))
    }

    /// Opens what is kept, compares it with the source, and counts.
    fn judge(&mut self, killed: &Killed, counts: &mut Counts) -> Result<()> {
        counts.kills += u64::from(killed.was_running);
        let listed = check::listed(&self.client)?;
        let gone = self.checked.keys().filter(|id| !listed.iter().any(|one| one.id == **id)).count();
        let mut new = listed.iter().filter(|one| !self.checked.contains_key(&one.id));
        let (kept_bytes, holds) = match (new.next(), new.next()) {
            (None, _) => (0, true),
            (Some(_), Some(_)) => (0, false),
            (Some(one), None) => {
                let (asset_id, bytes) = self.check(one, killed)?;
                self.checked.insert(one.id.clone(), asset_id);
                counts.recordings += 1;
                (bytes.unwrap_or(0), bytes.is_some())
            }
        };
        counts.kept_bytes += kept_bytes;
        counts.wrong += u64::from(!holds);
        counts.lost += u64::from(kept_bytes < killed.owed_bytes) + gone as u64;
        let missing_bytes = killed.rested_at_bytes.map_or(0, |rested_at| rested_at.saturating_sub(kept_bytes));
        counts.missing_bytes_max = counts.missing_bytes_max.max(missing_bytes);
        if !holds || gone > 0 || kept_bytes < killed.owed_bytes {
            let Killed { moment, source: Source { bytes, .. }, owed_bytes, .. } = killed;
            terminal::progress(&format!("   {moment:?} of {bytes}: kept {kept_bytes}, owed {owed_bytes}, {gone} gone"));
        }
        Ok(())
    }

    /// Its asset, and how many bytes of the source a capture has; `None` where it has others, or tells them wrongly.
    fn check(&self, capture: &Listed, killed: &Killed) -> Result<(String, Option<u64>)> {
        let kept = killed.source.kept(&self.client, capture)?;
        let says_so = if kept.interrupted {
            !killed.acknowledged
        } else {
            killed.moment == Moment::Ending && kept.bytes == Some(killed.source.bytes)
        };
        Ok((kept.asset_id, kept.bytes.filter(|_| says_so)))
    }
}
