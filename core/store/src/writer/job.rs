//! One closure on its way through the writer, and the transaction that it shares with others.

use super::{WriteSide, WriteTransaction};
use crate::{StoreError, journal::Lines};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

/// Where a caller finds its answer.
pub(super) struct Answer<T>(Mutex<Option<Result<T, StoreError>>>);

impl<T> Answer<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn give(&self, result: Result<T, StoreError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    /// What was given; nothing is, where the store was closed first.
    pub(super) fn take(&self) -> Result<T, StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(Err(StoreError::Closed))
    }
}

/// A closure that anyone can run.
pub(super) trait Job: Send {
    /// Runs the closure and keeps its answer; whether its changes are to be kept.
    fn run(&mut self, transaction: &WriteTransaction<'_>, lines: &mut Lines) -> bool;
    /// Whether the closure changes rows by no more than one statement, which SQLite takes back by itself if it fails.
    fn is_one_statement(&self) -> bool;
    /// Answers with the error of the whole group, unless the closure has failed with one of its own.
    fn fail(&mut self, error: StoreError);
    /// Gives the answer to the caller.
    fn answer(self: Box<Self>);
}

struct Closure<T, F> {
    work: Option<F>,
    one_statement: bool,
    result: Result<T, StoreError>,
    answer: Arc<Answer<T>>,
}

/// A closure as a job.
pub(super) fn job<T, F>(work: F, one_statement: bool, answer: &Arc<Answer<T>>) -> Box<dyn Job>
where
    T: Send + 'static,
    F: FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError> + Send + 'static,
{
    let answer = Arc::clone(answer);
    Box::new(Closure { work: Some(work), one_statement, result: Err(StoreError::Closed), answer })
}

impl<T, F> Job for Closure<T, F>
where
    T: Send,
    F: FnOnce(&WriteTransaction<'_>, &mut Lines) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, transaction: &WriteTransaction<'_>, lines: &mut Lines) -> bool {
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
        self.answer.give(self.result);
    }
}

/// Runs the jobs in one transaction and answers all of them.
pub(super) fn commit(side: &mut WriteSide, mut jobs: Vec<Box<dyn Job>>) {
    let committed =
        catch_unwind(AssertUnwindSafe(|| side.transact(|transaction, lines| run_all(transaction, lines, &mut jobs))));
    if let Err(error) = committed.unwrap_or(Err(StoreError::Panicked)) {
        for job in &mut jobs {
            job.fail(error.clone());
        }
    }
    for job in jobs {
        job.answer();
    }
}

fn run_all(transaction: &WriteTransaction<'_>, lines: &mut Lines, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    if let [alone] = jobs {
        // Whoever is alone needs no savepoint: its transaction is rolled back as a whole.
        let keep = alone.run(transaction, lines) && !transaction.is_autocommit();
        return if keep { Ok(()) } else { Err(StoreError::Full) };
    }
    for job in jobs {
        let (lines_before, announced_before) = (lines.count(), transaction.announced());
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
            transaction.take_back(announced_before);
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
