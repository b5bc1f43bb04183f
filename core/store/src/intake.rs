//! Taking in a note: one narrow row and one sealed line of the journal are all that its caller waits for.
//!
//! Owns the row of `intake` and how many of them wait. What makes a capture of it (data key, piece, envelope, receipt, steps)
//! follows when nobody waits, or before anyone looks: see [`crate::settle`]. Until then the note's plaintext lies in the
//! encrypted database and in the sealed journal, and nowhere else.
//!
//! Killed before the commit, the note was never acknowledged; a line in the journal may speak of it, as of every row. Killed
//! after it, the row is there, and the next opening knows how many wait.

use crate::{
    Captured, Store, StoreError,
    capture_rows::{self, Witness},
    intake_row,
    journal::{Base64, Entry},
    rows,
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, CaptureMetadata};
use std::sync::{
    Mutex, MutexGuard, PoisonError, TryLockError,
    atomic::{AtomicU64, Ordering},
};

/// Notes that may wait to be settled. Whoever looks next settles them first: about a second at this number. One more is
/// taken in when a batch of them has been settled, so that a load that never pauses finds the speed of settling.
pub(crate) const PENDING_MAX: u64 = 1_024;

/// A note as its row and the journal hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NewNote {
    /// Order of arrival, among those that wait.
    pub(crate) number: u64,
    pub(crate) asset_id: AssetId,
    pub(crate) metadata: CaptureMetadata,
    pub(crate) content: Content,
    /// What its receipt will say of the moment.
    pub(crate) witness: Witness,
}

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    Text(String),
    /// An app may call anything a note.
    Bytes(Base64),
}

impl Content {
    fn new(plain: &[u8]) -> Self {
        match std::str::from_utf8(plain) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(Base64(plain.to_vec())),
        }
    }

    /// The plaintext.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => &bytes.0,
        }
    }
}

/// How many notes wait, without asking the database.
#[derive(Default)]
pub(crate) struct Intake {
    /// Rows of `intake`. Grows with the write side taken and before the commit, shrinks after one: it may be too large for a
    /// moment (or, after a commit that failed, until someone looked), never too small.
    pending: AtomicU64,
    /// The number of the last note.
    last: AtomicU64,
    /// Held by whoever settles: two who seal the same note would write two envelopes of it into the journal.
    settling: Mutex<()>,
}

impl Intake {
    /// Counts what an earlier process left, when opening is over: until then nothing is settled, because for whom envelopes
    /// are wrapped is not known yet.
    pub(crate) fn count(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT count(*), coalesce(max(number), 0) FROM intake WHERE number > 0";
        let (pending, last) = rows::only(connection, sql, [], |row| Ok((rows::count(row, 0)?, rows::count(row, 1)?)))?;
        self.last.store(last, Ordering::SeqCst);
        self.pending.store(pending, Ordering::SeqCst);
        Ok(())
    }

    /// How many wait.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::SeqCst)
    }

    /// The number of the newest note; what was acknowledged before this call has no greater one.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    fn next_number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// So many rows are gone for good.
    pub(crate) fn settled(&self, count: u64) {
        self.pending.fetch_sub(count, Ordering::SeqCst);
    }

    /// No row is there, whatever was counted: a group failed after its notes were counted. Only with the write side taken, when
    /// nobody can be counting, and only under [`Intake::settle`], so that no one else's deletions are under way.
    pub(crate) fn none_left(&self) {
        self.pending.store(0, Ordering::SeqCst);
    }

    /// Waits to be the one who settles.
    pub(crate) fn settle(&self) -> MutexGuard<'_, ()> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same without waiting, for whoever has the write side: whoever settles waits for that.
    pub(crate) fn try_settle(&self) -> Option<MutexGuard<'_, ()>> {
        match self.settling.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Store {
    /// Takes in a note that fits into a row; durable when it returns.
    pub(crate) fn take_in(&self, metadata: CaptureMetadata, plain: &[u8]) -> Result<Captured, StoreError> {
        let intake = &self.inner.intake;
        while intake.pending() >= PENDING_MAX {
            self.settle_batch(intake.last())?;
        }
        let asset_id = AssetId::new(metadata.created.unix_ms, self.random())?;
        let captured = Captured {
            capture_id: metadata.capture_id,
            asset_id,
            kind: metadata.kind,
            content_type: metadata.content_type.clone(),
            created: metadata.created.unix_ms,
            bytes: plain.len() as u64,
            sha256: snaptrak_seal::sha256(plain),
            state: capture_rows::first_state(metadata.kind, &metadata.content_type, 1),
        };
        let number = intake.next_number();
        let content = Content::new(plain);
        let note = NewNote { number, asset_id, metadata, content, witness: self.witness() };
        let short = intake_row::short(&note, self.device_id());
        let announced = capture_rows::added(captured.capture_id, asset_id, captured.state);
        let json = Entry::Note(note).to_json();
        let row = short.unwrap_or_else(|| json.clone());
        let shared = std::sync::Arc::clone(intake);
        self.inner.writer.write_one_statement(move |transaction, lines| {
            let sql = "INSERT INTO intake (number, entry) VALUES (?1, ?2)";
            rows::change(transaction, sql, params![rows::signed(number)?, row])?;
            lines.entry_json(json);
            transaction.announce(announced);
            shared.pending.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })?;
        tracing::info!(capture_id = %captured.capture_id, %asset_id, bytes = captured.bytes, "captured");
        Ok(captured)
    }
}
