//! Resident memory of an SDK that is open and idle, in a process of its own, above the same program doing nothing.

use super::KEY;
use crate::answer;
use snaptrak::{Config, Platform, SnapTrak};
use snaptrak_testkit::FixedKeyStore;
use std::{error::Error, path::Path, process::Command, sync::Arc, time::Duration};

/// How long the child sits before it looks: longer than the writer waits before it does its chores.
const SITTING: Duration = Duration::from_millis(600);
/// What an idle SDK may take above an empty process.
const BYTES_MAX: f64 = 24e6;

/// Child: opens the store as an app does, looks at it as an app's first screen does, sits idle, and tells its memory.
pub(crate) fn sit(folder: &Path) -> Result<(), Box<dyn Error>> {
    let platform = Platform::system(Arc::new(FixedKeyStore::new(KEY)));
    let snaptrak = SnapTrak::open(Config::new(folder), platform)?;
    let looked_at = (snaptrak.status()?, snaptrak.list(None, 100, None)?);
    drop(looked_at);
    wait()?;
    Ok(snaptrak.close()?)
}

/// Child: does nothing, and tells its memory.
#[expect(clippy::disallowed_methods, reason = "sitting idle is what is measured")]
pub(crate) fn wait() -> Result<(), Box<dyn Error>> {
    std::thread::sleep(SITTING);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the system tells no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    answer::tell(kibibytes * 1024);
    Ok(())
}

/// Memory of the same program doing nothing.
pub(super) fn empty_bytes() -> Result<f64, Box<dyn Error>> {
    child("empty", None)
}

/// How often the memory of an idle SDK fits into what it may take.
pub(super) fn of_24_megabytes(folder: &Path, empty: f64) -> Result<f64, Box<dyn Error>> {
    Ok(BYTES_MAX / (child("idle", Some(folder))? - empty))
}

fn child(group: &str, folder: Option<&Path>) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(group);
    if let Some(folder) = folder {
        command.arg("--folder").arg(folder);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
