//! A store of a million captures beside one of a thousand: opening, lists, counts and choosing the next work take as long, and
//! an idle one needs little memory.
//!
//! The peer is the small store, so a ratio of 1 says that nothing grew. The large store is the small one with its rows
//! multiplied ([`grow`]); the files of the copies are not there, and nothing that is measured here opens one.

mod grow;
mod idle;

use super::{KEY, LEASE_MS, copy_folder, enrol, surroundings};
use crate::{
    answer::Row,
    measure::{Better, Figure, pair, seconds},
};
use grow::BASE_CAPTURES;
use snaptrak_domain::{AssetState, StepKind, limits, queue_store::QueueStore};
use snaptrak_store::Store;
use std::{error::Error, fs::File, io, path::Path};

pub(crate) use idle::{sit, wait};

/// Captures of a page of the list, as a screen asks for them.
const PAGE: usize = 100;
/// Openings of each store in a round.
const OPENINGS: usize = 5;
/// Questions to each store in a round, where each is asked after the store's memory was given back, or costs much.
const TURNS: usize = 40;
/// The same where a store keeps in memory what it has read: so many that a round is longer than what disturbs it, and that the upper
/// pages of the large store, like the small one's only page, have been read before.
const TURNS_IN_MEMORY: usize = 1_000;
/// Each round lets out some captures of the small store; it must not run dry.
const CHOOSING_ROUNDS_MAX: usize = BASE_CAPTURES / limits::LET_OUT_MAX - 1;

/// "Not slower than 1.5 times" as a ratio of rates.
const ONE_AND_A_HALF: f64 = 1.0 / 1.5;

/// What is measured here; the rows' names begin with one of these words.
const NAMES: [&str; 8] = [
    "open",
    "list",
    "list in a state",
    "list, first page kept in memory",
    "list in a state, first page kept in memory",
    "status",
    "choose the next work",
    "idle memory",
];

/// Measures the rows whose name contains `only`.
pub(super) fn rows(folder: &Path, captures: usize, rounds: usize, only: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let name = |word: &str| format!("{word}, {captures} captures beside {BASE_CAPTURES}");
    let wanted = |word: &str| name(word).contains(only);
    if !NAMES.into_iter().any(wanted) {
        return Ok(Vec::new());
    }
    let work = tempfile::tempdir_in(folder)?;
    let (small, large) = (work.path().join("small"), work.path().join("large"));
    grow::both(&small, &large, captures)?;
    let mut rows = Vec::new();
    let mut row = |word: &str, unit, target, rounds, ours: &mut Round, peer: &mut Round| {
        if wanted(word) {
            let figure = Figure { name: &name(word), unit, better: Better::Larger, target: Some(target), rounds };
            rows.push(pair(&figure, ours, peer, None)?);
        }
        Ok::<_, Box<dyn Error>>(())
    };
    row("open", "/s", ONE_AND_A_HALF, rounds, &mut || openings(&large), &mut || openings(&small))?;
    let empty = idle::empty_bytes()?;
    row("idle memory", "1/24 MB", 1.0, rounds, &mut || idle::of_24_megabytes(&large, empty), &mut || Ok(1.0))?;

    // What is measured is the store and not the disk: the system's cache holds both files.
    for folder in [&small, &large] {
        io::copy(&mut File::open(folder.join("database/store.sqlite3"))?, &mut io::sink())?;
    }
    let (small, large) = (store(&small)?, store(&large)?);
    let first = |store: &Store| Ok::<_, Box<dyn Error>>(store.list(None, None, PAGE)?.captures);
    // Cursors all over the list, as someone gets them who goes through all of it; behind each of them is a whole page of a state.
    let mut cursors = Vec::new();
    while let Some(next) = large.list(None, cursors.last().copied(), PAGE)?.next {
        cursors.push(next);
    }
    cursors.truncate(cursors.len() * 9 / 10);
    let mut place = 0_usize;
    let mut anywhere = || {
        place = (place + 7_919) % cursors.len();
        cursors[place]
    };
    let mut elsewhere = 0_usize;
    let mut anywhere_unread = || {
        elsewhere = (elsewhere + 7_907) % cursors.len();
        cursors[elsewhere]
    };
    let mut any_page = |state: Option<AssetState>| {
        rate(TURNS_IN_MEMORY, || {
            let page = large.list(state, Some(anywhere()), PAGE)?;
            if page.captures.len() < PAGE / 4 { Err("a page without captures".into()) } else { Ok(()) }
        })
    };
    let first_page = |state| rate(TURNS_IN_MEMORY, || Ok(small.list(state, None, PAGE).map(|_| ())?));
    // Each of both with none of its pages in memory, as the first look after an app was started: what is compared is the size of
    // the store, and not a page that was read before with one that was not.
    let mut any_page_unread = |state: Option<AssetState>| {
        unread(&large, &mut || Ok(large.list(state, Some(anywhere_unread()), PAGE).map(|_| ())?))
    };
    let first_page_unread = |state| unread(&small, &mut || Ok(small.list(state, None, PAGE).map(|_| ())?));
    if first(&small)?.len() != PAGE || first(&large)?.len() != PAGE {
        return Err("the stores are not as large as they should be".into());
    }
    let prepared = Some(AssetState::Prepared);
    for (state, in_memory, word) in [
        (None, false, "list"),
        (prepared, false, "list in a state"),
        (None, true, "list, first page kept in memory"),
        (prepared, true, "list in a state, first page kept in memory"),
    ] {
        let mut ours = || if in_memory { any_page(state) } else { any_page_unread(state) };
        let mut peer = || if in_memory { first_page(state) } else { first_page_unread(state) };
        row(word, "pages/s", ONE_AND_A_HALF, rounds, &mut ours, &mut peer)?;
    }
    let status = |store: &Store| rate(TURNS, || Ok(store.status().map(|_| ())?));
    row("status", "/s", ONE_AND_A_HALF, rounds, &mut || status(&large), &mut || status(&small))?;
    for store in [&small, &large] {
        enrol(store)?;
    }
    let rounds = rounds.min(CHOOSING_ROUNDS_MAX);
    row("choose the next work", "/s", 0.5, rounds, &mut || choosing(&large), &mut || choosing(&small))?;
    small.close()?;
    large.close()?;
    Ok(rows)
}

type Round<'a> = dyn FnMut() -> Result<f64, Box<dyn Error>> + 'a;

fn store(folder: &Path) -> Result<Store, Box<dyn Error>> {
    Ok(Store::open(folder, surroundings())?)
}

/// How often a second something is done.
fn rate(turns: usize, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    Ok(turns as f64 / seconds(|| (0..turns).try_for_each(|_| work()))?)
}

/// How often a second something is done while none of the store's pages lie in memory; giving them back is not counted.
fn unread(store: &Store, work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut total = 0.0;
    for _ in 0..TURNS {
        store.trim_memory()?;
        total += seconds(&mut *work)?;
    }
    Ok(TURNS as f64 / total)
}

/// Openings a second; closing is not counted.
fn openings(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let mut total = 0.0;
    for _ in 0..OPENINGS {
        let mut opened = None;
        total += seconds(|| {
            opened = Some(store(folder)?);
            Ok(())
        })?;
        opened.ok_or("nothing was opened")?.close()?;
    }
    Ok(OPENINGS as f64 / total)
}

/// One look of a window: the next captures are let out, and each lane asks for what it could send.
fn choosing(store: &Store) -> Result<f64, Box<dyn Error>> {
    let now = surroundings().clock.now();
    rate(1, || {
        store.enqueue(now)?;
        for kind in StepKind::ALL {
            store.ready(kind, now, limits::RECORDS_BATCH_MAX)?;
        }
        if store.ready(StepKind::SendPiece, now, 1)?.is_empty() { Err("nothing to send".into()) } else { Ok(()) }
    })
}
