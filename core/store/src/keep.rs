//! What the app or the person does not want dropped: pins, and what was looked at lately.
//!
//! A pin is durable when the call returns. A view is kept on a best effort, at most once an hour for a capture: it only moves
//! the capture back in the order in which the quota drops, and looking must work on a full disk.

use crate::{Store, StoreError, journal::Entry, rows};
use rusqlite::{Connection, params};
use snaptrak_domain::{CaptureId, UnixMs};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// A view is written again only after this: the rule that reads it counts in days.
const VIEW_WRITTEN_EVERY_MS: i64 = 60 * 60 * 1000;

/// Views that are remembered in memory; with more, the next look at each writes a row once more.
const VIEWS_REMEMBERED_MAX: usize = 1_024;

/// When each capture's view was last written by this process.
#[derive(Debug, Default)]
pub(crate) struct Views {
    written: Mutex<BTreeMap<CaptureId, UnixMs>>,
}

impl Views {
    /// Whether a view of now must be written; remembers that it was.
    fn is_news(&self, capture_id: CaptureId, now: UnixMs) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: &UnixMs| (0..VIEW_WRITTEN_EVERY_MS).contains(&now.0.saturating_sub(at.0));
        if written.get(&capture_id).is_some_and(fresh) {
            return false;
        }
        if written.len() >= VIEWS_REMEMBERED_MAX {
            written.clear();
        }
        written.insert(capture_id, now);
        true
    }
}

impl Store {
    /// Keeps a capture's bytes on this device, or lets them go again when room is needed. Twice is no error.
    pub fn set_pinned(&self, capture_id: CaptureId, pinned: bool) -> Result<(), StoreError> {
        self.write_with_lines(move |transaction, lines| {
            must_exist(transaction, capture_id)?;
            rows::change(
                transaction,
                "INSERT INTO keep (capture_id, pinned) VALUES (?1, ?2)
                 ON CONFLICT (capture_id) DO UPDATE SET pinned = excluded.pinned",
                params![capture_id.as_bytes(), pinned],
            )?;
            lines.entry(&entry(transaction, capture_id)?);
            Ok(())
        })
    }

    /// Says that somebody looks at a capture now.
    pub fn viewed(&self, capture_id: CaptureId) {
        let now = self.clock().now();
        if !self.inner.views.is_news(capture_id, now) {
            return;
        }
        let written = self.write_with_lines(move |transaction, lines| {
            must_exist(transaction, capture_id)?;
            rows::change(
                transaction,
                "INSERT INTO keep (capture_id, viewed_ms) VALUES (?1, ?2)
                 ON CONFLICT (capture_id) DO UPDATE SET viewed_ms = excluded.viewed_ms",
                params![capture_id.as_bytes(), now.0],
            )?;
            lines.entry(&entry(transaction, capture_id)?);
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!(%capture_id, %error, "a view was not written down");
        }
    }
}

/// Whether a capture is pinned.
pub(crate) fn is_pinned(connection: &Connection, capture_id: CaptureId) -> Result<bool, StoreError> {
    let sql = "SELECT pinned FROM keep WHERE capture_id = ?1";
    let pinned = rows::first(connection, sql, [capture_id.as_bytes()], |row| Ok(row.get::<_, bool>(0)?))?;
    Ok(pinned.unwrap_or(false))
}

/// The row as the journal has it.
fn entry(connection: &Connection, capture_id: CaptureId) -> Result<Entry, StoreError> {
    let sql = "SELECT pinned, viewed_ms FROM keep WHERE capture_id = ?1";
    rows::only(connection, sql, [capture_id.as_bytes()], |row| {
        Ok(Entry::Keep { capture_id, pinned: row.get(0)?, viewed_ms: rows::unix_ms_or_none(row, 1)? })
    })
}

fn must_exist(connection: &Connection, capture_id: CaptureId) -> Result<(), StoreError> {
    rows::first(connection, "SELECT 1 FROM capture WHERE id = ?1", [capture_id.as_bytes()], |_| Ok(()))?
        .ok_or(StoreError::Missing { what: "capture" })
}
