//! A sealed 4 MB capture to durable, from a file, beside SHA-256 of what is read and of what is written, write and fdatasync
//! of the same bytes. The floor takes no digest.
//!
//! What a store does later (moving folders, signing) is waited for after each round of ours, outside its time: it would be
//! the peer that it disturbs.

use super::{Setting, new_store, side_by_side};
use crate::{
    answer::Row,
    measure::{Better, Figure, pair, seconds},
};
use ring::digest;
use snaptrak_store::CaptureRequest;
use std::{
    error::Error,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A phone's photo.
const CAPTURE_BYTES: usize = 4_000_000;
/// Captures of one caller in a round: long enough that one slow sync does not decide the round.
const TURNS: usize = 10;
/// Of the peer's speed: one caller pays for sealing, envelope and row; eight share the syncs.
const TARGET_ALONE: f64 = 0.85;
const TARGET_SIDE_BY_SIDE: f64 = 1.0;
/// What the peer reads and writes at once: measured, no other size is faster.
const BUFFER_BYTES: usize = 1 << 20;
/// How often it is looked whether the store has moved what it took in, and for how long: a minute.
const MOVES_POLL: Duration = Duration::from_millis(20);
const MOVES_POLLS_MAX: u32 = 3_000;

pub(super) fn name(callers: usize) -> String {
    format!("4 MB capture to durable, {callers} callers")
}

pub(super) fn durable(setting: &Setting<'_>, callers: usize) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir_in(setting.folder)?;
    let source = work.path().join("source");
    // Not compressible and not a picture: what is measured is the way to durable, not a parser.
    let bytes: Vec<u8> =
        (0..CAPTURE_BYTES as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    std::fs::write(&source, &bytes)?;
    let store_folder = work.path().join("store");
    let store = new_store(&store_folder)?;
    let megabytes = (callers * TURNS * CAPTURE_BYTES) as f64 / 1e6;
    let capture = |_: usize, _: usize| {
        let mut file = File::open(&source).map_err(|error| error.to_string())?;
        store.capture(CaptureRequest::default(), &mut file).map(|_| ()).map_err(|error| error.to_string())
    };
    let written = work.path().join("written");
    std::fs::create_dir(&written)?;
    let number = AtomicU64::new(0);
    let next = || written.join(number.fetch_add(1, Ordering::Relaxed).to_string());
    let peer = |_: usize, _: usize| copy(&source, &next(), true).map_err(|error| error.to_string());
    let floor = |_: usize, _: usize| copy(&source, &next(), false).map_err(|error| error.to_string());
    let rate = |seconds: f64| megabytes / seconds;
    let row = pair(
        &Figure {
            name: &name(callers),
            unit: "MB/s",
            better: Better::Larger,
            target: Some(if callers == 1 { TARGET_ALONE } else { TARGET_SIDE_BY_SIDE }),
            rounds: setting.rounds,
        },
        &mut || {
            let figure = rate(seconds(|| side_by_side(callers, TURNS, &capture))?);
            wait_for_moves(&store_folder)?;
            Ok(figure)
        },
        &mut || Ok(rate(seconds(|| side_by_side(callers, TURNS, &peer))?)),
        Some(&mut || Ok(rate(seconds(|| side_by_side(callers, TURNS, &floor))?))),
    )?;
    store.close()?;
    Ok(row)
}

/// Waits until every capture has left `incoming/`.
#[expect(clippy::disallowed_methods, reason = "the store does not say when it has nothing left to do, and need not")]
fn wait_for_moves(store: &Path) -> Result<(), Box<dyn Error>> {
    for _ in 0..MOVES_POLLS_MAX {
        if std::fs::read_dir(store.join("incoming"))?.next().is_none() {
            return Ok(());
        }
        std::thread::sleep(MOVES_POLL);
    }
    Err("captures stay in incoming/".into())
}

/// Copies with fdatasync, with or without digests of what is read and of what is written.
fn copy(source: &Path, target: &PathBuf, digested: bool) -> std::io::Result<()> {
    let mut source = File::open(source)?;
    let mut target = File::create(target)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read = digest::Context::new(&digest::SHA256);
    let mut written = digest::Context::new(&digest::SHA256);
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        if digested {
            read.update(&buffer[..count]);
            written.update(&buffer[..count]);
        }
        target.write_all(&buffer[..count])?;
    }
    std::hint::black_box((read.finish(), written.finish()));
    target.sync_data()
}
