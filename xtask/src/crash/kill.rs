//! Starting a process and killing it at a random moment.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use snaptrak_driver::{Client, Server};

use super::evidence::{Acknowledged, Sources};
use crate::error::{Error, Result};

/// A process that is to be killed lives at most so long. Opening takes some 200 ms, half of it the passphrase; the work
/// that must not be lost comes after.
const LIFE_MS_MAX: u64 = 1_800;

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

    fn life(&mut self) -> Duration {
        Duration::from_millis(self.below(LIFE_MS_MAX))
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
    chance: &mut Chance,
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
    wait(chance.life());
    let killed = kill(&mut child)?;
    // The pipe outlives the process: what was printed before the kill is read after it.
    let lines = reader.and_then(|thread| thread.join().ok()).unwrap_or_default();
    for line in lines {
        acknowledged.add(&line);
    }
    Ok(killed)
}

/// Runs a command and kills it.
pub(super) fn command(client: &Client, arguments: &[&str], chance: &mut Chance) -> Result<u64> {
    let start = |source| Error::Start { program: "snaptrak".to_owned(), source };
    let mut child = client.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(start)?;
    wait(chance.life());
    kill(&mut child)
}

/// Kills the server while the client syncs, then the client.
pub(super) fn server_while_syncing(client: &Client, server: Server, chance: &mut Chance) -> Result<u64> {
    let start = |source| Error::Start { program: "snaptrak".to_owned(), source };
    let mut child = client.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(start)?;
    wait(chance.life());
    drop(server);
    wait(chance.life() / 4);
    Ok(1 + kill(&mut child)?)
}
