//! Memory does not grow with what is captured, recorded or read.
#![allow(clippy::unwrap_used)]

use snaptrak_store::{CaptureRequest, Store, Surroundings};
use snaptrak_testkit::{FakeClock, FakeDisk, FixedKeyStore, SeededRandom};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Counts what is allocated now and at most.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; only numbers are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        PEAK.fetch_max(now, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What one call allocated at most above what was there before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    let result = work();
    (PEAK.load(Ordering::SeqCst).saturating_sub(before), result)
}

/// Head, segment buffers and rows; a single piece would be 32 times as much.
const BYTES_MAX: usize = 2 * 1024 * 1024;

#[test]
fn seventy_mebibytes_pass_through_less_than_two() {
    const LENGTH: u64 = 70 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let surroundings = Surroundings {
        clock: Arc::new(FakeClock::new()),
        random: Arc::new(SeededRandom::new(1)),
        key_store: Arc::new(FixedKeyStore::new([7; 32])),
        signer: None,
        disk: Arc::new(FakeDisk::default()),
        ballast_bytes: 0,
    };
    let store = Store::create(&folder.path().join("store"), surroundings).unwrap();
    let capture = || store.capture(CaptureRequest::default(), &mut std::io::repeat(0x2a).take(LENGTH)).unwrap();
    let (peak, captured) = peak_of(capture);
    assert_eq!(captured.bytes, LENGTH);
    assert!(peak < BYTES_MAX, "capturing took {peak}");

    let mut reader = store.reader(captured.asset_id).unwrap();
    let mut buffer = vec![0; 65_536];
    let (peak, ()) = peak_of(|| {
        let mut offset = 0;
        while offset < LENGTH {
            offset += reader.read_at(offset, &mut buffer).unwrap() as u64;
        }
    });
    assert!(peak < BYTES_MAX, "reading took {peak}");

    let mut recording = store.record(CaptureRequest::default()).unwrap();
    let (peak, ()) = peak_of(|| {
        for _ in 0..LENGTH / buffer.len() as u64 {
            recording.write(&buffer).unwrap();
        }
    });
    assert!(peak < BYTES_MAX, "recording took {peak}");
}
