//! The one writer: a thread that owns the write connection and commits for everyone who waits.
//!
//! Order of events. Callers hand in closures and block. The writer takes every closure that waits (up to a bound), opens one
//! IMMEDIATE transaction, runs each closure in a savepoint of its own, commits once, and only then answers all of them: one
//! sync of the disk is shared by everyone who came while the previous one was under way, and nobody waits for a timer.
//! A closure that fails or panics is rolled back alone. If SQLite gives up the whole transaction (disk full), every closure
//! of the group is answered with that error and nothing of the group is kept.
//!
//! The lines that the closures add to the journal are written with one call after the last closure and before the commit. If
//! they cannot be written, the whole group fails and nothing of it is kept, neither rows nor lines.
//!
//! What can wait (signing, moving folders, syncing the journal) is done when no one does, in small batches. With nothing
//! left to do the thread sleeps without a timer.

use crate::{
    StoreError,
    journal::{Journal, Lines},
};
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

/// How often the processor is offered to those who were in the last group before the next one is committed without them: on
/// few cores they cannot come while the writer runs. A commit takes as long as dozens of offers that nobody takes.
const YIELDS_MAX: u32 = 4;

/// How long no one must have come before chores are done: longer than the gap between captures of a burst.
const IDLE_BEFORE_CHORES: Duration = Duration::from_millis(100);

/// Under a load that never pauses, chores are done after this many groups all the same.
const GROUPS_BEFORE_CHORES: u32 = 64;

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

/// Rows and the lines that go with them: the only write connection, and the end of the journal.
pub(crate) struct WriteSide {
    pub(crate) connection: Connection,
    pub(crate) journal: Journal,
}

impl WriteSide {
    /// Runs `work` in one transaction; its lines are in the journal before the commit.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Lines) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut lines = Lines::default();
        let value = work(&transaction, &mut lines)?;
        self.journal.append(lines)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// One closure on its way through the writer.
trait Job: Send {
    /// Runs the closure and keeps its answer; whether its changes are to be kept.
    fn run(&mut self, transaction: &Transaction<'_>, lines: &mut Lines) -> bool;
    /// Whether the closure changes rows by no more than one statement, which SQLite takes back by itself if it fails.
    fn is_one_statement(&self) -> bool;
    /// Answers with the error of the whole group, unless the closure has failed with one of its own.
    fn fail(&mut self, error: StoreError);
    /// Sends the answer to the caller.
    fn answer(self: Box<Self>);
}

struct Closure<T, F> {
    work: Option<F>,
    one_statement: bool,
    result: Result<T, StoreError>,
    reply: Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Closure<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>, &mut Lines) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>, lines: &mut Lines) -> bool {
        let Some(work) = self.work.take() else { return false };
        self.result = catch_unwind(AssertUnwindSafe(|| work(transaction, lines))).unwrap_or(Err(StoreError::Panicked));
        self.result.is_ok()
    }

    fn is_one_statement(&self) -> bool {
        self.one_statement
    }

    fn fail(&mut self, error: StoreError) {
        if self.work.take().is_some() || self.result.is_ok() {
            self.result = Err(error);
        }
    }

    fn answer(self: Box<Self>) {
        // A caller that died does not want its answer.
        let _ = self.reply.send(self.result);
    }
}

/// What needs the connection for itself, outside of any transaction.
type Alone = Box<dyn FnOnce(&mut Connection) + Send>;

enum Command {
    Job(Box<dyn Job>),
    Alone(Alone),
    Close(Sender<Result<(), StoreError>>),
}

/// Handle of the writer thread.
pub(crate) struct Writer {
    commands: Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(side: WriteSide, chores: Box<dyn Chores>) -> Result<Self, StoreError> {
        let (commands, inbox) = bounded(WAITING_JOBS_MAX);
        let worker = Worker { side, chores, inbox, groups_since_chores: 0, last_group_jobs: 1 };
        let thread = std::thread::Builder::new()
            .name("snaptrak-writer".to_owned())
            .spawn(move || worker.work())
            .map_err(|error| StoreError::io("start the writer", error))?;
        Ok(Self { commands, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in the next transaction and returns when it is durable. Must not be called from within `work`.
    pub(crate) fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(work, false)
    }

    /// The same for `work` that changes rows by no more than one statement: it costs its group no savepoint.
    pub(crate) fn write_one_statement<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(work, true)
    }

    fn send<T, F>(&self, work: F, one_statement: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        let job = Closure { work: Some(work), one_statement, result: Err(StoreError::Closed), reply };
        self.commands.send(Command::Job(Box::new(job))).map_err(|_| StoreError::Closed)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `work` on the write connection between two transactions; everyone who writes waits for it.
    pub(crate) fn alone<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = bounded(1);
        let job = move |connection: &mut Connection| {
            let result = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or(Err(StoreError::Panicked));
            // A caller that died does not want its answer.
            let _ = reply.send(result);
        };
        self.commands.send(Command::Alone(Box::new(job))).map_err(|_| StoreError::Closed)?;
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

/// How long the thread waits for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Something may be to be done when no one has come for a while.
    UntilIdle,
    /// Chores are being done, a bounded amount at a time.
    Not,
    /// Nothing is to be done.
    UntilCalled,
}

struct Worker {
    side: WriteSide,
    chores: Box<dyn Chores>,
    inbox: Receiver<Command>,
    groups_since_chores: u32,
    last_group_jobs: usize,
}

impl Worker {
    fn work(mut self) {
        // Opening may have left something to sign or to move.
        let mut rest = Rest::UntilIdle;
        loop {
            let received = match rest {
                Rest::UntilIdle => self.inbox.recv_timeout(IDLE_BEFORE_CHORES),
                Rest::Not => self.inbox.recv_timeout(Duration::ZERO),
                Rest::UntilCalled => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let command = match received {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => {
                    rest = if self.do_chores(Occasion::Idle) { Rest::Not } else { Rest::UntilCalled };
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let after_group = match command {
                Command::Job(first) => self.group(first),
                other @ (Command::Alone(_) | Command::Close(_)) => Some(other),
            };
            match after_group {
                Some(Command::Close(reply)) => {
                    let result = self.close();
                    let _ = reply.send(result);
                    return;
                }
                Some(Command::Alone(work)) => work(&mut self.side.connection),
                Some(Command::Job(_)) | None => {}
            }
            rest = Rest::UntilIdle;
            if self.groups_since_chores >= GROUPS_BEFORE_CHORES || self.chores.is_urgent() {
                self.do_chores(Occasion::Busy);
            }
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store did not close cleanly");
        }
    }

    /// Takes everyone who waits besides `first` and commits for all; what came among them and is no job.
    fn group(&mut self, first: Box<dyn Job>) -> Option<Command> {
        let mut jobs = vec![first];
        let mut other = None;
        // Those who were answered together are on their way back: what they bring fits into this commit.
        for _ in 0..YIELDS_MAX {
            if self.inbox.len() + 1 >= self.last_group_jobs {
                break;
            }
            std::thread::yield_now();
        }
        while jobs.len() < GROUP_JOBS_MAX {
            match self.inbox.try_recv() {
                Ok(Command::Job(job)) => jobs.push(job),
                Ok(command @ (Command::Alone(_) | Command::Close(_))) => {
                    other = Some(command);
                    break;
                }
                Err(_) => break,
            }
        }
        self.last_group_jobs = jobs.len();
        commit(&mut self.side, jobs);
        self.groups_since_chores += 1;
        if let Err(error) = self.side.journal.sync_if_old() {
            tracing::warn!(%error, "the journal could not be synced");
        }
        other
    }

    /// One run; whether more is left.
    fn do_chores(&mut self, occasion: Occasion) -> bool {
        self.groups_since_chores = 0;
        // While people keep coming, each group looks whether the journal has waited long enough.
        if occasion == Occasion::Idle
            && let Err(error) = self.side.journal.sync()
        {
            tracing::warn!(%error, "the journal could not be synced");
        }
        let inbox = &self.inbox;
        self.chores.run(&mut self.side, occasion, &|| !inbox.is_empty())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        // Whoever sent before the request to close was taken with it or lies before it; later senders are answered `Closed`
        // when the channel goes.
        let mut batches = 0;
        while batches < CLOSING_BATCHES_MAX && self.do_chores(Occasion::Idle) {
            batches += 1;
        }
        self.side.journal.sync()?;
        // Everything is durable in the log as it is; an empty log makes the next opening and a backup simpler.
        self.side.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Runs the jobs in one transaction and answers all of them.
fn commit(side: &mut WriteSide, mut jobs: Vec<Box<dyn Job>>) {
    if let Err(error) = side.transact(|transaction, lines| run_all(transaction, lines, &mut jobs)) {
        for job in &mut jobs {
            job.fail(error.clone());
        }
    }
    for job in jobs {
        job.answer();
    }
}

fn run_all(transaction: &Transaction<'_>, lines: &mut Lines, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    if let [alone] = jobs {
        // Whoever is alone needs no savepoint: its transaction is rolled back as a whole.
        let keep = alone.run(transaction, lines) && !transaction.is_autocommit();
        return if keep { Ok(()) } else { Err(StoreError::Full) };
    }
    for job in jobs {
        let lines_before = lines.count();
        let with_savepoint = !job.is_one_statement();
        if with_savepoint {
            transaction.prepare_cached("SAVEPOINT job")?.execute([])?;
        }
        let keep = job.run(transaction, lines);
        if transaction.is_autocommit() {
            // SQLite rolled the whole transaction back: nothing of the group exists any more.
            return Err(StoreError::Full);
        }
        if !keep {
            lines.truncate(lines_before);
        }
        if with_savepoint && !keep {
            transaction.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        if with_savepoint {
            transaction.prepare_cached("RELEASE job")?.execute([])?;
        }
    }
    Ok(())
}
