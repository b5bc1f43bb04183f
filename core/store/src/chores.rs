//! What can wait until nobody does: signing receipts, moving finished assets from `incoming/` to `assets/`, and removing what
//! a purge left.
//!
//! Owns the order of the chores and how much of them is done in one run. Each is a [`Chore`] of its own, and none of them
//! knows the others.
//!
//! A move is one rename, then syncs of the folders, then the row. Killed in between, the row still says `in_incoming` and the
//! next batch finds the folder where it already is.

use crate::{
    StoreError,
    keys::Keys,
    layout::{self, Layout},
    receipts, rows,
    store::Files,
    writer::{Chores, Occasion, WriteSide},
};
use rusqlite::{Connection, TransactionBehavior};
use snaptrak_domain::AssetId;
use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc};

/// Assets moved in one batch: a few syncs, during which a new capture waits.
const MOVES_MAX: usize = 32;

/// What is closed and lies in `incoming/`, but for a recording of which a piece is being sent from there: a transfer may open
/// the file again at any time. The index is named, since the planner, which has no statistics, would rather walk
/// the table in the order that is asked for.
pub(crate) const TO_MOVE: &str = "SELECT id FROM asset INDEXED BY asset_in_incoming
  WHERE in_incoming = 1 AND closed = 1
    AND NOT EXISTS (SELECT 1 FROM piece WHERE piece.asset_id = asset.id AND piece.state = 'sending')
  ORDER BY id LIMIT ?1";

/// One thing that can wait.
pub(crate) trait Chore: Send {
    /// Does one small batch (a few milliseconds, during which a new capture waits); whether something is left to do.
    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError>;

    /// Whether it is left alone while people keep coming, because something else bounds what piles up meanwhile.
    fn waits_until_idle(&self) -> bool {
        false
    }

    /// Whether it must be done even if someone always waits; asked after every group.
    fn is_urgent(&self) -> bool {
        false
    }
}

/// The chores of a store, in the order in which they are done: what a later one needs comes first.
pub(crate) struct StoreChores {
    list: Vec<Box<dyn Chore>>,
    /// The chore with which the next run begins.
    next: usize,
}

impl StoreChores {
    pub(crate) fn new(list: Vec<Box<dyn Chore>>) -> Self {
        Self { list, next: 0 }
    }
}

impl Chores for StoreChores {
    /// One batch of each chore; a run that is broken off because someone waits is taken up where it stopped. A chore that
    /// fails waits for the next group, and holds up no other: nothing that is durable depends on it.
    fn run(&mut self, side: &mut WriteSide, occasion: Occasion, someone_waits: &dyn Fn() -> bool) -> bool {
        let mut left = false;
        for done in 0..self.list.len() {
            if done > 0 && someone_waits() {
                return true;
            }
            let place = self.next;
            self.next = (place + 1) % self.list.len();
            if occasion == Occasion::Busy && self.list[place].waits_until_idle() {
                continue;
            }
            match self.list[place].run(side) {
                Ok(more) => left |= more,
                Err(error) => tracing::warn!(%error, "a chore waits for another time"),
            }
        }
        left
    }

    fn is_urgent(&self) -> bool {
        self.list.iter().any(|chore| chore.is_urgent())
    }
}

/// Signs receipts with the keyset's own key.
pub(crate) struct Sign(pub(crate) Arc<Keys>);

impl Chore for Sign {
    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError> {
        // A platform's signer takes its time and may ask a person, whatever it says of its hardware; the writer must not wait for
        // it. `Store::sign_pending` does, on a caller's thread.
        if !self.0.signs_by_itself {
            return Ok(false);
        }
        receipts::sign_batch(side, self.0.signer.as_ref())
    }
}

/// Moves what is complete from `incoming/` to `assets/`.
pub(crate) struct Move(pub(crate) Arc<Files>);

impl Chore for Move {
    fn run(&mut self, side: &mut WriteSide) -> Result<bool, StoreError> {
        Ok(move_batch(&mut side.connection, &self.0)? == MOVES_MAX)
    }
}

/// Moves a batch; how many.
fn move_batch(connection: &mut Connection, files: &Files) -> Result<usize, StoreError> {
    let assets = rows::all(connection, TO_MOVE, [rows::signed(MOVES_MAX as u64)?], |row| rows::asset_id(row, 0))?;
    if assets.is_empty() {
        return Ok(0);
    }
    move_folders(files, &assets)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for asset_id in &assets {
        rows::change(&transaction, "UPDATE asset SET in_incoming = 0 WHERE id = ?1", [asset_id.as_bytes()])?;
    }
    transaction.commit()?;
    Ok(assets.len())
}

/// Moves folders to their place for good; one that is already there is no error. The rows follow with the next batch.
pub(crate) fn move_folders(files: &Files, assets: &[AssetId]) -> Result<(), StoreError> {
    let layout = &files.layout;
    let mut changed = BTreeSet::<PathBuf>::new();
    for asset_id in assets {
        let part = layout.assets_part(*asset_id);
        if !part.exists() {
            layout::create_folder(&part)?;
            changed.insert(layout.assets());
        }
        let _changing = files.change();
        move_folder(layout, *asset_id)?;
        changed.insert(part);
    }
    changed.insert(layout.incoming());
    changed.iter().try_for_each(|folder| layout::sync_folder(folder))
}

fn move_folder(layout: &Layout, asset_id: AssetId) -> Result<(), StoreError> {
    match fs::rename(layout.incoming_asset(asset_id), layout.settled_asset(asset_id)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !layout.settled_asset(asset_id).exists() {
                // Someone took the files away. Reading them will say so; the row stays.
                tracing::error!(%asset_id, "the folder of an asset is gone");
            }
            Ok(())
        }
        Err(error) => Err(StoreError::io("move an asset", error)),
    }
}
