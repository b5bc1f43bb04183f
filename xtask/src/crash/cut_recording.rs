//! A recording under which the power is cut: what it owes is known before the cut, what is kept is judged after it.
//!
//! A source of known bytes flows into `record`, so fast that what is not synced is bounded by bytes, or it rests for longer
//! than the time after which a recording syncs, or it ends. What may be missing after the cut is what followed the last sync and
//! the segment that was open then; whatever is kept is the beginning of the source.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use snaptrak_driver::Client;

use super::check;
use super::evidence::Acknowledged;
use super::ground::Chance;
use super::job;
use super::recorder::{self, LATER_SEGMENT_PLAIN_BYTES, Recorder, Source, Told};
use super::stream::AtEnd;
use crate::error::Result;
use crate::terminal;

/// A recording syncs after so many bytes (core/store/src/recording/pace.rs), looked at after each read of its input, of which
/// one may be in its hands and one in the pipe when the power goes.
const UNSYNCED_BYTES_MAX: u64 = SYNC_AFTER_BYTES + READ_BYTES + PIPE_BYTES;
const SYNC_AFTER_BYTES: u64 = 4 * 1024 * 1024;
const READ_BYTES: u64 = 1024 * 1024;
const PIPE_BYTES: u64 = 64 * 1024;
/// A resting recording syncs after two seconds; the rest is what the sync itself may take on a loaded machine.
const RESTED: Duration = Duration::from_secs(6);
/// Ending syncs a piece, the envelope and the rows: the cut falls into it or a little later.
const ENDING_MS_MAX: u64 = 150;

/// From here on something must be kept, whatever the moment.
const PLACE_BYTES_MIN: u64 = UNSYNCED_BYTES_MAX + LATER_SEGMENT_PLAIN_BYTES + 1;
/// Places of the cut, after that: some more syncs. Every byte is copied at each cut.
const PLACE_BYTES_RANGE: u64 = 14 * 1024 * 1024;
/// A source that flows while the cut is made has some more.
const SOURCE_BYTES: u64 = PLACE_BYTES_MIN + PLACE_BYTES_RANGE + 12 * 1024 * 1024;

/// What came of the recordings that were cut.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    /// Recordings that went on at a cut and of which something was kept, an exact beginning of their source.
    recordings_cut: u64,
    recording_bytes_kept: u64,
    /// The most that a source had given to one that went on or ended, and that is not kept.
    recording_missing_bytes_max: u64,
    /// The most that a source had given before it rested, and that is not kept.
    rested_missing_bytes_max: u64,
    /// Recordings of which less was kept than was synced or told.
    recordings_lost: u64,
    /// Recordings that are not what the source gave, or that say something else than what happened to them.
    recordings_wrong: u64,
}

impl Counts {
    /// What must hold; `aimed` says whether a cut was aimed at a recording that does not end.
    pub(super) fn conditions(&self, aimed: bool) -> [(bool, &'static str); 3] {
        [
            (self.recordings_lost == 0, "a power cut took more of a recording than what followed its last sync"),
            (self.recordings_wrong == 0, "a recording is not what its source gave, or says something else"),
            (!aimed || self.recordings_cut > 0, "no cut hit a recording that goes on"),
        ]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Flowing,
    Resting,
    Ending,
}

/// A recording before the cut.
pub(super) struct CutRecording {
    recorder: Recorder,
    moment: Moment,
    ids_before: BTreeSet<String>,
}

/// A recording after the cut, before anybody opened its store again.
pub(super) struct BrokenOff {
    source: Source,
    moment: Moment,
    ids_before: BTreeSet<String>,
    given_bytes: u64,
    told: Told,
}

impl CutRecording {
    /// Starts a recording and lets it come to its moment, which is its end only where it `may_end`. `incoming` is the store's
    /// folder of that name, as it is seen from here.
    pub(super) fn start(client: &Client, incoming: &Path, may_end: bool, chance: &mut Chance) -> Result<Self> {
        let moment = match chance.below(if may_end { 4 } else { 3 }) {
            0 | 1 => Moment::Flowing,
            2 => Moment::Resting,
            _ => Moment::Ending,
        };
        // Opening also closes whatever was left, so that what is new afterwards is this one.
        let ids_before = check::listed(client)?.into_iter().map(|one| one.id).collect();
        let known = recorder::folders(incoming)?;
        let place = PLACE_BYTES_MIN + chance.below(PLACE_BYTES_RANGE);
        let (bytes, at_end) = match moment {
            Moment::Flowing => (SOURCE_BYTES, AtEnd::Hold),
            Moment::Resting => (place, AtEnd::Hold),
            Moment::Ending => (place, AtEnd::Close),
        };
        let mut recorder = Recorder::start(client, bytes, at_end, chance)?;
        recorder.wait_until_given(place)?;
        match moment {
            Moment::Flowing => {}
            Moment::Resting => {
                recorder.wait_until_taken(|| recorder::complete_bytes(incoming, &known))?;
                job::wait(RESTED);
            }
            Moment::Ending => job::wait(Duration::from_millis(chance.below(ENDING_MS_MAX))),
        }
        Ok(Self { recorder, moment, ids_before })
    }

    /// Whether it has ended, so that a cut would not be one in a recording.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        self.recorder.has_ended()
    }

    /// What it printed until now.
    pub(super) fn lines(&self) -> Vec<String> {
        self.recorder.lines()
    }

    /// All that it printed, once it has ended.
    pub(super) fn end(self) -> Result<Vec<String>> {
        self.recorder.kill().map(|(_, lines, _)| lines)
    }

    /// Cuts the power and ends the process. What is given and told while the cut is made may be about what the medium lacks:
    /// both are looked at before.
    pub(super) fn break_off(self, cut: impl FnOnce() -> Result<()>) -> Result<BrokenOff> {
        let (given_bytes, told) = (self.recorder.given_bytes(), Told::of(&self.lines()));
        cut()?;
        let (source, ..) = self.recorder.kill()?;
        Ok(BrokenOff { source, moment: self.moment, ids_before: self.ids_before, given_bytes, told })
    }
}

impl BrokenOff {
    /// Looks for it in the store whose power is back, and counts. What is kept of it is acknowledged from here on.
    pub(super) fn judge(&self, client: &Client, acknowledged: &mut Acknowledged, counts: &mut Counts) -> Result<()> {
        let listed = check::listed(client)?;
        let new: Vec<_> = listed.iter().filter(|one| !self.ids_before.contains(&one.id)).collect();
        let (kept_bytes, holds) = match new.as_slice() {
            [] => (0, true),
            [one] => {
                let kept = self.source.kept(client, one)?;
                let bytes = kept.bytes.unwrap_or(0);
                acknowledged.hold(&one.id, &one.sha256);
                counts.recordings_cut += u64::from(kept.interrupted && bytes > 0);
                (bytes, kept.bytes.is_some() && self.says_so(kept.interrupted, bytes))
            }
            _ => (0, false),
        };
        counts.recording_bytes_kept += kept_bytes;
        let missing_bytes_max = match self.moment {
            Moment::Resting => &mut counts.rested_missing_bytes_max,
            Moment::Flowing | Moment::Ending => &mut counts.recording_missing_bytes_max,
        };
        *missing_bytes_max = (*missing_bytes_max).max(self.given_bytes.saturating_sub(kept_bytes));
        counts.recordings_wrong += u64::from(!holds);
        counts.recordings_lost += u64::from(kept_bytes < self.owed_bytes());
        let Self { moment, given_bytes, .. } = self;
        terminal::progress(&format!(
            "   {moment:?} at {given_bytes}: kept {kept_bytes}, owed {}{}",
            self.owed_bytes(),
            if holds { "" } else { ", and wrong" }
        ));
        Ok(())
    }

    /// One that broke off says so and was not acknowledged; one that did not is whole.
    fn says_so(&self, interrupted: bool, bytes: u64) -> bool {
        if interrupted { !self.told.whole } else { self.moment == Moment::Ending && bytes == self.source.bytes }
    }

    /// At least so much must be kept: what was told, and what was synced but for the segment that was open then.
    fn owed_bytes(&self) -> u64 {
        let unsynced_bytes_max = match self.moment {
            Moment::Flowing | Moment::Ending => UNSYNCED_BYTES_MAX,
            Moment::Resting => 0,
        };
        let synced = self.given_bytes.saturating_sub(unsynced_bytes_max + LATER_SEGMENT_PLAIN_BYTES);
        let whole = if self.told.whole { self.source.bytes } else { 0 };
        synced.max(self.told.bytes).max(whole)
    }
}
