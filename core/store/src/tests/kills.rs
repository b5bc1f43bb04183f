//! The state of a store at each step at which a capture can be killed, put there by hand, and the next opening.

use super::world::{World, capture, contents, copy_folder, plain, read_all};
use crate::{Store, layout, rows};
use snaptrak_domain::{AssetId, KeyClass, KeyStoreError};
use std::{fs, path::PathBuf};

/// An empty store that is closed, and the folder of a capture of 70,000 bytes that its rows know nothing of.
fn killed_before_rows() -> (World, AssetId, Vec<u8>, PathBuf) {
    let world = World::new();
    world.create().close().unwrap();
    let before = world.path.with_file_name("before");
    copy_folder(&world.path, &before);
    let store = world.open();
    let bytes = plain(70_000);
    let captured = capture(&store, &bytes);
    let asset = store.layout().settled_asset(captured.asset_id);
    store.close().unwrap();
    let folder = world.path.with_file_name("asset");
    copy_folder(&asset, &folder);
    fs::remove_dir_all(&world.path).unwrap();
    fs::rename(before, &world.path).unwrap();
    let incoming = world.path.join("incoming").join(captured.asset_id.to_string());
    fs::rename(folder, &incoming).unwrap();
    (world, captured.asset_id, bytes, incoming)
}

fn captures(store: &Store) -> u64 {
    store
        .read(|connection| rows::only(connection, "SELECT count(*) FROM capture", [], |row| rows::count(row, 0)))
        .unwrap()
}

fn steps(store: &Store) -> u64 {
    store.read(|connection| rows::only(connection, "SELECT count(*) FROM step", [], |row| rows::count(row, 0))).unwrap()
}

#[test]
fn killed_while_sealing_it_is_swept() {
    for names in [&[][..], &["00000000.piece"], &["00000000.piece", "envelope.json.new"]] {
        let (world, _, _, incoming) = killed_before_rows();
        let piece = fs::read(incoming.join("00000000.piece")).unwrap();
        fs::remove_file(incoming.join("envelope.json")).unwrap();
        fs::remove_file(incoming.join("00000000.piece")).unwrap();
        for name in names {
            fs::write(incoming.join(name), &piece[..1_000]).unwrap();
        }
        let store = world.open();
        assert!(!incoming.exists());
        assert_eq!(captures(&store), 0);
    }
}

#[test]
fn killed_between_envelope_and_rows_it_is_adopted_once() {
    let (world, asset_id, bytes, _) = killed_before_rows();
    let store = world.open();
    assert_eq!((captures(&store), steps(&store)), (1, 4));
    assert_eq!(read_all(&store, asset_id), bytes);
    assert_eq!(store.receipts(0, 10).unwrap().len(), 1);
    store.close().unwrap();
    let store = world.open();
    assert_eq!((captures(&store), store.receipts(0, 10).unwrap().len()), (1, 1));
    assert!(store.layout().settled_asset(asset_id).exists());
    assert_eq!(read_all(&store, asset_id), bytes);
}

#[test]
fn without_a_viewing_key_it_waits_for_another_opening() {
    let (world, asset_id, bytes, incoming) = killed_before_rows();
    world.key_store.answer(KeyClass::Viewing, Some(KeyStoreError::NeedsUser { wrong_answer: false }));
    let store = world.open();
    assert_eq!(captures(&store), 0);
    store.close().unwrap();
    assert!(incoming.join("envelope.json").exists(), "nothing is deleted because it could not be opened");
    world.key_store.answer(KeyClass::Viewing, None);
    assert_eq!(read_all(&world.open(), asset_id), bytes);
}

#[test]
fn what_cannot_be_understood_stays_where_it_is() {
    let (world, _, _, incoming) = killed_before_rows();
    let path = incoming.join("envelope.json");
    let envelope = fs::read(&path).unwrap();
    fs::write(&path, &envelope[..envelope.len() / 2]).unwrap();
    fs::create_dir(world.path.join("incoming/not-ours")).unwrap();
    let before = contents(&world.path.join("incoming"));
    let store = world.open();
    assert_eq!(captures(&store), 0);
    store.close().unwrap();
    assert_eq!(contents(&world.path.join("incoming")), before);
    assert!(world.path.join("incoming/not-ours").exists());
}

#[test]
fn killed_around_the_move_it_is_finished() {
    for moved in [false, true] {
        let world = World::new();
        let store = world.create();
        let bytes = plain(1_000);
        let asset_id = capture(&store, &bytes).asset_id;
        store.close().unwrap();
        let store = world.open();
        store
            .write(move |transaction| {
                rows::change(transaction, "UPDATE asset SET in_incoming = 1", [])?;
                Ok(())
            })
            .unwrap();
        let (incoming, settled) = (store.layout().incoming_asset(asset_id), store.layout().settled_asset(asset_id));
        if !moved {
            fs::rename(&settled, &incoming).unwrap();
        }
        assert_eq!(read_all(&store, asset_id), bytes, "readable in either place");
        store.close().unwrap();
        assert!(settled.join(layout::ENVELOPE_NAME).exists() && !incoming.exists());
        let store = world.open();
        let in_incoming = store.read(|connection| {
            rows::only(connection, "SELECT count(*) FROM asset WHERE in_incoming = 1", [], |row| rows::count(row, 0))
        });
        assert_eq!(in_incoming.unwrap(), 0);
        assert_eq!(read_all(&store, asset_id), bytes);
    }
}

#[test]
fn a_journal_line_that_was_cut_does_not_spoil_the_next() {
    let world = World::new();
    let store = world.create();
    store.note(crate::CaptureRequest::default(), "first").unwrap();
    store.close().unwrap();
    let path = world.path.join("journal/00000001.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let store = world.open();
    store.note(crate::CaptureRequest::default(), "second").unwrap();
    store.close().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole[..whole.len() - 10]);
    let next = fs::read_to_string(path.with_file_name("00000002.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = next.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["type"], "key");
    let note = lines.iter().find(|line| line["type"] == "note").unwrap();
    assert!(note["envelope"].as_str().unwrap().ends_with("\"}\n"), "the envelope's exact bytes");
}
