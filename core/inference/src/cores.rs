//! How many threads a run may have: as many as there are fast cores, where the system says which these are.
//!
//! A run is as slow as its slowest thread: on a phone a thread on a small core holds up those on the big ones. Linux and Android
//! tell each core's capacity, or else its highest frequency. Where all are alike, or nobody says, every core counts that this
//! process may use: threads without a core of their own wait for each other awake and make a run slower.

use std::{fs, path::Path, thread::available_parallelism};

/// Where the system tells of its cores.
const CORES: &str = "/sys/devices/system/cpu";
/// What is told of one, the better word first.
const MEASURES: [&str; 2] = ["cpu_capacity", "cpufreq/cpuinfo_max_freq"];
/// Cores at most that are looked at: no phone has half as many.
const CORES_MAX: usize = 256;

/// Threads of one run at most on this device.
pub(crate) fn threads_max() -> usize {
    at_most(fast_in(Path::new(CORES)), available_parallelism().ok().map(Into::into))
}

/// The fewer of what is known of both.
fn at_most(fast: Option<usize>, usable: Option<usize>) -> usize {
    fast.into_iter().chain(usable).min().unwrap_or(usize::MAX).max(1)
}

/// Fast cores; `None` where the system does not say.
fn fast_in(folder: &Path) -> Option<usize> {
    MEASURES.iter().find_map(|measure| {
        let cores = (0..CORES_MAX).map(|core| folder.join(format!("cpu{core}"))).take_while(|core| core.is_dir());
        // One that is switched off says nothing.
        let speeds = cores.filter_map(|core| fs::read_to_string(core.join(measure)).ok()?.trim().parse().ok());
        let speeds: Vec<u64> = speeds.collect();
        let (slowest, fastest) = (*speeds.iter().min()?, *speeds.iter().max()?);
        // Phones have two or three kinds; what is nearer to the fastest kind is fast.
        let middle = slowest.midpoint(fastest);
        Some(speeds.iter().filter(|speed| **speed >= middle).count())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(measure: &str, speeds: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (core, speed) in speeds.iter().enumerate() {
            let file = folder.path().join(format!("cpu{core}")).join(measure);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, speed).unwrap();
        }
        folder
    }

    #[test]
    fn a_run_gets_no_more_threads_than_the_process_has_cores() {
        assert_eq!(at_most(Some(4), Some(8)), 4);
        assert_eq!(at_most(Some(4), Some(2)), 2, "the app may be kept to some of them");
        assert_eq!((at_most(None, Some(2)), at_most(Some(4), None)), (2, 4));
        assert_eq!(at_most(None, None), usize::MAX, "then it is what was asked");
        assert!((1..=CORES_MAX).contains(&threads_max()));
    }

    #[test]
    fn the_fast_ones_of_several_kinds_are_counted() {
        let fast = |measure, speeds: &[&str]| fast_in(cores(measure, speeds).path());
        let phone = ["1800000\n", "1800000", "1800000", "1800000", "2800000", "2800000", "2800000", "3300000"];
        assert_eq!(fast("cpufreq/cpuinfo_max_freq", &phone), Some(4));
        assert_eq!(fast("cpu_capacity", &["250", "250", "1024", "1024"]), Some(2));
        assert_eq!(fast("cpu_capacity", &["1024"; 8]), Some(8), "all alike");
        assert_eq!(fast("cpu_capacity", &[]), None);
        assert_eq!(fast("cpu_capacity", &["nonsense"]), None);
        let switched_off = cores("cpu_capacity", &["250", "250", "1024", "1024", "1024"]);
        fs::remove_file(switched_off.path().join("cpu2/cpu_capacity")).unwrap();
        assert_eq!(fast_in(switched_off.path()), Some(2), "the ones behind it are still seen");
    }
}
