//! Loaded models wait for the next analysis, each instance's own, and go when memory is short. A process of its own, since its
//! threads are counted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use snaptrak::{AnalyseOptions, CaptureOptions, Config, ErrorCode, Platform, Quiet, SnapTrak};
use snaptrak_testkit::FixedKeyStore;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Of one run. One of them is the caller's.
const THREADS: usize = 2;
/// In the packaged manifest.
const MODELS: usize = 2;

/// Held by each test: threads of another would be counted.
static ALONE: Mutex<()> = Mutex::new(());

fn cache() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    let cache = std::env::var_os("SNAPTRAK_CACHE").map_or_else(default, PathBuf::from);
    assert!(cache.join("models/manifest.json").exists(), "there are no models: run `cargo xtask models` first");
    cache
}

fn onnxruntime() -> PathBuf {
    let files = std::fs::read_dir(cache().join("runtime")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime")).max().unwrap()
}

fn config(store: &Path) -> Config {
    Config {
        models: Some(cache().join("models")),
        runtime_library: Some(onnxruntime()),
        threads: THREADS,
        ..Config::new(store)
    }
}

fn analyse(instance: &SnapTrak) -> u64 {
    let mut picture = std::fs::File::open(cache().join("pictures/astronaut.png")).unwrap();
    instance.capture_reader(&mut picture, CaptureOptions::default()).unwrap();
    instance.analyse(&AnalyseOptions::default(), &Quiet).unwrap().analysed
}

/// Those of the library, which the store's own come and go beside.
fn session_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
    let own = |name: &String| !name.starts_with("snaptrak") && !name.starts_with("memory");
    tasks.filter_map(|comm| std::fs::read_to_string(comm).ok()).filter(own).count()
}

#[test]
fn models_wait_for_the_next_analysis_of_their_instance_until_memory_is_short() {
    let _alone = ALONE.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str| {
        let platform = Platform::system(Arc::new(FixedKeyStore::new([1; 32])));
        SnapTrak::create(config(&folder.path().join(name)), platform).unwrap()
    };
    let (one, two) = (create("one"), create("two"));
    // The library starts some threads for good with its first session.
    assert_eq!(analyse(&one), 1);
    one.trim_memory().unwrap();
    let before = session_threads();

    assert_eq!(analyse(&one), 1);
    let waiting = session_threads() - before;
    assert!((1..=MODELS * (THREADS - 1)).contains(&waiting), "{waiting}");
    assert_eq!(analyse(&one), 1);
    assert_eq!(session_threads() - before, waiting, "the next analysis takes the sessions that wait");

    assert_eq!(analyse(&two), 1);
    assert_eq!(session_threads() - before, 2 * waiting, "the other instance has its own");
    one.trim_memory().unwrap();
    assert_eq!(session_threads() - before, waiting, "and keeps them");
    two.lock();
    assert_eq!(session_threads(), before, "locking lets go of them, since they hold what they looked at");
    assert_eq!(analyse(&two), 1);
    two.close().unwrap();
    one.close().unwrap();
}

#[test]
fn a_model_above_the_limit_is_refused_and_everything_waits() {
    let _alone = ALONE.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = Config { model_bytes_max: Some(1_000), ..config(&folder.path().join("store")) };
    let platform = Platform::system(Arc::new(FixedKeyStore::new([1; 32])));
    let instance = SnapTrak::create(config, platform).unwrap();
    let mut picture = std::fs::File::open(cache().join("pictures/astronaut.png")).unwrap();
    instance.capture_reader(&mut picture, CaptureOptions::default()).unwrap();
    let refused = instance.analyse(&AnalyseOptions::default(), &Quiet).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ModelMissing, "{refused}");
    assert_eq!(instance.status().unwrap().parked.len(), 0);
}
