//! A power cut under a file system: what its medium holds at one moment, mounted again.
//!
//! The store lies on an ext4 whose image is a file on a second, outer file system. To cut the power, the outer one is frozen
//! (`fsfreeze`): the image then holds exactly what the kernel had brought to the "medium", nothing of what it still had in
//! memory, and it holds that of one moment, which a copy of a file that is being written would not. The image is copied, the
//! processes are killed, the copy is put in the place of the medium and mounted; ext4 replays its journal, and the device
//! goes on from there. The server is another machine and keeps its power.
//!
//! Not covered: a medium that loses writes which it had taken and not flushed. [`super::power_model`] does that.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::Outcome;
use super::check::{self, Tally};
use super::cut_recording::{self, CutRecording};
use super::disk::Disk;
use super::evidence::Acknowledged;
use super::ground::{Chance, Ground, Site};
use super::job::{self, Job, Running};
use super::kills::Lives;
use crate::error::{AtPath, Result};
use crate::terminal;

/// The device's disk; sparse. A long trial fills a part of it.
const DISK_SIZE: &str = "3G";
/// The outer file system, which holds the disk's image and nothing else; sparse.
const OUTER_SIZE: &str = "4G";

/// Generated files are small: what is asked is the order of writes, and every byte is copied at each cut.
const GENERATED_BYTES_MAX: u64 = 1024 * 1024;
/// The length of a recording that is drawn; it is then one of a known source, which has its own ([`cut_recording`]).
const RECORD_BYTES_MAX: u64 = 1024 * 1024;

/// Commands started for one cut, at most: one that ended before its cut is followed by another.
const COMMANDS_A_CUT: u64 = 6;

/// One of so many cuts is aimed at a recording, and one at a purge, whatever chance draws beside them.
const CUTS_A_RECORDING: u64 = 3;
const CUTS_A_PURGE: u64 = 5;

#[derive(Default, Serialize)]
struct Counts {
    /// Cuts while a command ran.
    cuts: u64,
    /// Of these, cuts that were aimed at a recording.
    aimed_at_recordings: u64,
    /// Captures that were acknowledged before a cut and were looked for right after it.
    checked_after_a_cut: u64,
    /// Purges that were told before a cut and were not seen any more after it.
    unpurged_after_a_cut: u64,
    #[serde(flatten)]
    recordings: cut_recording::Counts,
    #[serde(flatten)]
    tally: Tally,
}

/// The device's disk.
struct Medium {
    disk: Disk,
    image: PathBuf,
    mounted: PathBuf,
    copy: PathBuf,
}

impl Medium {
    fn new(ground: &Ground<'_>) -> Result<std::result::Result<Self, String>> {
        let [outer_image, outer, mounted, copy] =
            ["outer.img", "outer", "disk", "cut.img"].map(|name| ground.folder.join(name));
        for folder in [&outer, &mounted] {
            fs::create_dir(folder).at(folder)?;
        }
        let image = outer.join("disk.img");
        let script = format!(
            r#"truncate -s {OUTER_SIZE} "$1" && mkfs.ext4 -q -O ^has_journal "$1" && mount -o loop "$1" "$2" &&
               truncate -s {DISK_SIZE} "$4" && mkfs.ext4 -q "$4" && mount -o loop "$4" "$3""#
        );
        let mounted_disk = Disk::mount(&script, &[&outer_image, &outer, &mounted, &image]);
        Ok(mounted_disk.map(|disk| Self { disk, image, mounted, copy }))
    }

    /// Copies what the medium holds at one moment.
    fn cut(&self) -> Result<()> {
        // The outer file system is thawed whatever becomes of the copy.
        let script =
            r#"fsfreeze -f "$1" || exit 1; cp --sparse=always "$2" "$3"; ended=$?; fsfreeze -u "$1" && exit $ended"#;
        let outer = self.image.parent().unwrap_or(&self.image);
        let words = ["sh".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref(), outer.as_os_str()];
        self.disk.run(&[&words[..], &[self.image.as_os_str(), self.copy.as_os_str()]].concat())?;
        Ok(())
    }

    /// Puts the copy in the place of the medium and mounts it. No process may have a file of it open.
    fn power_on(&self) -> Result<()> {
        let script = r#"umount "$1" && cp --sparse=always "$3" "$2" && mount -o loop "$2" "$1""#;
        let words = ["sh".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref(), self.mounted.as_os_str()];
        self.disk.run(&[&words[..], &[self.image.as_os_str(), self.copy.as_os_str()]].concat())?;
        Ok(())
    }
}

pub(super) fn run(ground: &Ground<'_>, cuts: u64) -> Result<Outcome> {
    let medium = match Medium::new(ground)? {
        Ok(medium) => medium,
        Err(why) => return Ok(Outcome::NotRun { why }),
    };
    let client = ground.client()?.with_store(&medium.mounted.join("store")).through(medium.disk.launcher());
    let site = ground.site(client)?;
    let (mut chance, mut sources) = (ground.chance(), ground.sources(GENERATED_BYTES_MAX)?);
    let mut trial = Trial {
        medium: &medium,
        site: &site,
        lives: Lives::default(),
        since_last_cut: Acknowledged::default(),
        acknowledged: Acknowledged::default(),
        counts: Counts::default(),
    };
    for _ in 0..cuts.saturating_mul(COMMANDS_A_CUT) {
        if trial.counts.cuts >= cuts {
            break;
        }
        if trial.since_last_cut.len() == 0 {
            // Fresh from the writing: nothing but its syncs has brought this to the medium.
            let fresh = Job::fresh(&mut chance, &mut sources)?;
            trial.since_last_cut.add_all(&fresh.start(&site.client)?.end()?.lines);
        }
        let is_turn = |every: u64| trial.counts.cuts % every == every - 1;
        let (is_recording, is_purge) = (is_turn(CUTS_A_RECORDING), is_turn(CUTS_A_PURGE));
        let job =
            if is_purge { Job::purge(&mut chance) } else { Job::draw(&mut chance, &mut sources, RECORD_BYTES_MAX)? };
        let here = if is_recording || matches!(job, Job::Record { .. }) {
            trial.cut_a_recording(!is_recording, &mut chance)?
        } else {
            trial.cut_in_its_life(&job, &mut chance)?
        };
        if let Some(here) = here.filter(|here| here.lost > 0 || here.duplicates > 0) {
            return Ok(Outcome::judged(&here, &[(false, "a power cut lost or doubled what was acknowledged")]));
        }
    }
    let Trial { since_last_cut, mut acknowledged, mut counts, .. } = trial;
    acknowledged.merge(since_last_cut);
    counts.tally = check::all(&site, &acknowledged)?;
    let enough = (counts.cuts >= cuts, "too few cuts hit a command");
    let purged = (counts.unpurged_after_a_cut == 0, "a power cut took back a purge that was told");
    let recordings = counts.recordings.conditions(counts.cuts >= CUTS_A_RECORDING);
    Ok(Outcome::judged(&counts, &[&counts.tally.conditions()[..], &recordings, &[purged, enough]].concat()))
}

/// A device whose power is cut.
struct Trial<'a> {
    medium: &'a Medium,
    site: &'a Site,
    lives: Lives,
    since_last_cut: Acknowledged,
    acknowledged: Acknowledged,
    counts: Counts,
}

impl Trial<'_> {
    /// Starts the command and cuts the power at a random moment of its life; what is left then, or `None` where the command
    /// had ended.
    fn cut_in_its_life(&mut self, job: &Job, chance: &mut Chance) -> Result<Option<Tally>> {
        if let Some(before) = job.before() {
            before.start(&self.site.client)?.end()?;
        }
        let mut running: Running = job.start(&self.site.client)?;
        let life = self.lives.draw(job.name(), chance);
        job::wait(life);
        // What is printed while the copy is made may be about what the copy lacks.
        let before = running.lines();
        if running.has_ended()? {
            self.lives.learn(job.name(), life, false, true);
            self.since_last_cut.add_all(&running.end()?.lines);
            return Ok(None);
        }
        self.medium.cut()?;
        self.lives.learn(job.name(), life, true, !before.is_empty());
        running.kill()?;
        running.end()?;
        self.since_last_cut.add_all(&before);
        self.look(job.name()).map(Some)
    }

    /// The same in a recording that goes on, rests or (where it `may_end`) ends, with something of it on the medium.
    fn cut_a_recording(&mut self, may_end: bool, chance: &mut Chance) -> Result<Option<Tally>> {
        let incoming = self.medium.disk.reach(&self.site.client.store.join("incoming"));
        let mut recording = CutRecording::start(&self.site.client, &incoming, may_end, chance)?;
        let before = recording.lines();
        self.since_last_cut.add_all(&before);
        if recording.has_ended()? {
            // Its last line may have come in between.
            self.since_last_cut.add_all(&recording.end()?);
            return Ok(None);
        }
        self.counts.aimed_at_recordings += 1;
        let broken_off = recording.break_off(|| self.medium.cut())?;
        let here = self.look("a recording")?;
        broken_off.judge(&self.site.client, &mut self.acknowledged, &mut self.counts.recordings)?;
        Ok(Some(here))
    }

    /// Gives the power back and looks for what was acknowledged before it went.
    fn look(&mut self, hit: &str) -> Result<Tally> {
        self.counts.cuts += 1;
        self.medium.power_on()?;
        let here = check::on_device(&self.site.client, &self.since_last_cut)?;
        self.counts.checked_after_a_cut += here.acknowledged;
        self.counts.unpurged_after_a_cut += here.unpurged;
        self.acknowledged.merge(std::mem::take(&mut self.since_last_cut));
        terminal::progress(&format!("   cut {} in {hit}: {} checked", self.counts.cuts, here.acknowledged));
        Ok(here)
    }
}
