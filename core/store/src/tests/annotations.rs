//! What people say of a capture: each field by itself, the later one stands, and it is told.

use super::world::{World, capture};
use crate::{Interest, Store, StoreError, annotations};
use snaptrak_domain::{
    Annotation, CaptureId, DeviceId, EventKind, FieldName, HybridTime, UnixMs,
    annotation::{FIELD_VALUE_BYTES_MAX, FIELDS_MAX},
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

fn field(name: &str, value: Option<&str>) -> (FieldName, Option<String>) {
    (name.parse().unwrap(), value.map(str::to_owned))
}

fn says(store: &Store, id: CaptureId) -> Vec<(String, String)> {
    let annotations = store.show(id).unwrap().annotations;
    annotations.into_iter().map(|one| (one.field.into(), one.value.unwrap())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

fn at(store: &Store, id: CaptureId, name: &str) -> HybridTime {
    let all = store.read(|connection| annotations::all_of_capture(connection, id)).unwrap();
    all.into_iter().find(|one| one.field.as_str() == name).unwrap().at
}

#[test]
fn fields_are_written_replaced_and_removed_and_nothing_else_moves() {
    let world = World::new();
    let store = world.create();
    let (one, other) = (capture(&store, b"one").capture_id, capture(&store, b"other").capture_id);
    store.annotate(one, vec![field("room", Some("12")), field("state", Some("cracked"))]).unwrap();
    store.annotate(one, vec![field("room", Some("14"))]).unwrap();
    assert_eq!(says(&store, one), pairs(&[("room", "14"), ("state", "cracked")]));
    store.annotate(one, vec![field("state", None), field("never", None)]).unwrap();
    assert_eq!(says(&store, one), pairs(&[("room", "14")]));
    assert_eq!(says(&store, other), []);
    store.close().unwrap();
    assert_eq!(says(&world.open(), one), pairs(&[("room", "14")]));
}

#[test]
fn what_is_too_much_or_of_no_capture_is_refused_whole() {
    let world = World::new();
    let store = world.create();
    let id = capture(&store, b"one").capture_id;
    let long = "x".repeat(FIELD_VALUE_BYTES_MAX + 1);
    let answer = store.annotate(id, vec![field("a", Some("said")), field("b", Some(&long))]);
    assert!(matches!(answer, Err(StoreError::Refused { code: "too_large" })), "{answer:?}");
    store.annotate(id, vec![field("b", Some(&long[1..]))]).unwrap();
    let many = (0..FIELDS_MAX).map(|number| field(&format!("f{number}"), Some("said"))).collect();
    let answer = store.annotate(id, many);
    assert!(matches!(answer, Err(StoreError::Refused { code: "too_many_fields" })), "{answer:?}");
    assert_eq!(says(&store, id).len(), 1);
    let answer = store.annotate(CaptureId::from_bytes([9; 16]), vec![field("a", Some("said"))]);
    assert!(matches!(answer, Err(StoreError::Missing { what: "capture" })), "{answer:?}");
}

#[test]
fn a_clock_that_goes_back_does_not_lose_what_was_written_last() {
    let world = World::new();
    let store = world.create();
    let id = capture(&store, b"one").capture_id;
    store.annotate(id, vec![field("room", Some("12"))]).unwrap();
    let first = at(&store, id, "room");
    world.clock.set_wall_ms(1_000);
    store.annotate(id, vec![field("room", Some("14"))]).unwrap();
    let second = at(&store, id, "room");
    assert!(second > first && second.unix_ms == first.unix_ms, "{first:?} {second:?}");
    store.annotate(id, vec![field("room", Some("14"))]).unwrap();
    assert_eq!(at(&store, id, "room"), second, "what stands there already is not written again");
}

/// The journal may be read twice, and another device's value may arrive after a later one.
#[test]
fn of_two_values_of_a_field_the_later_stands_in_whatever_order_they_come() {
    let world = World::new();
    let store = world.create();
    let id = capture(&store, b"one").capture_id;
    let written = |value: Option<&str>, unix_ms, count, device| Annotation {
        field: "room".parse().unwrap(),
        value: value.map(str::to_owned),
        at: HybridTime { unix_ms: UnixMs(unix_ms), count, device_id: DeviceId::from_bytes([device; 16]) },
    };
    let values = [
        written(Some("12"), 1, 0, 1),
        written(Some("13"), 2, 0, 1),
        written(Some("14"), 2, 0, 2),
        written(Some("15"), 2, 1, 1),
        written(None, 3, 0, 1),
    ];
    let stands = |order: &[usize]| {
        let annotations = order.iter().map(|place| values[*place].clone()).collect::<Vec<_>>();
        store
            .write(move |tx| {
                crate::rows::change(tx, "DELETE FROM annotation", [])?;
                annotations.iter().try_for_each(|one| annotations::keep(tx, id, one))
            })
            .unwrap();
        store.read(|connection| annotations::all_of_capture(connection, id)).unwrap()
    };
    for (order, expected) in [
        (vec![0, 1, 2], 2),
        (vec![2, 1, 0], 2),
        (vec![3, 2, 1], 3),
        (vec![2, 3, 0], 3),
        (vec![4, 3], 4),
        (vec![3, 4, 0, 3], 4),
    ] {
        assert_eq!(stands(&order), [values[expected].clone()], "{order:?}");
    }
}

#[test]
fn who_watches_is_told_of_the_capture_once_and_not_of_what_changes_nothing() {
    let world = World::new();
    let store = world.create();
    let captured = capture(&store, b"one");
    let id = captured.capture_id;
    let watcher = store.watch(Interest::Events).unwrap();
    store.annotate(id, vec![field("a", Some("1")), field("b", Some("2"))]).unwrap();
    store.annotate(id, vec![field("b", Some("3"))]).unwrap();
    let told = watcher.wait(&snaptrak_domain::CancelToken::new()).unwrap().unwrap().events;
    let told: Vec<_> = told.iter().map(|event| (event.kind, event.capture_id, event.asset_id, event.state)).collect();
    assert_eq!(told, [(EventKind::Annotated, id, captured.asset_id, captured.state)]);
    store.annotate(id, vec![field("b", Some("3"))]).unwrap();
    store.annotate(id, vec![field("none", None)]).unwrap();
    let next = pin!(watcher.next()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(next, Poll::Pending), "{next:?}");
}
