//! What a loaded model costs while nobody runs it. A process of its own, since threads are told apart by when they appeared.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(target_os = "linux")]

mod common;

use common::{CPU, engine, manifest, model_for, wave};
use snaptrak_domain::engine::Engine as _;
use std::{collections::BTreeSet, fs, thread};

/// What a thread may use of a processor between the end of a run and its sleep, in nanoseconds. Some ten thousand are what it
/// takes; threads that wait awake for the next run use thirty to forty million.
const TO_FALL_ASLEEP_NS: u64 = 10_000_000;

fn threads() -> BTreeSet<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| task.unwrap().file_name().into_string().unwrap()).collect()
}

/// Nanoseconds on a processor.
fn used(thread: &str) -> u64 {
    let said = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    said.split(' ').next().unwrap().parse().unwrap()
}

fn sleeps(thread: &str) -> bool {
    let said = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    said.rsplit(") ").next().unwrap().starts_with('S')
}

#[test]
fn the_threads_of_a_model_sleep_as_soon_as_its_run_ends() {
    let engine = engine();
    let manifest = manifest();
    let before = threads();
    let loaded = manifest.models.iter().map(|model| {
        let (model, file) = model_for(&engine, model);
        (engine.load(&file, CPU).unwrap(), [wave(&model)])
    });
    let mut loaded: Vec<_> = loaded.collect();
    let theirs: Vec<String> = threads().difference(&before).cloned().collect();
    assert_eq!(theirs.len(), loaded.len(), "each has one thread beside the caller's");
    for (session, input) in &mut loaded {
        session.run(input).unwrap();
        let at_the_end: Vec<u64> = theirs.iter().map(|thread| used(thread)).collect();
        // Those that are awake use up what they may, however busy the machine is, so this ends.
        for (thread, before) in theirs.iter().zip(at_the_end) {
            while !sleeps(thread) {
                thread::yield_now();
                assert!(used(thread) - before < TO_FALL_ASLEEP_NS, "it waits awake for a run that may not come");
            }
            assert!(used(thread) - before < TO_FALL_ASLEEP_NS);
        }
    }
}
