//! The one write connection, and who uses it: a caller who commits for everyone who waits.
//!
//! Order of events. Callers hand in closures. Who comes first leads: it takes the write side as soon as it is free, and then
//! everyone who has come meanwhile (up to a bound), opens one IMMEDIATE transaction, runs each closure in a savepoint of its
//! own, commits once, and only then answers all of them: one sync of the disk is shared by everyone who came while the
//! previous one was under way, nobody waits for a timer, and who is alone waits for no other thread. A closure that fails or
//! panics is rolled back alone. If SQLite gives up the whole transaction (disk full), every closure of the group is answered
//! with that error and nothing of the group is kept.
//!
//! The lines that the closures add to the journal are written with one call after the last closure and before the commit. If
//! they cannot be written, the whole group fails and nothing of it is kept, neither rows nor lines.
//!
//! What can wait (signing, moving folders, syncing the journal) is done when no one does, in small batches, by a thread of its
//! own that takes the write side for each of them. Where callers never let it in, the one who leads does what is due.

mod door;
mod idle;
mod job;
mod transaction;

use crate::{
    StoreError,
    journal::{Journal, Lines},
    watch::Hub,
};
use door::{Door, Lead, Turn};
use idle::Bell;
use job::Answer;
use rusqlite::{Connection, TransactionBehavior};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

pub(crate) use transaction::WriteTransaction;

/// How often the processor is offered to those who were in the last group before the next one is committed without them: on
/// few cores they cannot come while the leader runs. A commit takes as long as dozens of offers that nobody takes.
const YIELDS_MAX: u32 = 4;

/// Under a load that never pauses, chores are done after this many groups all the same.
const GROUPS_BEFORE_CHORES: u32 = 64;

/// Groups that pass a chore that is due before a leader does it: the chores' thread may find the write side taken each time it
/// comes, and what it bounds (the log, the age of the journal's last line) would have no bound.
const GROUPS_PAST_DUE_MAX: u32 = 8;

/// Batches of chores at closing; what is then left waits for the next opening.
const CLOSING_BATCHES_MAX: u32 = 10_000;

/// When chores are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// No one has come for a while, or the store is being closed.
    Idle,
    /// People keep coming, and it was time.
    Busy,
}

/// What is done when nobody waits.
pub(crate) trait Chores: Send {
    /// Does a bounded amount, less if someone waits meanwhile; whether something is left to do.
    fn run(&mut self, side: &mut WriteSide, occasion: Occasion, someone_waits: &dyn Fn() -> bool) -> bool;
    /// Whether something must not wait until nobody does. Asked after every group: must cost nothing.
    fn is_urgent(&self) -> bool;
}

/// Rows and the lines that go with them: the only write connection, the end of the journal, and who is told of commits.
pub(crate) struct WriteSide {
    pub(crate) connection: Connection,
    pub(crate) journal: Journal,
    pub(crate) hub: Arc<Hub>,
}

impl WriteSide {
    /// Runs `work` in one transaction; its lines are in the journal before the commit, and who watches hears of it after.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let transaction = WriteTransaction::new(transaction, self.hub.is_watched());
        let mut lines = Lines::default();
        let value = work(&transaction, &mut lines)?;
        self.journal.append(lines)?;
        self.hub.publish(&transaction.commit()?);
        Ok(value)
    }
}

/// What only one at a time may use.
struct Room {
    side: WriteSide,
    chores: Box<dyn Chores>,
    groups_since_chores: u32,
    groups_past_due: u32,
    last_group_jobs: usize,
}

impl Room {
    /// Whether something must be done though people keep coming.
    fn is_due(&self) -> bool {
        self.groups_since_chores >= GROUPS_BEFORE_CHORES || self.chores.is_urgent() || self.side.journal.is_old()
    }

    /// Does what is due; whether something is left.
    fn do_due(&mut self, someone_waits: &dyn Fn() -> bool) -> bool {
        self.groups_past_due = 0;
        if let Err(error) = self.side.journal.sync_if_old() {
            tracing::warn!(%error, "the journal could not be synced");
        }
        if self.groups_since_chores < GROUPS_BEFORE_CHORES && !self.chores.is_urgent() {
            return true;
        }
        self.do_chores(Occasion::Busy, someone_waits)
    }

    fn do_chores(&mut self, occasion: Occasion, someone_waits: &dyn Fn() -> bool) -> bool {
        self.groups_since_chores = 0;
        // While people keep coming, the journal is synced when it has waited long enough.
        if occasion == Occasion::Idle
            && let Err(error) = self.side.journal.sync()
        {
            tracing::warn!(%error, "the journal could not be synced");
        }
        let run = || self.chores.run(&mut self.side, occasion, someone_waits);
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            tracing::error!("a chore panicked and waits for another time");
            false
        })
    }
}

/// What callers and the chores' thread share.
struct Shared {
    door: Door,
    /// `None` once the store is closed. Whoever has it may use the write side.
    room: Mutex<Option<Room>>,
    bell: Bell,
    hub: Arc<Hub>,
    /// Groups that were committed.
    commits: AtomicU64,
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Option<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Commits for everyone who has come, as soon as the write side is free.
    fn lead(&self, lead: Lead) {
        let mut room = self.room();
        if let Some(room) = room.as_mut() {
            self.wait_for_company(room.last_group_jobs);
            let jobs = self.door.take(&lead);
            room.last_group_jobs = jobs.len();
            job::commit(&mut room.side, jobs);
            room.groups_since_chores += 1;
        }
        self.door.end(lead);
        self.commits.fetch_add(1, Ordering::SeqCst);
        let is_due = room.as_mut().is_some_and(|room| {
            let is_due = room.is_due();
            room.groups_past_due = if is_due { room.groups_past_due + 1 } else { 0 };
            if room.groups_past_due > GROUPS_PAST_DUE_MAX {
                room.do_due(&|| self.door.waiting() > 0);
            }
            is_due
        });
        drop(room);
        if is_due {
            self.bell.due();
        } else {
            self.bell.committed();
        }
        self.hub.wake();
    }

    /// Those who were answered together are on their way back: what they bring fits into this commit.
    fn wait_for_company(&self, last_group_jobs: usize) {
        for _ in 0..YIELDS_MAX {
            if self.door.waiting() >= last_group_jobs {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Handle of the writer.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Takes the write side over and starts the thread of the chores.
    pub(crate) fn start(side: WriteSide, chores: Box<dyn Chores>) -> Result<Self, StoreError> {
        let hub = Arc::clone(&side.hub);
        let room = Room { side, chores, groups_since_chores: 0, groups_past_due: 0, last_group_jobs: 1 };
        let shared = Arc::new(Shared {
            door: Door::default(),
            room: Mutex::new(Some(room)),
            bell: Bell::default(),
            hub,
            commits: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("snaptrak-chores".to_owned())
            .spawn(move || idle::attend(&of_thread))
            .map_err(|error| StoreError::io("start the chores", error))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in the next transaction and returns when it is durable. Must not be called from within `work`, which may
    /// run on the thread of another caller.
    pub(crate) fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(work, false)
    }

    /// The same for `work` that changes rows by no more than one statement: it costs its group no savepoint.
    pub(crate) fn write_one_statement<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(work, true)
    }

    fn send<T, F>(&self, work: F, one_statement: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        let answer = Arc::new(Answer::new());
        match self.shared.door.enter(job::job(work, one_statement, &answer))? {
            Turn::Lead(lead) => self.shared.lead(lead),
            Turn::Wait(wait) => wait.until_ended(),
        }
        answer.take()
    }

    /// Runs `work` on the write connection between two transactions; everyone who writes waits for it.
    pub(crate) fn alone<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut room = self.shared.room();
        let connection = &mut room.as_mut().ok_or(StoreError::Closed)?.side.connection;
        catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or(Err(StoreError::Panicked))
    }

    /// Groups that were committed.
    #[cfg(test)]
    pub(crate) fn commits(&self) -> u64 {
        self.shared.commits()
    }

    /// Callers that nobody has taken yet.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.shared.door.waiting()
    }

    /// Commits what waits, does the chores, syncs the journal, checkpoints, ends the thread and tells who watches that it was the
    /// end. Later callers are answered [`StoreError::Closed`].
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else { return Ok(()) };
        self.shared.door.close();
        let room = self.shared.room().take();
        self.shared.bell.over();
        let ended = thread.join().map_err(|_| StoreError::Panicked);
        let finished = room.map_or(Ok(()), finish);
        self.shared.hub.close();
        finished.and(ended)
    }
}

/// Nobody else is there any more.
fn finish(mut room: Room) -> Result<(), StoreError> {
    let mut batches = 0;
    while batches < CLOSING_BATCHES_MAX && room.do_chores(Occasion::Idle, &|| false) {
        batches += 1;
    }
    room.side.journal.sync()?;
    // Everything is durable in the log as it is; an empty log makes the next opening and a backup simpler.
    room.side.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store did not close cleanly");
        }
    }
}
