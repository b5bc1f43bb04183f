//! How many of the processor's cores are fast ones, where the system says so.
//!
//! A run is as slow as its slowest thread: on a phone a thread on a small core holds up those on the big ones. Linux and Android
//! tell each core's capacity, or else its highest frequency. Where all are alike, or nobody says, every core counts.

use std::{fs, path::Path};

/// Where the system tells of its cores.
const CORES: &str = "/sys/devices/system/cpu";
/// What is told of one, the better word first.
const MEASURES: [&str; 2] = ["cpu_capacity", "cpufreq/cpuinfo_max_freq"];
/// Cores at most that are looked at: no phone has half as many.
const CORES_MAX: usize = 256;

/// Fast cores; `None` where the system does not say.
pub(crate) fn fast() -> Option<usize> {
    fast_in(Path::new(CORES))
}

fn fast_in(folder: &Path) -> Option<usize> {
    MEASURES.iter().find_map(|measure| {
        let speed =
            |core| fs::read_to_string(folder.join(format!("cpu{core}")).join(measure)).ok()?.trim().parse().ok();
        let speeds: Vec<u64> = (0..CORES_MAX).map_while(speed).collect();
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
    fn the_fast_ones_of_several_kinds_are_counted() {
        let fast = |measure, speeds: &[&str]| fast_in(cores(measure, speeds).path());
        let phone = ["1800000\n", "1800000", "1800000", "1800000", "2800000", "2800000", "2800000", "3300000"];
        assert_eq!(fast("cpufreq/cpuinfo_max_freq", &phone), Some(4));
        assert_eq!(fast("cpu_capacity", &["250", "250", "1024", "1024"]), Some(2));
        assert_eq!(fast("cpu_capacity", &["1024"; 8]), Some(8), "all alike");
        assert_eq!(fast("cpu_capacity", &[]), None);
        assert_eq!(fast("cpu_capacity", &["nonsense"]), None);
    }
}
