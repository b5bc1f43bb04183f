//! SIGKILL in the middle of long recordings: what is kept is a prefix of the source, and at most the open segment is missing.
//!
//! A source of known bytes flows through a pipe into `record`. The process is killed at a random place of the source: while
//! bytes flow, while the source rests (then all that it gave must be kept but for the open segment), or while the recording
//! ends. Some of the openings that close what was left are killed too. What the kill left on disk is measured before the store
//! is opened: what had been acknowledged and every complete segment of a file must be there, and the capture must say where it
//! broke off.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use snaptrak_driver::{Client, patience};

use super::ground::{Chance, Ground};
use super::job::{self, Running};
use super::stream::{AtEnd, Feeding, Stream};
use super::{Outcome, check};
use crate::error::{AtPath, Error, Result};
use crate::terminal;

/// Recordings that one store sees: at two gigabytes each, more would need more disk than a small machine has.
const RECORDINGS_A_STORE: u64 = 4;
/// Processes started for one kill, at most: one whose input ends may end before its kill.
const TRIES_A_KILL: u64 = 4;
/// A sealed segment, and the plaintext of a full one that is not the first in its file (core/seal/README.md).
const SEGMENT_BYTES: u64 = 65_536;
const LATER_SEGMENT_PLAIN_BYTES: u64 = SEGMENT_BYTES - TAG_BYTES;
const HEADER_BYTES: u64 = 40;
const TAG_BYTES: u64 = 16;
/// Between two looks at how far the source has come.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Pieces of some recordings are finished after so many milliseconds at most.
const SHORT_PIECE_MS_MAX: u64 = 1_500;
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
    source: Stream,
    moment: Moment,
    /// As long as it can be at most.
    source_bytes: u64,
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
        let source = Stream::draw(chance);
        let place = 1 + chance.below(bytes);
        let source_bytes = if moment == Moment::Flowing { bytes } else { place };
        let mut arguments: Vec<OsString> = ["record", "--kind", "video", "--jsonl"].map(OsString::from).to_vec();
        if chance.below(3) == 0 {
            let piece_ms = 50 + chance.below(SHORT_PIECE_MS_MAX);
            arguments.extend(["--piece-ms".into(), piece_ms.to_string().into()]);
        }
        let failed = |source| Error::Start { program: "snaptrak record".to_owned(), source };
        let mut child = device.client.command(&arguments).stdin(Stdio::piped()).spawn().map_err(failed)?;
        let at_end = if moment == Moment::Ending { AtEnd::Close } else { AtEnd::Hold };
        let feeding = child.stdin.take().map(|pipe| source.feed(pipe, source_bytes, at_end));
        let feeding = feeding.ok_or_else(|| broken("a recording has no standard input"))?;
        let mut running = Running::of("record", child);
        while feeding.bytes() < place && !running.has_ended()? {
            job::wait(LOOK_EVERY);
        }
        let rested_at_bytes = device.wait_for(moment, &feeding, chance)?;
        let was_running = running.kill()?;
        let lines = running.end()?.lines;
        drop(feeding);
        let (acknowledged_bytes, acknowledged) = acknowledged(&lines);
        let whole = if acknowledged { source_bytes } else { 0 };
        let owed_bytes = device.complete_bytes()?.max(acknowledged_bytes).max(whole);
        Ok(Self { source, moment, source_bytes, rested_at_bytes, owed_bytes, acknowledged, was_running })
    }
}

/// Bytes of the pieces that were told as durable, and whether the whole was acknowledged.
fn acknowledged(lines: &[String]) -> (u64, bool) {
    let answers = || lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let bytes = answers().filter(|line| line["piece"].is_u64()).filter_map(|line| line["bytes"].as_u64()).sum();
    (bytes, answers().any(|line| line["captures"].is_array()))
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
    fn wait_for(&self, moment: Moment, feeding: &Feeding, chance: &mut Chance) -> Result<Option<u64>> {
        match moment {
            Moment::Flowing => Ok(None),
            Moment::Ending => {
                job::wait(Duration::from_millis(chance.below(ENDING_MS_MAX)));
                Ok(None)
            }
            Moment::Resting => {
                let given = feeding.bytes();
                let is_taken = || {
                    let complete = self.complete_bytes().unwrap_or(0);
                    complete + LATER_SEGMENT_PLAIN_BYTES >= given
                };
                if !patience::until(is_taken) {
                    return Err(broken("complete segments do not reach their file"));
                }
                job::wait(Duration::from_millis(chance.below(REST_MS_MAX)));
                Ok(Some(given))
            }
        }
    }

    /// Plaintext bytes of the complete segments of the one recording that goes on or broke off.
    fn complete_bytes(&self) -> Result<u64> {
        let checked: BTreeSet<&str> = self.checked.values().map(String::as_str).collect();
        let incoming = self.client.store.join("incoming");
        let mut bytes = 0;
        for folder in fs::read_dir(&incoming).at(&incoming)?.flatten() {
            // A closed recording lies here until somebody has time to move it.
            if !checked.contains(folder.file_name().to_string_lossy().as_ref()) {
                bytes += complete_bytes_in(&folder.path())?;
            }
        }
        Ok(bytes)
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
        let listed = check::listed(&self.client)?.into_iter().map(|one| (one.id, one.sha256));
        let listed: BTreeMap<String, String> = listed.collect();
        let gone = self.checked.keys().filter(|id| !listed.contains_key(*id)).count();
        let mut new = listed.iter().filter(|(id, _)| !self.checked.contains_key(*id));
        let (kept_bytes, holds) = match (new.next(), new.next()) {
            (None, _) => (0, true),
            (Some(_), Some(_)) => (0, false),
            (Some((id, sha256)), None) => {
                let (asset_id, bytes) = self.check(id, sha256, killed)?;
                self.checked.insert(id.clone(), asset_id);
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
            let Killed { moment, source_bytes, owed_bytes, .. } = killed;
            terminal::progress(&format!(
                "   {moment:?} of {source_bytes}: kept {kept_bytes}, owed {owed_bytes}, {gone} gone"
            ));
        }
        Ok(())
    }

    /// Its asset, and how many bytes of the source a capture has; `None` where it has others, or tells them wrongly.
    fn check(&self, id: &str, sha256: &str, killed: &Killed) -> Result<(String, Option<u64>)> {
        let shown = self.client.tell(&["show", id])?;
        let file = self.client.scratch("viewed");
        let viewed = self.client.tell(&["view", id, "-o", &file.to_string_lossy()])?;
        let bytes = killed.source.prefix_bytes(&file, killed.source_bytes)?;
        fs::remove_file(&file).at(&file)?;
        let metadata = &shown["metadata"];
        let says_so = if metadata["interrupted"] == true {
            !killed.acknowledged && metadata["interrupted_at_bytes"].as_u64() == bytes
        } else {
            killed.moment == Moment::Ending && bytes == Some(killed.source_bytes)
        };
        let original = shown["assets"].as_array().into_iter().flatten().find(|asset| asset["rendition"] == "original");
        let original = original.ok_or_else(|| broken("a recording has no original"))?;
        let is_it = viewed["sha256"] == sha256 && original["bytes"].as_u64() == bytes && metadata["kind"] == "video";
        if !says_so || !is_it {
            terminal::progress(&format!("   {id}: {viewed} {metadata}"));
        }
        let asset_id = original["asset_id"].as_str().unwrap_or_default().to_owned();
        Ok((asset_id, bytes.filter(|_| says_so && is_it)))
    }
}

/// What the files of an asset's folder hold complete: all of a file that another follows, whole segments of the last one.
fn complete_bytes_in(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).at(folder)?.flatten().map(|entry| entry.path());
    let mut pieces: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "piece")).collect();
    pieces.sort();
    let lengths = pieces.iter().map(|path| Ok(fs::metadata(path).at(path)?.len())).collect::<Result<Vec<u64>>>()?;
    let Some((last, finished)) = lengths.split_last() else { return Ok(0) };
    let finished: u64 = finished.iter().map(|length| plain_bytes(*length)).sum();
    Ok(finished + plain_bytes(last / SEGMENT_BYTES * SEGMENT_BYTES))
}

/// Plaintext of a sealed file of this length.
fn plain_bytes(sealed_bytes: u64) -> u64 {
    sealed_bytes.saturating_sub(HEADER_BYTES + sealed_bytes.div_ceil(SEGMENT_BYTES) * TAG_BYTES)
}

fn broken(words: &str) -> Error {
    Error::Missing { what: words.to_owned(), next: "read core/store/src/recording/mod.rs".to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FIRST_SEGMENT_PLAIN_BYTES: u64 = LATER_SEGMENT_PLAIN_BYTES - HEADER_BYTES;

    #[test]
    fn complete_segments_are_counted_as_the_format_lays_them_out() {
        assert_eq!(plain_bytes(SEGMENT_BYTES), FIRST_SEGMENT_PLAIN_BYTES);
        assert_eq!(plain_bytes(2 * SEGMENT_BYTES), FIRST_SEGMENT_PLAIN_BYTES + LATER_SEGMENT_PLAIN_BYTES);
        assert_eq!((plain_bytes(0), plain_bytes(57)), (0, 1));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: u64| fs::write(folder.path().join(name), vec![0; bytes as usize]).unwrap();
        assert_eq!(complete_bytes_in(folder.path()).unwrap(), 0);
        write("00000000.piece", 57);
        assert_eq!(complete_bytes_in(folder.path()).unwrap(), 0, "the last one may be open");
        write("00000001.piece", SEGMENT_BYTES + 10);
        write("envelope.json", 500);
        assert_eq!(complete_bytes_in(folder.path()).unwrap(), 1 + FIRST_SEGMENT_PLAIN_BYTES);
    }

    #[test]
    fn lines_that_acknowledge_are_told_from_others() {
        let lines = [r#"{"piece":0,"bytes":5}"#, r#"{"piece":1,"bytes":7}"#, r#"{"piece":2,"byt"#].map(str::to_owned);
        assert_eq!(acknowledged(&lines), (12, false));
        assert_eq!(acknowledged(&[r#"{"captures":[{"bytes":3}]}"#.to_owned()]), (0, true));
    }
}
