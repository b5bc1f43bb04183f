//! Durable captures and notes beside what the file system and plain SQLite do, and the seal loop beside OpenSSL's.

mod captures;
mod notes;
mod seal_loop;

use crate::answer::{Answer, NotRun};
use snaptrak::Platform;
use snaptrak_store::{Store, Surroundings};
use snaptrak_testkit::FixedKeyStore;
use std::{error::Error, path::Path, sync::Arc};

/// Measures the rows whose name contains `only`, in `folder`'s file system.
pub(crate) fn measure(folder: &Path, rounds: usize, only: &str) -> Result<Answer, Box<dyn Error>> {
    let mut rows = Vec::new();
    let mut not_run = Vec::new();
    for callers in [1, 8] {
        if captures::name(callers).contains(only) {
            rows.push(captures::durable(folder, callers, rounds)?);
        }
    }
    for callers in [1, 8] {
        if notes::name(callers).contains(only) {
            rows.push(notes::durable(folder, callers, rounds)?);
        }
    }
    if seal_loop::NAME.contains(only) {
        match seal_loop::beside_openssl(rounds) {
            Ok(row) => rows.push(row),
            Err(error) => not_run.push(NotRun { name: seal_loop::NAME.to_owned(), why: error.to_string() }),
        }
    }
    Ok(Answer::new(rows, not_run))
}

/// A new store with the operating system's clock and chance, as an app has it, and a key store that costs nothing.
fn new_store(folder: &Path) -> Result<Store, Box<dyn Error>> {
    let platform = Platform::system(Arc::new(FixedKeyStore::new([7; 32])));
    let surroundings = Surroundings {
        clock: platform.clock,
        random: platform.random,
        key_store: platform.key_store,
        signer: None,
        disk: platform.disk,
        ballast_bytes: 0,
    };
    Ok(Store::create(folder, surroundings)?)
}

/// Runs `work(caller, turn)` on `callers` threads, `turns` times each, and waits for all.
fn side_by_side(
    callers: usize,
    turns: usize,
    work: &(dyn Fn(usize, usize) -> Result<(), String> + Sync),
) -> Result<(), Box<dyn Error>> {
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let run = |caller| move || (0..turns).try_for_each(|turn| work(caller, turn));
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(run(caller))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a caller panicked".to_owned())))
            .collect()
    });
    Ok(results.into_iter().collect::<Result<(), String>>()?)
}
