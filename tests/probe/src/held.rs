//! What the library holds: every block of Rust's allocator, counted as it comes and goes, and SQLCipher's memory.

use snaptrak_ffi::SnapTrakError;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

/// The system's allocator with three counters.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);
static LIVE_BLOCKS: AtomicI64 = AtomicI64::new(0);
static EVER_BYTES: AtomicU64 = AtomicU64::new(0);

/// What is alive in the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Held {
    /// Bytes of Rust's allocator.
    pub live_bytes: i64,
    /// Its blocks. A handle that an app holds is one at least.
    pub live_blocks: i64,
    /// Bytes of SQLCipher.
    pub database_bytes: i64,
    /// Bytes that were ever asked for: what a call copies shows here.
    pub ever_bytes: u64,
}

/// Counts.
#[uniffi::export]
pub fn held() -> Result<Held, SnapTrakError> {
    unsafe extern "C" {
        safe fn sqlite3_memory_used() -> i64;
    }
    Ok(Held {
        live_bytes: LIVE_BYTES.load(Relaxed),
        live_blocks: LIVE_BLOCKS.load(Relaxed),
        database_bytes: sqlite3_memory_used(),
        ever_bytes: EVER_BYTES.load(Relaxed),
    })
}

fn came(bytes: usize) {
    LIVE_BYTES.fetch_add(bytes as i64, Relaxed);
    LIVE_BLOCKS.fetch_add(1, Relaxed);
    EVER_BYTES.fetch_add(bytes as u64, Relaxed);
}

fn went(bytes: usize) {
    LIVE_BYTES.fetch_sub(bytes as i64, Relaxed);
    LIVE_BLOCKS.fetch_sub(1, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        came(layout.size());
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        went(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        went(layout.size());
        came(bytes);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, bytes) }
    }
}
