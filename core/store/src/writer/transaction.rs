//! A transaction of the writer, and what it will have changed for those who watch the store.

use crate::watch::Changes;
use rusqlite::{Connection, Transaction};
use snaptrak_domain::StoreEvent;
use std::{
    cell::{Cell, RefCell},
    ops::Deref,
};

/// A transaction as closures get it. What they announce is told after the commit, and not at all without one.
pub(crate) struct WriteTransaction<'a> {
    transaction: Transaction<'a>,
    is_watched: bool,
    events: RefCell<Vec<StoreEvent>>,
    queue_moved: Cell<bool>,
}

/// How much a transaction had announced at some moment.
#[derive(Clone, Copy)]
pub(super) struct Announced {
    events: usize,
    queue_moved: bool,
}

impl<'a> WriteTransaction<'a> {
    pub(super) fn new(transaction: Transaction<'a>, is_watched: bool) -> Self {
        Self { transaction, is_watched, events: RefCell::default(), queue_moved: Cell::new(false) }
    }

    /// One of a store that nobody can watch yet.
    pub(crate) fn unwatched(transaction: Transaction<'a>) -> Self {
        Self::new(transaction, false)
    }

    /// Whether someone watches: what has to be looked up for an event alone is looked up then.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Something happens to an asset with this transaction.
    pub(crate) fn announce(&self, event: StoreEvent) {
        if self.is_watched {
            self.events.borrow_mut().push(event);
        }
    }

    /// The queue stands otherwise after this transaction, though perhaps every asset stands where it stood.
    pub(crate) fn announce_queue(&self) {
        self.queue_moved.set(true);
    }

    pub(super) fn announced(&self) -> Announced {
        Announced { events: self.events.borrow().len(), queue_moved: self.queue_moved.get() }
    }

    /// Takes back what was announced since.
    pub(super) fn take_back(&self, to: Announced) {
        self.events.borrow_mut().truncate(to.events);
        self.queue_moved.set(to.queue_moved);
    }

    /// Commits; what is to be told now.
    pub(crate) fn commit(self) -> rusqlite::Result<Changes> {
        let Self { transaction, events, queue_moved, .. } = self;
        transaction.commit()?;
        Ok(Changes { events: events.into_inner(), queue_moved: queue_moved.get() })
    }
}

impl Deref for WriteTransaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}
