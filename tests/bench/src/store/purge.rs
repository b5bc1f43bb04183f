//! How long a capture waits at worst while ten thousand assets are purged.
//!
//! The peer is the bound: nobody notices 50 ms between the button and the sound. The store is made once, as an app makes it, with
//! the server's word on each asset taken for granted; each round purges a copy of it.

use super::{LEASE_MS, copy_folder, enrol, new_store, side_by_side, surroundings};
use crate::{
    answer::Row,
    measure::{Better, Figure, pair, seconds},
};
use snaptrak_domain::{
    Kind, StepKind,
    outcome::Outcome,
    piece::PieceEvent,
    queue_store::{AttemptEnd, QueueStore},
};
use snaptrak_store::{CaptureRequest, PurgeRequest, Store};
use std::{
    error::Error,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

pub(super) const NAME: &str = "capture's wait at p99.9, 10000 assets purged";

const ASSETS: usize = 10_000;
/// Callers that make them.
const CALLERS: usize = 8;
/// Of an asset: purging costs by the file, not by the byte.
const ASSET_BYTES: usize = 2_000;
/// Of a capture that is made meanwhile.
const CAPTURE_BYTES: usize = 64 * 1024;
/// What nobody notices.
const BOUND_MS: f64 = 50.0;
/// Making and copying ten thousand assets takes longer than purging them.
const ROUNDS_MAX: usize = 3;
/// Steps that are asked for at once.
const STEPS: usize = 1_000;

pub(super) fn beside_the_bound(folder: &Path, rounds: usize) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir_in(folder)?;
    let base = work.path().join("base");
    make(&base)?;
    let mut number = 0;
    let mut ours = || {
        number += 1;
        let copy = work.path().join(format!("round-{number}"));
        copy_folder(&base, &copy)?;
        let wait_ms = longest_waits(&copy)?;
        fs::remove_dir_all(&copy)?;
        Ok(wait_ms)
    };
    let figure =
        Figure { name: NAME, unit: "ms", better: Better::Smaller, target: Some(1.0), rounds: rounds.min(ROUNDS_MAX) };
    pair(&figure, &mut ours, &mut || Ok(BOUND_MS), None)
}

/// A store of verified assets.
fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    let store = new_store(folder)?;
    side_by_side(CALLERS, ASSETS / CALLERS, &|caller, turn| {
        let bytes = vec![(caller + turn) as u8; ASSET_BYTES];
        let request = CaptureRequest { kind: Some(Kind::File), ..CaptureRequest::default() };
        store.capture(request, &mut bytes.as_slice()).map(|_| ()).map_err(|error| error.to_string())
    })?;
    enrol(&store)?;
    let now = surroundings().clock.now();
    // Each call lets out a bounded number; what was let out must be sent before the next.
    let mut verified = 0;
    while verified < ASSETS {
        store.enqueue(now)?;
        for (kind, piece_event) in [
            (StepKind::SendRecord, None),
            (StepKind::SendEnvelope, None),
            (StepKind::SendPiece, Some(PieceEvent::Arrived)),
        ] {
            let end = |step_id| AttemptEnd { step_id, outcome: Outcome::Done, piece_event, now, jitter: 0 };
            let ready = store.ready(kind, now, STEPS)?;
            ready.iter().try_for_each(|step| store.begin(step.step_id, now, LEASE_MS))?;
            store.end_all(ready.iter().map(|step| end(step.step_id)).collect())?;
        }
        let receipts = store.ready(StepKind::FetchReceipt, now, STEPS)?;
        if receipts.is_empty() {
            return Err(format!("nothing moves towards its receipt after {verified} assets").into());
        }
        verified += receipts.len();
        for receipt in receipts {
            store.begin(receipt.step_id, now, LEASE_MS)?;
            store.save_countersigned(receipt.step_id, b"nobody checks this signature", now)?;
        }
    }
    store.sign_pending()?;
    Ok(store.close()?)
}

/// The wait that one capture or note in a thousand exceeds, while everything is purged.
fn longest_waits(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let store = Store::open(folder, surroundings())?;
    store.unlock()?;
    let done = AtomicBool::new(false);
    let content = vec![7; CAPTURE_BYTES];
    let (report, waits) = std::thread::scope(|scope| {
        let purge = scope.spawn(|| {
            let report = store.purge(&PurgeRequest::default(), &|_| Ok(()));
            done.store(true, Ordering::SeqCst);
            report
        });
        let mut waits = Vec::new();
        while !done.load(Ordering::SeqCst) {
            let request = || CaptureRequest { kind: Some(Kind::File), ..CaptureRequest::default() };
            let wait = seconds(|| Ok(store.capture(request(), &mut content.as_slice()).map(|_| ())?));
            waits.push(wait.map_err(|error| error.to_string())?);
            let wait = seconds(|| Ok(store.note(CaptureRequest::default(), "made meanwhile").map(|_| ())?));
            waits.push(wait.map_err(|error| error.to_string())?);
        }
        let report = purge.join().map_err(|_| "the purge panicked".to_owned())?.map_err(|error| error.to_string())?;
        Ok::<_, String>((report, waits))
    })?;
    if report.purged != ASSETS as u64 {
        return Err(format!("{} of {ASSETS} were purged", report.purged).into());
    }
    store.close()?;
    let mut waits = waits;
    waits.sort_by(f64::total_cmp);
    let place = (waits.len() * 999 / 1000).min(waits.len().saturating_sub(1));
    Ok(waits.get(place).ok_or("nothing was captured meanwhile")? * 1_000.0)
}
