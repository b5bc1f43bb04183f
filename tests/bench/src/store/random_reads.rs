//! Random 64 KiB reads of a sealed 2 GB asset beside pread of a plain file, both warm. What is compared is the median time of
//! a read; the places are any byte, so that most reads of ours touch two segments.

use super::{Setting, new_store};
use crate::{
    answer::Row,
    measure::{Better, Figure, median, pair, seconds},
};
use snaptrak_domain::sealed_reader::SealedReader;
use snaptrak_store::CaptureRequest;
use std::{
    error::Error,
    fs::File,
    io::{Read, Write},
    os::unix::fs::FileExt,
};

pub(super) const NAME: &str = "random 64 KiB read of 2 GB, warm";

const ASSET_BYTES: u64 = 2_000_000_000;
const READ_BYTES: usize = 65_536;
/// Reads of a round.
const READS: usize = 2_000;
/// At most eight times as long as a plain read: two segments are read and opened for one.
const TARGET: f64 = 0.125;
/// What is written and warmed at once.
const BUFFER_BYTES: usize = 1 << 20;
/// Where the sequence of places begins.
const FIRST_PLACE: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn beside_pread(setting: &Setting<'_>) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir_in(setting.folder)?;
    let store = new_store(&work.path().join("store"))?;
    let captured = store.capture(CaptureRequest::default(), &mut Noise { given: 0 })?;
    let mut sealed = store.reader(captured.asset_id)?;
    let path = work.path().join("plain");
    let mut writing = File::create(&path)?;
    std::io::copy(&mut Noise { given: 0 }, &mut writing)?;
    writing.flush()?;
    let plain = File::open(&path)?;
    warm(sealed.as_mut(), &plain)?;

    let (mut our_place, mut peer_place) = (FIRST_PLACE, FIRST_PLACE);
    let (mut ours, mut theirs) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let figure =
        Figure { name: NAME, unit: "us", better: Better::Smaller, target: Some(TARGET), rounds: setting.rounds };
    let row = pair(
        &figure,
        &mut || {
            median_microseconds(&mut our_place, |place| {
                let read = sealed.read_at(place, &mut ours)?;
                if read == READ_BYTES { Ok(()) } else { Err("a short read".into()) }
            })
        },
        &mut || median_microseconds(&mut peer_place, |place| Ok(plain.read_exact_at(&mut theirs, place)?)),
        None,
    )?;
    drop(sealed);
    store.close()?;
    Ok(row)
}

/// Reads both once from start to end, and compares them.
fn warm(sealed: &mut dyn SealedReader, plain: &File) -> Result<(), Box<dyn Error>> {
    let (mut ours, mut theirs) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut place = 0;
    while place < ASSET_BYTES {
        let count = sealed.read_at(place, &mut ours)?;
        plain.read_exact_at(&mut theirs[..count], place)?;
        if count == 0 || ours[..count] != theirs[..count] {
            return Err("what was read is not what was captured".into());
        }
        place += count as u64;
    }
    Ok(())
}

/// Reads at places that follow from `state`; the median time of one.
fn median_microseconds(
    state: &mut u64,
    mut read: impl FnMut(u64) -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        // Knuth's linear congruential generator: the same places for both sides.
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (*state >> 16) % (ASSET_BYTES - READ_BYTES as u64);
        times.push(seconds(|| read(place))? * 1e6);
    }
    Ok(median(times))
}

/// As many bytes as the asset has, each megabyte another, without a file to read from.
struct Noise {
    given: u64,
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // Not over the edge of a megabyte: what is given must not depend on how much is asked for at once.
        let edge = ((self.given >> 20) + 1) << 20;
        let left = usize::try_from(edge.min(ASSET_BYTES) - self.given).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        buffer[..count].fill((self.given >> 20) as u8);
        self.given += count as u64;
        Ok(count)
    }
}
