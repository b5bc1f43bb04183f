//! One request at a time works on an upload, and the newest has the right of way.
//!
//! A phone that changed networks comes back while the server still waits for the old connection's bytes. The newcomer asks
//! the one before it to stop; that one makes durable what it has and answers 423, and the newcomer goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, watch};
use uuid::Uuid;

/// The one before has to sync at most a few megabytes when it is asked to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    newest: watch::Sender<u64>,
}

/// Uploads on which a request works or waits.
#[derive(Default)]
pub(crate) struct ActiveUploads {
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
}

/// The right to work on an upload.
pub(crate) struct Turn<'a> {
    uploads: &'a ActiveUploads,
    upload_id: Uuid,
    slot: Option<Arc<Slot>>,
    number: u64,
    newest: watch::Receiver<u64>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl ActiveUploads {
    /// Asks whoever works on the upload to stop and waits for it. `None` where it did not stop, or where a still newer
    /// request came meanwhile.
    pub(crate) async fn take_turn(&self, upload_id: Uuid) -> Option<Turn<'_>> {
        let slot = self.slots().entry(upload_id).or_insert_with(new_slot).clone();
        let mut number = 0;
        slot.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let newest = slot.newest.subscribe();
        let lock = slot.turn.clone().lock_owned();
        let mut turn = Turn { uploads: self, upload_id, slot: Some(slot), number, newest, guard: None };
        turn.guard = tokio::time::timeout(STOPS_WITHIN, lock).await.ok();
        (turn.guard.is_some() && !turn.is_over()).then_some(turn)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Whether a newer request waits.
    pub(crate) fn is_over(&self) -> bool {
        *self.newest.borrow() != self.number
    }

    /// Returns when a newer request waits.
    pub(crate) async fn over(&mut self) {
        let number = self.number;
        if self.newest.wait_for(|newest| *newest != number).await.is_err() {
            // The sender lives in the slot that this turn holds.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut slots = self.uploads.slots();
        self.slot = None;
        // Only the map's reference is left: nobody else works or waits.
        if slots.get(&self.upload_id).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(&self.upload_id);
        }
    }
}

fn new_slot() -> Arc<Slot> {
    Arc::new(Slot { turn: Arc::default(), newest: watch::Sender::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_goes_first_and_nothing_is_left_behind() {
        let uploads = ActiveUploads::default();
        let id = Uuid::from_u128(1);
        let mut first = uploads.take_turn(id).await.expect("nobody is there");
        assert!(!first.is_over());
        let (second, ()) = tokio::join!(uploads.take_turn(id), async {
            first.over().await;
            drop(first);
        });
        let second = second.expect("the first one stopped");
        assert!(!second.is_over());
        drop(second);
        assert!(uploads.slots().is_empty());
    }
}
