//! Many callers and one write side: who comes while it is taken shares one commit, and nobody is forgotten, whatever the
//! others do and whenever the store is closed.

use super::world::World;
use crate::{Store, StoreError, rows, setting};
use std::{sync::mpsc, thread};

/// Callers that come while the write side is taken; more than fit into one group.
const CROWD: usize = 300;

fn set(store: &Store, name: String) -> Result<(), StoreError> {
    store.inner.writer.write(move |transaction, _| {
        let sql = "INSERT INTO setting (name, value) VALUES (?1, 'true')";
        rows::change(transaction, sql, [name]).map(|_| ())
    })
}

/// Runs `meanwhile` while the write side is taken, then lets it go.
pub(crate) fn while_taken(store: &Store, meanwhile: impl FnOnce() + Send) {
    let (taken, is_taken) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    thread::scope(|scope| {
        let holder = scope.spawn(move || {
            store.inner.writer.alone(|_| {
                taken.send(()).unwrap();
                may_go.recv().unwrap();
                Ok(())
            })
        });
        is_taken.recv().unwrap();
        meanwhile();
        go.send(()).unwrap();
        holder.join().unwrap().unwrap();
    });
}

/// Waits until so many stand at the door.
pub(crate) fn until_waiting(store: &Store, count: usize) {
    while store.inner.writer.waiting() < count {
        thread::yield_now();
    }
}

#[test]
fn whoever_comes_meanwhile_shares_one_commit() {
    let world = World::new();
    let store = world.create();
    let before = store.inner.writer.commits();
    thread::scope(|scope| {
        while_taken(&store, || {
            for number in 0..8 {
                let store = &store;
                scope.spawn(move || set(store, format!("test.{number}")).unwrap());
            }
            until_waiting(&store, 8);
        });
    });
    assert_eq!(store.inner.writer.commits() - before, 1);
    let sql = "SELECT count(*) FROM setting WHERE name GLOB 'test.*'";
    assert_eq!(store.read(|connection| rows::only(connection, sql, [], |row| rows::count(row, 0))).unwrap(), 8);
}

#[test]
fn more_than_a_group_holds_wait_at_the_door_and_come_in_later() {
    let world = World::new();
    let store = world.create();
    let before = store.inner.writer.commits();
    thread::scope(|scope| {
        while_taken(&store, || {
            for number in 0..CROWD {
                let store = &store;
                scope.spawn(move || set(store, format!("test.{number}")).unwrap());
            }
            until_waiting(&store, 256);
        });
    });
    assert!(store.inner.writer.commits() - before >= 2);
    let sql = "SELECT count(*) FROM setting WHERE name GLOB 'test.*'";
    let count = store.read(|connection| rows::only(connection, sql, [], |row| rows::count(row, 0))).unwrap();
    assert_eq!(count, CROWD as u64);
}

#[test]
fn a_panic_on_the_write_side_is_an_error_and_the_next_caller_is_served() {
    let world = World::new();
    let store = world.create();
    let panicked = store.inner.writer.alone(|_| -> Result<(), StoreError> { panic!("asked for by the test") });
    assert!(matches!(panicked, Err(StoreError::Panicked)), "{panicked:?}");
    let panicked = store.inner.writer.write(|_, _| -> Result<(), StoreError> { panic!("asked for by the test") });
    assert!(matches!(panicked, Err(StoreError::Panicked)), "{panicked:?}");
    set(&store, "test".to_owned()).unwrap();
    assert_eq!(store.read(|connection| setting::read::<bool>(connection, "test")).unwrap(), Some(true));
}

/// Closed in the middle of a crowd, each of them is told the truth: it is there, or the store was closed.
#[test]
fn closing_answers_everyone_and_keeps_what_was_acknowledged() {
    let world = World::new();
    let store = world.create();
    let kept = thread::scope(|scope| {
        let (began, begun) = mpsc::channel();
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (store, began) = (store.clone(), began.clone());
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for number in 0.. {
                        let name = format!("test.{caller}.{number}");
                        match set(&store, name.clone()) {
                            Ok(()) => kept.push(name),
                            Err(error) => {
                                assert!(matches!(error, StoreError::Closed), "{error:?}");
                                return kept;
                            }
                        }
                        if number == 3 {
                            began.send(()).unwrap();
                        }
                    }
                    kept
                })
            })
            .collect();
        (0..8).for_each(|_| begun.recv().unwrap());
        store.clone().close().unwrap();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<String>>()
    });
    drop(store);
    let store = world.open();
    for name in &kept {
        assert_eq!(store.read(|connection| setting::read::<bool>(connection, name)).unwrap(), Some(true), "{name}");
    }
    let sql = "SELECT count(*) FROM setting WHERE name GLOB 'test.*'";
    let count = store.read(|connection| rows::only(connection, sql, [], |row| rows::count(row, 0))).unwrap();
    assert_eq!(count, kept.len() as u64, "nothing is there of which its caller was told that the store is closed");
}
