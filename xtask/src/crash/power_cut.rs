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
use serde_json::Value;

use super::Outcome;
use super::check::{self, Tally};
use super::disk::{Disk, failed};
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
/// Recordings are up to this long: some have a finished piece at the cut.
const RECORD_BYTES_MAX: u64 = 40 * 1024 * 1024;

/// Commands started for one cut, at most: one that ended before its cut is followed by another.
const COMMANDS_A_CUT: u64 = 6;

#[derive(Serialize)]
struct Counts {
    /// Cuts while a command ran.
    cuts: u64,
    /// Captures that were acknowledged before a cut and were looked for right after it.
    checked_after_a_cut: u64,
    /// Recordings of which a piece was acknowledged and the end was not, all found with these pieces.
    recordings_cut: u64,
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
    let (mut acknowledged, mut lives) = (Acknowledged::default(), Lives::default());
    let mut counts = Counts { cuts: 0, checked_after_a_cut: 0, recordings_cut: 0, tally: Tally::default() };
    let mut since_last_cut = Acknowledged::default();
    for _ in 0..cuts.saturating_mul(COMMANDS_A_CUT) {
        if counts.cuts >= cuts {
            break;
        }
        if since_last_cut.len() == 0 {
            // Fresh from the writing: nothing but its syncs has brought this to the medium.
            let fresh = Job::fresh(&mut chance, &mut sources)?;
            since_last_cut.add_all(&fresh.start(&site.client)?.end()?.lines);
        }
        let job = Job::draw(&mut chance, &mut sources, RECORD_BYTES_MAX)?;
        let Some(before) = cut_in_its_life(&medium, &site, &job, (&mut chance, &mut lives), &mut since_last_cut)?
        else {
            continue;
        };
        counts.cuts += 1;
        medium.power_on()?;
        let here = check::on_device(&site.client, &since_last_cut)?;
        counts.checked_after_a_cut += here.acknowledged;
        acknowledged.merge(std::mem::take(&mut since_last_cut));
        counts.recordings_cut += find_recording(&site, &job, &before, &mut acknowledged)?;
        terminal::progress(&format!("   cut {} in {}: {} checked", counts.cuts, job.name(), here.acknowledged));
        if here.lost > 0 || here.duplicates > 0 {
            return Ok(Outcome::judged(&here, &[(false, "a power cut lost or doubled what was acknowledged")]));
        }
    }
    acknowledged.merge(since_last_cut);
    counts.tally = check::all(&site, &acknowledged)?;
    let enough = (counts.cuts >= cuts, "too few cuts hit a command");
    Ok(Outcome::judged(&counts, &[&counts.tally.conditions()[..], &[enough]].concat()))
}

/// Starts the command and cuts the power at a random moment of its life; the lines that were printed before the cut, or
/// `None` where the command had ended.
fn cut_in_its_life(
    medium: &Medium,
    site: &Site,
    job: &Job,
    (chance, lives): (&mut Chance, &mut Lives),
    acknowledged: &mut Acknowledged,
) -> Result<Option<Vec<String>>> {
    if let Some(before) = job.before() {
        before.start(&site.client)?.end()?;
    }
    let mut running: Running = job.start(&site.client)?;
    let life = lives.draw(job.name(), chance);
    job::wait(life);
    // What is printed while the copy is made may be about what the copy lacks.
    let before = running.lines();
    if running.has_ended()? {
        lives.learn(job.name(), life, false, true);
        acknowledged.add_all(&running.end()?.lines);
        return Ok(None);
    }
    medium.cut()?;
    lives.learn(job.name(), life, true, !before.is_empty());
    running.kill()?;
    running.end()?;
    acknowledged.add_all(&before);
    Ok(Some(before))
}

/// A recording whose pieces were acknowledged and whose end was not: it is there with these pieces, and every byte is one
/// that was recorded. What it holds is acknowledged from here on.
fn find_recording(site: &Site, job: &Job, before: &[String], acknowledged: &mut Acknowledged) -> Result<u64> {
    let Job::Record { head, bytes } = job else { return Ok(0) };
    let lines = before.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let durable_bytes: u64 = lines.filter_map(|line| line["bytes"].as_u64()).sum();
    if durable_bytes == 0 || before.iter().any(|line| line.contains("captures")) {
        return Ok(0);
    }
    let listed = check::listed(&site.client)?;
    for check::Listed { id, sha256, .. } in listed.iter().filter(|one| !acknowledged.holds(&one.id)) {
        let file = site.client.scratch("recording");
        site.client.ask(&["view".as_ref(), id.as_ref(), "-o".as_ref(), file.as_os_str()])?;
        let found = fs::read(&file).at(&file)?;
        if found.starts_with(head.as_bytes()) {
            let is_ours = found[head.len()..].iter().all(|byte| *byte == b'.');
            let length = found.len() as u64;
            if !is_ours || length < durable_bytes || length > *bytes {
                return Err(failed(&format!("a recording has {length} bytes, {durable_bytes} were acknowledged")));
            }
            acknowledged.hold(id, sha256);
            return Ok(1);
        }
    }
    Err(failed("a recording with acknowledged pieces is gone"))
}
