//! The most memory that a command ever had.

use crate::Running;
use snaptrak_driver::{Answer, patience};
use std::fs;

/// Runs to the command's end; the highest resident set that the kernel counted, in bytes.
///
/// The count is read while the process lives, since it is gone with it: what a process takes in its last milliseconds is
/// missed, and is no megabytes.
pub fn peak_bytes(mut running: Running) -> (u64, Answer) {
    let status = format!("/proc/{}/status", running.process_id());
    let mut peak = 0;
    while !patience::until(|| {
        peak = high_water_bytes(&status).unwrap_or(peak);
        !running.is_alive()
    }) {}
    (peak, running.answer())
}

fn high_water_bytes(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
