//! Chores on the database's files: emptying a log that readers keep from ending, and giving freed pages back.
//!
//! Both are a matter of room and of nothing else: skipped, killed or failed, the database is as good as before.

use crate::{StoreError, chores::Chore, gate::Gate, writer::WriteSide};
use rusqlite::{Connection, hooks::Wal};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A write-ahead log longer than this is emptied as soon as the readers can be held off. SQLite itself begins it anew at
/// 4 MiB whenever no reader is inside at that moment; four times that means that there always was one.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Free pages that a database keeps (8 MiB): room that comes and goes with bursts of notes is not worth moving pages for.
const FREE_PAGES_KEPT: i64 = 2_048;

/// Pages given back in one batch (1 MiB): some milliseconds, during which a new capture waits.
const FREED_PER_BATCH: i64 = 256;

/// Pages after which a commit writes the log back into the database, as SQLite does by itself where nobody listens.
const WRITE_BACK_PAGES: u64 = 1_000;

/// A page of the database in the log, with what the log says of it.
const LOG_PAGE_BYTES: u64 = 4096 + 24;

/// How long the write-ahead log is, told by every commit. Nobody looks at the file: a look between two commits lets Linux date
/// the second one anew, and its sync then writes the file's inode too (measured: 235 us instead of 160).
#[derive(Clone, Default)]
pub(crate) struct LogLength(Arc<AtomicU64>);

impl LogLength {
    /// Listens to the commits of the connection that writes.
    pub(crate) fn listen(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let pages_now = Arc::clone(&self.0);
        Ok(connection.wal_hook(Some(move |log: &mut Wal, pages: i32| {
            let pages = u64::try_from(pages).unwrap_or(0);
            pages_now.store(pages, Ordering::SeqCst);
            if pages >= WRITE_BACK_PAGES {
                // The commit stands whatever becomes of this, and the next one tries again.
                let _ = log.checkpoint();
            }
            Ok(())
        }))?)
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * LOG_PAGE_BYTES
    }

    fn set_empty(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// Empties the write-ahead log when it has grown.
pub(crate) struct EmptyLog {
    log: LogLength,
    gate: Arc<Gate>,
    /// The length at which it is tried (again).
    limit_bytes: u64,
}

impl EmptyLog {
    pub(crate) fn new(log: LogLength, gate: Arc<Gate>) -> Self {
        Self { log, gate, limit_bytes: LOG_BYTES_MAX }
    }
}

impl Chore for EmptyLog {
    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError> {
        let bytes = self.log.bytes();
        if bytes <= self.limit_bytes {
            return Ok(false);
        }
        let connection = &side.connection;
        let empty = || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        let emptied = match self.gate.alone(empty) {
            Some(busy) => !busy?,
            None => false,
        };
        if emptied {
            self.log.set_empty();
        }
        // Somebody reads for long: the writer must not wait for them again at every group.
        self.limit_bytes = if emptied { LOG_BYTES_MAX } else { bytes + LOG_BYTES_MAX };
        tracing::debug!(bytes, emptied, "the log has grown");
        Ok(false)
    }

    fn is_urgent(&self) -> bool {
        self.log.bytes() > self.limit_bytes
    }
}

/// Gives up to so many freed pages back to the file system.
pub(crate) fn give_back(connection: &Connection, pages: i64) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    // SQLite gives one page back a step, with a row each; who takes one step only gives back one page.
    let mut steps = statement.raw_query();
    while steps.next()?.is_some() {}
    Ok(())
}

/// Gives freed pages back to the file system.
pub(crate) struct GiveBack;

impl Chore for GiveBack {
    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError> {
        let connection = &side.connection;
        let free_pages = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
        let before = free_pages()?;
        if before <= FREE_PAGES_KEPT {
            return Ok(false);
        }
        let pages = FREED_PER_BATCH.min(before - FREE_PAGES_KEPT);
        give_back(connection, pages)?;
        let after = free_pages()?;
        // A database that was made before this was known (version 1) gives nothing back: then there is nothing left to do.
        Ok(after < before && after > FREE_PAGES_KEPT)
    }
}
