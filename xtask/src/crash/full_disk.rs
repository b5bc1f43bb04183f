//! A disk that is full at a random moment: something else on the device takes all that is left, and later gives it back.
//!
//! While the disk is full, what is refused is refused as `storage_full`, exit code 4, and nothing that was acknowledged is
//! hurt; once there is room again, everything goes on. The device is never started anew in between by hand.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::Outcome;
use super::check::{self, Tally};
use super::disk::Disk;
use super::evidence::{Acknowledged, Sources};
use super::ground::{Chance, Ground, Site};
use super::job::{self, Ended, Job};
use super::kills::Lives;
use crate::error::{AtPath, Result};
use crate::terminal;

/// The device's disk; sparse. What is captured between two syncs fits, and filling it takes a moment.
const DISK_SIZE: &str = "256M";
/// Generated files are up to this long, recordings too.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the filler writes at a time: small enough to take the last block.
const FILL_BYTES: [usize; 2] = [1024 * 1024, 4096];

/// Commands while the disk is full, besides the one that was hit.
const COMMANDS_WHEN_FULL: u64 = 3;

/// The exit code of `storage_full`.
const STORAGE_FULL: i32 = 4;

#[derive(Default, Serialize)]
struct Counts {
    /// How often the disk was full.
    full: u64,
    /// Commands that were refused with `storage_full`.
    refused: u64,
    /// Commands that could do their work on the full disk.
    done_when_full: u64,
    /// Commands that ended otherwise.
    other_answers: u64,
    #[serde(flatten)]
    tally: Tally,
}

pub(super) fn run(ground: &Ground<'_>, rounds: u64) -> Result<Outcome> {
    let [image, mounted] = ["disk.img", "disk"].map(|name| ground.folder.join(name));
    fs::create_dir(&mounted).at(&mounted)?;
    // No blocks kept for root, who would otherwise not meet a full disk.
    let script = format!(r#"truncate -s {DISK_SIZE} "$1" && mkfs.ext4 -q -m 0 "$1" && mount -o loop "$1" "$2""#);
    let disk = match Disk::mount(&script, &[&image, &mounted]) {
        Ok(disk) => disk,
        Err(why) => return Ok(Outcome::NotRun { why }),
    };
    let filler = disk.reach(&mounted.join("filler"));
    let client = ground.client()?.with_store(&mounted.join("store")).through(disk.launcher());
    let site = ground.site(client)?;
    let (mut chance, mut sources) = (ground.chance(), ground.sources(BYTES_MAX)?);
    let (mut acknowledged, mut lives) = (Acknowledged::default(), Lives::default());
    let mut counts = Counts::default();
    for round in 1..=rounds {
        let mut trial = Trial { site: &site, acknowledged: &mut acknowledged, counts: &mut counts };
        trial.fill_in_its_life(&filler, (&mut chance, &mut sources, &mut lives))?;
        fs::remove_file(&filler).at(&filler)?;
        // There is room again: what a device does next works.
        trial.goes_on(&mut sources, &mut chance)?;
        terminal::progress(&format!("   full {round} times, {} refused so far", counts.refused));
    }
    counts.tally = check::all(&site, &acknowledged)?;
    let [lost, duplicates, purged, tried] = counts.tally.conditions();
    let answers = (counts.other_answers == 0, "a full disk was answered with something else than storage_full");
    let refused = (counts.refused > 0, "no full disk was met");
    Ok(Outcome::judged(&counts, &[lost, duplicates, purged, tried, answers, refused]))
}

struct Trial<'a> {
    site: &'a Site,
    acknowledged: &'a mut Acknowledged,
    counts: &'a mut Counts,
}

impl Trial<'_> {
    /// Fills the disk at a random moment of a command, lets it end, and tries others.
    fn fill_in_its_life(
        &mut self,
        filler: &Path,
        (chance, sources, lives): (&mut Chance, &mut Sources, &mut Lives),
    ) -> Result<()> {
        let job = Job::draw(chance, sources, BYTES_MAX)?;
        let mut running = job.start(&self.site.client)?;
        let life = lives.draw(job.name(), chance);
        job::wait(life);
        fill(filler)?;
        lives.learn(job.name(), life, !running.has_ended()?, true);
        self.counts.full += 1;
        let ended = running.end()?;
        self.judge(&job, &ended);
        for _ in 0..COMMANDS_WHEN_FULL {
            // What the store gave back while it failed is taken too.
            fill(filler)?;
            let job = Job::draw(chance, sources, BYTES_MAX)?;
            let ended = job.start(&self.site.client)?.end()?;
            self.judge(&job, &ended);
        }
        Ok(())
    }

    fn judge(&mut self, job: &Job, ended: &Ended) {
        self.acknowledged.add_all(&ended.lines);
        match ended.code {
            Some(0) => self.counts.done_when_full += 1,
            Some(STORAGE_FULL) => self.counts.refused += 1,
            Some(_) | None => {
                let (code, lines, words) = (ended.code, ended.lines.last(), &ended.words);
                terminal::progress(&format!("   {} on a full disk: {code:?} {lines:?} {words}", job.name()));
                self.counts.other_answers += 1;
            }
        }
    }

    fn goes_on(&mut self, sources: &mut Sources, chance: &mut Chance) -> Result<()> {
        for job in
            [Job::Note(format!("there is room again {}", chance.next())), Job::Capture(vec![sources.one(chance)?])]
        {
            let ended = job.start(&self.site.client)?.end()?;
            self.acknowledged.add_all(&ended.lines);
            if ended.code != Some(0) {
                let (code, lines, words) = (ended.code, ended.lines.last(), &ended.words);
                terminal::progress(&format!("   {} with room again: {code:?} {lines:?} {words}", job.name()));
                self.counts.other_answers += 1;
            }
        }
        Ok(())
    }
}

/// Takes every block that is left.
fn fill(filler: &Path) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(filler).at(filler)?;
    for bytes in FILL_BYTES {
        let chunk = vec![0x55; bytes];
        while file.write_all(&chunk).is_ok() {}
    }
    // What was only promised to the file is refused now, as a medium would refuse it.
    let _ = file.sync_all();
    Ok(())
}
