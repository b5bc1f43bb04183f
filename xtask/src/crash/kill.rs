//! Starting a process and killing it at a random moment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use snaptrak_driver::{Client, Server};

use super::evidence::{Acknowledged, Sources};
use crate::error::{Error, Result};

/// What a command is expected to take before the first one was watched: opening takes some 200 ms, half of it the
/// passphrase; the work that must not be lost comes after.
const EXPECTED_MS: u64 = 800;
/// A command is never expected to end sooner than its store opens, nor to take longer than anyone would watch.
const EXPECTED_MS_RANGE: std::ops::RangeInclusive<u64> = 250..=5_000;

/// Chance from a seed: the same seed takes the same decisions (SplitMix64, Steele et al. 2014).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// How long the commands take, learned from watching them: a kill after the end kills nothing, and kills before the work
/// begins prove little, so that the moment is drawn over what the command is expected to take.
#[derive(Default)]
pub(super) struct Lives(BTreeMap<&'static str, u64>);

impl Lives {
    /// A random moment in the life of a command.
    fn draw(&self, command: &'static str, chance: &mut Chance) -> Duration {
        let expected_ms = self.0.get(command).copied().unwrap_or(EXPECTED_MS);
        Duration::from_millis(chance.below(expected_ms))
    }

    /// Learns from a command that was killed after this time, or had ended before.
    fn learn(&mut self, command: &'static str, lived: Duration, was_killed: bool) {
        let expected_ms = self.0.get(command).copied().unwrap_or(EXPECTED_MS);
        let lived_ms = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
        let learned_ms = if was_killed { expected_ms + lived_ms / 8 } else { (expected_ms + lived_ms) / 2 };
        self.0.insert(command, learned_ms.clamp(*EXPECTED_MS_RANGE.start(), *EXPECTED_MS_RANGE.end()));
    }
}

#[expect(clippy::disallowed_methods, reason = "the moment of the kill is what this trial is about")]
fn wait(duration: Duration) {
    std::thread::sleep(duration);
}

/// Kills; 1 if the process was still running, else 0.
fn kill(child: &mut Child) -> Result<u64> {
    let start = |source| Error::Start { program: "snaptrak".to_owned(), source };
    let was_running = child.try_wait().map_err(start)?.is_none();
    child.kill().map_err(start)?;
    child.wait().map_err(start)?;
    Ok(u64::from(was_running))
}

/// Captures some files and kills the process; every line that was printed counts as acknowledged.
pub(super) fn capture(
    client: &Client,
    sources: &Sources,
    (chance, lives): (&mut Chance, &mut Lives),
    round: u64,
    acknowledged: &mut Acknowledged,
) -> Result<u64> {
    let mut arguments: Vec<std::ffi::OsString> = vec!["capture".into(), "--jsonl".into()];
    arguments.extend(sources.choose(chance, round)?.into_iter().map(std::path::PathBuf::into_os_string));
    let start = |source| Error::Start { program: "snaptrak capture".to_owned(), source };
    let mut child = client.command(&arguments).stderr(Stdio::null()).spawn().map_err(start)?;
    let reader = child.stdout.take().map(|stdout| {
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(std::result::Result::ok).collect::<Vec<_>>()
        })
    });
    let killed = kill_in_its_life(&mut child, "capture", chance, lives)?;
    // The pipe outlives the process: what was printed before the kill is read after it.
    let lines = reader.and_then(|thread| thread.join().ok()).unwrap_or_default();
    for line in lines {
        acknowledged.add(&line);
    }
    Ok(killed)
}

/// Runs a command and kills it.
pub(super) fn command(
    client: &Client,
    command: &'static str,
    (chance, lives): (&mut Chance, &mut Lives),
) -> Result<u64> {
    let start = |source| Error::Start { program: "snaptrak".to_owned(), source };
    let mut child = client.command(&[command]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(start)?;
    kill_in_its_life(&mut child, command, chance, lives)
}

fn kill_in_its_life(child: &mut Child, command: &'static str, chance: &mut Chance, lives: &mut Lives) -> Result<u64> {
    let life = lives.draw(command, chance);
    wait(life);
    let killed = kill(child)?;
    lives.learn(command, life, killed > 0);
    Ok(killed)
}

/// Kills the server while the client syncs, then the client.
pub(super) fn server_while_syncing(
    client: &Client,
    server: Server,
    (chance, lives): (&mut Chance, &mut Lives),
) -> Result<u64> {
    let start = |source| Error::Start { program: "snaptrak".to_owned(), source };
    let mut child = client.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(start)?;
    wait(lives.draw("sync", chance));
    drop(server);
    wait(lives.draw("sync", chance) / 4);
    Ok(1 + kill(&mut child)?)
}
