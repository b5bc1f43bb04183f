//! The one writer: a thread that owns the write connection and commits for everyone who waits.
//!
//! Order of events. Callers hand in closures and block. The writer takes every closure that waits (up to a bound), opens one
//! IMMEDIATE transaction, runs each closure in a savepoint of its own, commits once, and only then answers all of them: one
//! sync of the disk is shared by everyone who came while the previous one was under way, and nobody waits for a timer.
//! A closure that fails or panics is rolled back alone. If SQLite gives up the whole transaction (disk full), every closure
//! of the group is answered with that error and nothing of the group is kept.
//!
//! What can wait (signing, moving folders, syncing the journal) is done when no one does, in small batches. With nothing
//! left to do the thread sleeps without a timer.

use crate::{StoreError, journal::Journal};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread::JoinHandle,
    time::Duration,
};

/// Closures that may wait; callers block beyond it. More than any phone has threads.
const WAITING_JOBS_MAX: usize = 256;

/// Closures in one transaction: 256 notes of 64 KiB are 16 MiB of write-ahead log.
const GROUP_JOBS_MAX: usize = 256;

/// How long no one must have come before chores are done: longer than the gap between captures of a burst.
const IDLE_BEFORE_CHORES: Duration = Duration::from_millis(100);

/// Under a load that never pauses, chores are done after this many groups all the same.
const GROUPS_BEFORE_CHORES: u32 = 64;

/// Batches of chores at closing; what is then left waits for the next opening.
const CLOSING_BATCHES_MAX: u32 = 10_000;

/// What is done when nobody waits.
pub(crate) trait Chores: Send {
    /// Does one small batch; whether something is left to do.
    fn run(&mut self, connection: &mut Connection) -> Result<bool, StoreError>;
}

/// One closure on its way through the writer.
trait Job: Send {
    /// The journal's line that must be written before the row is committed.
    fn journal_line(&self) -> Option<&[u8]>;
    /// Runs the closure and keeps its answer; whether its changes are to be kept.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;
    /// Replaces the answer.
    fn fail(&mut self, error: StoreError);
    /// Sends the answer to the caller.
    fn answer(self: Box<Self>);
}

struct Closure<T, F> {
    work: Option<F>,
    journal_line: Option<Vec<u8>>,
    result: Result<T, StoreError>,
    reply: Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Closure<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send,
{
    fn journal_line(&self) -> Option<&[u8]> {
        self.journal_line.as_deref()
    }

    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        self.result = catch_unwind(AssertUnwindSafe(|| work(transaction))).unwrap_or(Err(StoreError::Panicked));
        self.result.is_ok()
    }

    fn fail(&mut self, error: StoreError) {
        self.work = None;
        self.result = Err(error);
    }

    fn answer(self: Box<Self>) {
        // A caller that died does not want its answer.
        let _ = self.reply.send(self.result);
    }
}

enum Command {
    Job(Box<dyn Job>),
    Close(Sender<Result<(), StoreError>>),
}

/// Handle of the writer thread.
pub(crate) struct Writer {
    commands: Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection, journal: Journal, chores: Box<dyn Chores>) -> Result<Self, StoreError> {
        let (commands, inbox) = bounded(WAITING_JOBS_MAX);
        let worker = Worker { connection, journal, chores, inbox, groups_since_chores: 0 };
        let thread = std::thread::Builder::new()
            .name("snaptrak-writer".to_owned())
            .spawn(move || worker.work())
            .map_err(|error| StoreError::io("start the writer", error))?;
        Ok(Self { commands, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in the next transaction and returns when it is durable. Must not be called from within `work`.
    pub(crate) fn write<T, F>(&self, journal_line: Option<Vec<u8>>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        let job = Closure { work: Some(work), journal_line, result: Err(StoreError::Closed), reply };
        self.commands.send(Command::Job(Box::new(job))).map_err(|_| StoreError::Closed)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Commits what waits, does the chores, syncs the journal, checkpoints and ends the thread.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let mut thread = self.thread.lock().expect("no one panics while holding this lock");
        let Some(thread) = thread.take() else { return Ok(()) };
        let (reply, answer) = bounded(1);
        let sent = self.commands.send(Command::Close(reply));
        let result = match sent {
            Ok(()) => answer.recv().unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Closed),
        };
        thread.join().map_err(|_| StoreError::Panicked)?;
        result
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the writer did not end cleanly");
        }
    }
}

struct Worker {
    connection: Connection,
    journal: Journal,
    chores: Box<dyn Chores>,
    inbox: Receiver<Command>,
    groups_since_chores: u32,
}

impl Worker {
    fn work(mut self) {
        // Opening may have left something to sign or to move.
        let mut chores_wait = true;
        loop {
            let command = if chores_wait {
                match self.inbox.recv_timeout(IDLE_BEFORE_CHORES) {
                    Ok(command) => command,
                    Err(RecvTimeoutError::Timeout) => {
                        chores_wait = self.do_chores();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                match self.inbox.recv() {
                    Ok(command) => command,
                    Err(_) => break,
                }
            };
            let closing = match command {
                Command::Job(first) => self.group(first),
                Command::Close(reply) => Some(reply),
            };
            if let Some(reply) = closing {
                let result = self.close();
                let _ = reply.send(result);
                return;
            }
            chores_wait = true;
            if self.groups_since_chores >= GROUPS_BEFORE_CHORES {
                self.do_chores();
            }
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store did not close cleanly");
        }
    }

    /// Takes everyone who waits besides `first` and commits for all; a request to close that came among them.
    fn group(&mut self, first: Box<dyn Job>) -> Option<Sender<Result<(), StoreError>>> {
        let mut jobs = vec![first];
        let mut closing = None;
        while jobs.len() < GROUP_JOBS_MAX {
            match self.inbox.try_recv() {
                Ok(Command::Job(job)) => jobs.push(job),
                Ok(Command::Close(reply)) => {
                    closing = Some(reply);
                    break;
                }
                Err(_) => break,
            }
        }
        commit(&mut self.connection, &mut self.journal, jobs);
        self.groups_since_chores += 1;
        if let Err(error) = self.journal.sync_if_old() {
            tracing::warn!(%error, "the journal could not be synced");
        }
        closing
    }

    /// One batch; whether more is left. A failure waits for the next group: nothing that is durable depends on it.
    fn do_chores(&mut self) -> bool {
        self.groups_since_chores = 0;
        if let Err(error) = self.journal.sync() {
            tracing::warn!(%error, "the journal could not be synced");
        }
        self.chores.run(&mut self.connection).unwrap_or_else(|error| {
            tracing::warn!(%error, "chores wait for another time");
            false
        })
    }

    fn close(&mut self) -> Result<(), StoreError> {
        // Whoever sent before the request to close was taken with it or lies before it; later senders are answered `Closed`
        // when the channel goes.
        let mut batches = 0;
        while batches < CLOSING_BATCHES_MAX && self.do_chores() {
            batches += 1;
        }
        self.journal.sync()?;
        // Everything is durable in the log as it is; an empty log makes the next opening and a backup simpler.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Runs the jobs in one transaction and answers all of them.
fn commit(connection: &mut Connection, journal: &mut Journal, mut jobs: Vec<Box<dyn Job>>) {
    for job in &mut jobs {
        if let Some(Err(error)) = job.journal_line().map(|line| journal.append(line)) {
            job.fail(error);
        }
    }
    if let Err(error) = run_all(connection, &mut jobs) {
        for job in &mut jobs {
            job.fail(error.clone());
        }
    }
    for job in jobs {
        job.answer();
    }
}

fn run_all(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs {
        transaction.prepare_cached("SAVEPOINT job")?.execute([])?;
        let keep = job.run(&transaction);
        if transaction.is_autocommit() {
            // SQLite rolled the whole transaction back: nothing of the group exists any more.
            return Err(StoreError::Full);
        }
        if !keep {
            transaction.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        transaction.prepare_cached("RELEASE job")?.execute([])?;
    }
    transaction.commit()?;
    Ok(())
}
