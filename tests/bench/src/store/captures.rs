//! A sealed 4 MB capture to durable, from a file, beside write + SHA-256 + fdatasync of the same bytes.

use super::{new_store, side_by_side};
use crate::{
    answer::Row,
    measure::{Figure, pair, seconds},
};
use ring::digest;
use snaptrak_store::CaptureRequest;
use std::{
    error::Error,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A phone's photo.
const CAPTURE_BYTES: usize = 4_000_000;
/// Captures of one caller in a round: long enough that one slow sync does not decide the round.
const TURNS: usize = 10;
/// What the peer reads and writes at once.
const BUFFER_BYTES: usize = 1 << 20;

pub(super) fn name(callers: usize) -> String {
    format!("4 MB capture to durable, {callers} callers")
}

pub(super) fn durable(folder: &Path, callers: usize, rounds: usize) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir_in(folder)?;
    let source = work.path().join("source");
    // Not compressible and not a picture: what is measured is the way to durable, not a parser.
    let bytes: Vec<u8> =
        (0..CAPTURE_BYTES as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    std::fs::write(&source, &bytes)?;
    let store = new_store(&work.path().join("store"))?;
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
        &Figure { name: &name(callers), unit: "MB/s", target: None, rounds },
        &mut || Ok(rate(seconds(|| side_by_side(callers, TURNS, &capture))?)),
        &mut || Ok(rate(seconds(|| side_by_side(callers, TURNS, &peer))?)),
        Some(&mut || Ok(rate(seconds(|| side_by_side(callers, TURNS, &floor))?))),
    )?;
    store.close()?;
    Ok(row)
}

/// Copies with fdatasync, with or without a digest of what is read.
fn copy(source: &Path, target: &PathBuf, digested: bool) -> std::io::Result<()> {
    let mut source = File::open(source)?;
    let mut target = File::create(target)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut context = digest::Context::new(&digest::SHA256);
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            count => {
                if digested {
                    context.update(&buffer[..count]);
                }
                target.write_all(&buffer[..count])?;
            }
        }
    }
    std::hint::black_box(context.finish());
    target.sync_data()
}
