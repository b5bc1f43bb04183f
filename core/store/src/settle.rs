//! Settling: what turns notes of the intake into captures like any other.
//!
//! Order of events. Some rows of `intake` are read in their order; for each a data key is drawn, piece and envelope are sealed
//! in memory; then one transaction deletes the rows, inserts captures, assets, pieces, places in the receipt chain and steps,
//! and adds their lines to the journal. Killed before its commit, everything is as before, and is sealed anew under another
//! key; killed after it, the rows are gone and nothing is settled twice.
//!
//! Done by the writer's chores, and by everyone who reads or writes anything else, on their own thread and before they do: so
//! that nobody sees a note that is not settled, and the receipts' chain keeps the order of acknowledgement. On a full disk
//! nothing can be settled: then a look shows the store without the newest notes rather than nothing at all.

use crate::{
    Store, StoreError,
    capture_rows::{self, NewCapture, Place},
    chores::Chore,
    intake::{Intake, NewNote},
    intake_row,
    journal::Lines,
    rows,
    sealer::Sealer,
    sealing::{self, SealedAsset},
    writer::WriteSide,
};
use rusqlite::{Connection, params};
use snaptrak_domain::DeviceId;
use snaptrak_seal::DataKey;
use std::sync::Arc;

/// Notes settled in one transaction: ten milliseconds, in which a new capture waits.
const BATCH_MAX: u64 = 32;

/// Rows of the intake in their order.
struct Batch {
    notes: Vec<(i64, NewNote)>,
    /// Rows that no version of this library can have written.
    unreadable: Vec<i64>,
}

impl Batch {
    fn load(connection: &Connection, upto: u64, device_id: DeviceId) -> Result<Self, StoreError> {
        let sql = "SELECT number, entry FROM intake WHERE number > 0 AND number <= ?1 ORDER BY number LIMIT ?2";
        let params = params![rows::signed(upto)?, rows::signed(BATCH_MAX)?];
        let found = rows::all(connection, sql, params, |row| {
            let number: i64 = row.get(0)?;
            let entry = row.get_ref(1)?.as_blob().ok();
            Ok((number, entry.and_then(|entry| intake_row::read(number.unsigned_abs(), entry, device_id))))
        })?;
        let mut batch = Self { notes: Vec::with_capacity(found.len()), unreadable: Vec::new() };
        for (number, note) in found {
            match note {
                Some(note) => batch.notes.push((number, note)),
                None => batch.unreadable.push(number),
            }
        }
        Ok(batch)
    }

    fn count(&self) -> u64 {
        (self.notes.len() + self.unreadable.len()) as u64
    }

    fn seal(self, sealer: &Sealer) -> Result<SealedBatch, StoreError> {
        let seal = |(number, note)| Ok((number, seal(note, sealer)?));
        let captures = self.notes.into_iter().map(seal).collect::<Result<_, StoreError>>()?;
        Ok(SealedBatch { captures, unreadable: self.unreadable })
    }
}

/// The same, ready to be inserted.
struct SealedBatch {
    captures: Vec<(i64, NewCapture)>,
    unreadable: Vec<i64>,
}

impl SealedBatch {
    fn insert(self, connection: &Connection, lines: &mut Lines) -> Result<(), StoreError> {
        for (number, new) in &self.captures {
            if rows::change(connection, "DELETE FROM intake WHERE number = ?1", [number])? == 0 {
                continue;
            }
            capture_rows::insert_announced(connection, new)?;
            if let Place::Row { envelope, piece } = &new.place {
                lines.note(envelope, piece);
            }
        }
        for number in &self.unreadable {
            // Set aside and not deleted, so that it holds up no other.
            tracing::error!(number, "a note of the intake cannot be read");
            rows::change(connection, "UPDATE intake SET number = -number WHERE number = ?1", [number])?;
        }
        Ok(())
    }
}

fn seal(note: NewNote, sealer: &Sealer) -> Result<NewCapture, StoreError> {
    let random = sealer.random.as_ref();
    let data_key = DataKey::generate(random)?;
    let (sealed, piece) = sealing::seal_inline(note.content.bytes(), &data_key, note.asset_id, random)?;
    let asset = SealedAsset { bytes: piece.bytes, sha256: piece.sha256, pieces: vec![piece] };
    let envelope = sealer.closed_envelope(&note.metadata, note.asset_id, &data_key, &asset)?;
    // Before anyone can see the capture: what was just captured needs no viewing key.
    sealer.keys.remember(note.asset_id, data_key);
    Ok(NewCapture {
        asset_id: note.asset_id,
        place: Place::Row { envelope, piece: sealed },
        pieces: asset.pieces,
        bytes: asset.bytes,
        sha256: asset.sha256,
        witness: note.witness,
        now: note.metadata.created.unix_ms,
        metadata: note.metadata,
    })
}

impl Store {
    /// Settles every note that was acknowledged before this call. A full disk is no reason not to look.
    pub(crate) fn settle_first(&self) -> Result<(), StoreError> {
        match self.settle() {
            Err(StoreError::Full) => {
                tracing::warn!("no room to settle the newest notes: they wait");
                Ok(())
            }
            settled => settled,
        }
    }

    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let upto = self.inner.intake.last();
        while self.inner.intake.pending() > 0 && self.settle_batch(upto)? == BATCH_MAX {}
        Ok(())
    }

    /// Settles a batch; how many rows it found.
    pub(crate) fn settle_batch(&self, upto: u64) -> Result<u64, StoreError> {
        let intake = &self.inner.intake;
        let _alone = intake.settle();
        let batch = self.inner.readers.read(|connection| Batch::load(connection, upto, self.device_id()))?;
        let count = batch.count();
        if count == 0 {
            let intake = Arc::clone(intake);
            self.inner.writer.write(move |transaction, _| {
                if rows::first(transaction, "SELECT 1 FROM intake WHERE number > 0 LIMIT 1", [], |_| Ok(()))?.is_none()
                {
                    intake.none_left();
                }
                Ok(())
            })?;
            return Ok(0);
        }
        let sealed = batch.seal(&self.inner.sealer)?;
        self.inner.writer.write(move |transaction, lines| sealed.insert(transaction, lines))?;
        intake.settled(count);
        Ok(count)
    }
}

/// Settles what waits when nobody does.
pub(crate) struct Settle {
    pub(crate) intake: Arc<Intake>,
    pub(crate) sealer: Arc<Sealer>,
}

impl Chore for Settle {
    /// Under a steady load those who would pass the bound of the intake settle, on their own threads: sealing takes ten times
    /// as long as taking in, and the writer is everyone's.
    fn waits_until_idle(&self) -> bool {
        true
    }

    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError> {
        if self.intake.pending() == 0 {
            return Ok(false);
        }
        // Someone who settles waits for the write side.
        let Some(_alone) = self.intake.try_settle() else { return Ok(false) };
        let batch = Batch::load(&side.connection, self.intake.last(), self.sealer.device_id)?;
        let count = batch.count();
        if count == 0 {
            self.intake.none_left();
            return Ok(false);
        }
        let sealed = batch.seal(&self.sealer)?;
        side.transact(|transaction, lines| sealed.insert(transaction, lines))?;
        self.intake.settled(count);
        Ok(count == BATCH_MAX)
    }
}
