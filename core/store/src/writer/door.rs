//! Where callers meet: who comes while others are being committed for joins one group, and the first of it commits for all.
//!
//! Owns who leads and who waits. Refuses to know what a job does.

use super::job::Job;
use crate::StoreError;
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Jobs in one transaction: 256 notes of 64 KiB are 16 MiB of write-ahead log. Who comes when as many wait holds the door.
const GROUP_JOBS_MAX: usize = 256;

/// Those who share a transaction wait here for its end.
#[derive(Default)]
struct Group {
    has_ended: Mutex<bool>,
    ended: Condvar,
}

/// What a caller is to do.
pub(super) enum Turn {
    /// It is the first of its group: when it has the write side it takes all of the group and commits.
    Lead(Lead),
    /// Someone commits for it.
    Wait(Wait),
}

/// The right, and the duty, to take a group and to end it.
pub(super) struct Lead(Arc<Group>);

/// A place in a group that another one leads.
pub(super) struct Wait(Arc<Group>);

#[derive(Default)]
struct Inside {
    /// The group that can still be joined. Nobody leads two.
    open: Option<Arc<Group>>,
    jobs: Vec<Box<dyn Job>>,
    /// Groups that have not ended.
    groups: usize,
    is_closed: bool,
}

#[derive(Default)]
pub(super) struct Door {
    inside: Mutex<Inside>,
    /// Tells those who hold the door, and whoever closes it, that something has changed.
    changed: Condvar,
    /// Jobs that nobody has taken yet.
    waiting: AtomicUsize,
}

impl Door {
    /// Joins the open group or begins one.
    pub(super) fn enter(&self, job: Box<dyn Job>) -> Result<Turn, StoreError> {
        let mut inside = self.inside();
        while inside.jobs.len() >= GROUP_JOBS_MAX {
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        if inside.is_closed {
            return Err(StoreError::Closed);
        }
        inside.jobs.push(job);
        self.waiting.store(inside.jobs.len(), Ordering::SeqCst);
        if let Some(group) = &inside.open {
            return Ok(Turn::Wait(Wait(Arc::clone(group))));
        }
        let group = Arc::<Group>::default();
        inside.open = Some(Arc::clone(&group));
        inside.groups += 1;
        Ok(Turn::Lead(Lead(group)))
    }

    /// How many wait for someone to take them.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Takes everyone of the leader's group; who comes from now on begins another one.
    pub(super) fn take(&self, _lead: &Lead) -> Vec<Box<dyn Job>> {
        let mut inside = self.inside();
        inside.open = None;
        let jobs = std::mem::take(&mut inside.jobs);
        self.waiting.store(0, Ordering::SeqCst);
        if jobs.len() >= GROUP_JOBS_MAX {
            self.changed.notify_all();
        }
        jobs
    }

    /// Lets the group go: every job of it has its answer.
    pub(super) fn end(&self, lead: Lead) {
        let Lead(group) = lead;
        *group.has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        group.ended.notify_all();
        let mut inside = self.inside();
        inside.groups -= 1;
        if inside.is_closed {
            self.changed.notify_all();
        }
    }

    /// Lets nobody in any more and waits until everyone who came before has an answer.
    pub(super) fn close(&self) {
        let mut inside = self.inside();
        inside.is_closed = true;
        while inside.groups > 0 {
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait {
    /// Returns when the job has its answer.
    pub(super) fn until_ended(self) {
        let mut has_ended = self.0.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*has_ended {
            has_ended = self.0.ended.wait(has_ended).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
