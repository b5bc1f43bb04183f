//! Durable captures and notes beside what the file system and plain SQLite do, the seal loop beside OpenSSL's, random reads
//! beside pread. To add a row, add a line to [`rows`].

mod captures;
pub(crate) mod million;
mod notes;
mod purge;
mod random_reads;
mod seal_loop;

use crate::answer::{Answer, NotRun, Row};
use snaptrak::Platform;
use snaptrak_domain::{
    AccountId, OrganisationId, Sha256Digest,
    queue_store::{Enrolment, QueueStore},
};
use snaptrak_store::{Store, Surroundings};
use snaptrak_testkit::FixedKeyStore;
use std::{error::Error, fs, path::Path, sync::Arc};

/// Under which every store's keysets are wrapped.
const KEY: [u8; 32] = [7; 32];

/// How long a step is leased: longer than the answer to it takes here.
const LEASE_MS: i64 = 60_000;

/// Where and how often a row is measured.
pub(crate) struct Setting<'a> {
    /// On the file system to measure.
    pub(crate) folder: &'a Path,
    pub(crate) rounds: usize,
}

/// Measures one row.
type Measure = fn(&Setting<'_>) -> Result<Row, Box<dyn Error>>;

/// Every row: its name and what measures it.
fn rows() -> Vec<(String, Measure)> {
    vec![
        (captures::name(1), |setting| captures::durable(setting, 1)),
        (captures::name(8), |setting| captures::durable(setting, 8)),
        (notes::ALONE.to_owned(), notes::alone),
        (notes::MANY.to_owned(), notes::many),
        (notes::SETTLED.to_owned(), notes::many_settled),
        (seal_loop::NAME.to_owned(), |setting| seal_loop::beside_openssl(setting.rounds)),
        (random_reads::NAME.to_owned(), random_reads::beside_pread),
        (purge::NAME.to_owned(), |setting| purge::beside_the_bound(setting.folder, setting.rounds)),
    ]
}

/// Measures the rows whose name contains `only`, in `folder`'s file system. A row that fails is told and stops no other.
pub(crate) fn measure(folder: &Path, captures: usize, rounds: usize, only: &str) -> Answer {
    let setting = Setting { folder, rounds };
    let (mut measured, mut not_run) = (Vec::new(), Vec::new());
    for (name, measure) in self::rows().into_iter().filter(|(name, _)| name.contains(only)) {
        match measure(&setting) {
            Ok(row) => measured.push(row),
            Err(error) => not_run.push(NotRun { name, why: error.to_string() }),
        }
    }
    // Many rows from two stores, of which one takes minutes to make.
    match million::rows(folder, captures, rounds, only) {
        Ok(rows) => measured.extend(rows),
        Err(error) => not_run.push(NotRun { name: format!("{captures} captures"), why: error.to_string() }),
    }
    Answer::new(measured, not_run)
}

/// A new store with the operating system's clock and chance, as an app has it, and a key store that costs nothing.
fn new_store(folder: &Path) -> Result<Store, Box<dyn Error>> {
    Ok(Store::create(folder, surroundings())?)
}

fn surroundings() -> Surroundings {
    let platform = Platform::system(Arc::new(FixedKeyStore::new(KEY)));
    Surroundings {
        clock: platform.clock,
        random: platform.random,
        key_store: platform.key_store,
        signer: None,
        disk: platform.disk,
        ballast_bytes: 0,
    }
}

/// Makes the store one whose captures may leave.
fn enrol(store: &Store) -> Result<(), Box<dyn Error>> {
    let enrolment = Enrolment {
        server: "https://api.example".to_owned(),
        account_id: AccountId::from_bytes([1; 16]),
        organisation_id: OrganisationId::from_bytes([1; 16]),
        device_id: store.device_id(),
        trust_root: Sha256Digest([1; 32]),
        trust_root_given: true,
    };
    Ok(store.save_enrolment(&enrolment, b"nobody reads this bundle")?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
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
