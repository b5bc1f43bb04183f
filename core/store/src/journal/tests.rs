//! What is written can be read, by the device and by whoever it is wrapped for; what is cut, full, old or changed begins anew.

use super::{
    Entry, Journal, Line, Lines, file_name,
    key::{KeyLine, LineKey},
    numbers,
};
use crate::{
    CaptureRequest, Store, StoreError,
    tests::world::{World, capture},
};
use snaptrak_domain::{AssetId, CaptureId, OrganisationId, queue_store};
use snaptrak_seal::{KemAlgorithm, RecipientPrivateKey};
use snaptrak_testkit::SeededRandom;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Seek, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

fn keep(number: u8) -> Entry {
    Entry::Keep { capture_id: CaptureId::from_bytes([number; 16]), pinned: true, viewed_ms: None }
}

fn lines(entries: &[Entry]) -> Lines {
    Lines::from(entries.to_vec())
}

/// A journal beside a store's, under the same keys.
fn beside(world: &World, store: &Store) -> Journal {
    let folder = world.path.with_file_name("journal");
    fs::create_dir_all(&folder).unwrap();
    Journal::new(folder, world.clock.clone(), Arc::clone(&store.inner.sealer))
}

/// Every whole line of a folder in order, by file.
fn files(folder: &Path) -> Vec<Vec<Line>> {
    let read = |number| {
        let text = fs::read(folder.join(file_name(number))).unwrap();
        text.split(|byte| *byte == b'\n').filter_map(Line::parse).collect()
    };
    numbers(folder).unwrap().into_iter().map(read).collect()
}

/// Every entry of a folder but `Device`, with its number, opened with what `open` says is the key of a key line.
fn entries(folder: &Path, open: impl Fn(&KeyLine) -> Option<LineKey>) -> Vec<(u64, Entry)> {
    let (mut keys, mut found) = (BTreeMap::<AssetId, LineKey>::new(), Vec::new());
    for line in files(folder).into_iter().flatten() {
        match line {
            Line::Key(line) => {
                keys.insert(line.id, open(&line).unwrap());
            }
            Line::Sealed(line) => {
                let entry = Entry::from_json(&keys[&line.key].open(&line).unwrap()).unwrap();
                found.push((line.n, entry));
            }
            Line::Note { .. } | Line::Unknown => {}
        }
    }
    found.retain(|(_, entry)| !matches!(entry, Entry::Device { .. }));
    found
}

fn here(store: &Store) -> impl Fn(&KeyLine) -> Option<LineKey> {
    |line| line.open_here(&store.inner.keys)
}

fn recipient(seed: u64, role: queue_store::RecipientRole) -> (RecipientPrivateKey, queue_store::Recipient) {
    let private = RecipientPrivateKey::generate(KemAlgorithm::XWing, &SeededRandom::new(seed)).unwrap();
    let recipient = queue_store::Recipient {
        role,
        organisation_id: OrganisationId::from_bytes([8; 16]),
        algorithm: "x-wing".to_owned(),
        public: private.public_key().as_bytes().to_vec(),
    };
    (private, recipient)
}

#[test]
fn lines_count_on_across_processes_and_each_opens_in_its_own_place_only() {
    let world = World::new();
    let store = world.create();
    for number in 0..3 {
        let mut journal = beside(&world, &store);
        journal.append(lines(&[keep(2 * number), keep(2 * number + 1)])).unwrap();
        journal.sync().unwrap();
    }
    let folder = world.path.with_file_name("journal");
    let found = entries(&folder, here(&store));
    assert_eq!(found, (0..6).map(|number| (u64::from(number) + 1, keep(number))).collect::<Vec<_>>());
    let [lines] = files(&folder).try_into().unwrap();
    let Some(Line::Key(key)) = lines.first() else { panic!("a file begins with its key") };
    let key = key.open_here(&store.inner.keys).unwrap();
    let Some(Line::Sealed(moved)) = lines.last() else { panic!("a sealed line") };
    let moved = super::line::SealedLine { n: moved.n - 1, ..moved.clone() };
    assert_eq!(key.open(&moved), None, "a line that was moved does not open");
}

#[test]
fn recovery_opens_it_alone_and_other_recipients_begin_another_file() {
    let world = World::new();
    let store = world.create();
    let mut journal = beside(&world, &store);
    journal.append(lines(&[keep(1)])).unwrap();
    let (organisation, first) = recipient(10, queue_store::RecipientRole::Organisation);
    let (recovery, second) = recipient(11, queue_store::RecipientRole::Recovery);
    store.set_recipients(vec![first.clone(), second.clone()]);
    journal.append(lines(&[keep(2)])).unwrap();
    // The same ones again, and an opening at which nobody has said yet who they are.
    store.set_recipients(vec![second.clone(), first.clone()]);
    journal.append(lines(&[keep(3)])).unwrap();
    store.set_recipients(Vec::new());
    let mut journal = beside(&world, &store);
    journal.append(lines(&[keep(4)])).unwrap();
    store.set_recipients(vec![first]);
    journal.append(lines(&[keep(5)])).unwrap();

    let folder = world.path.with_file_name("journal");
    assert_eq!(numbers(&folder).unwrap(), [1, 2, 3]);
    assert_eq!(entries(&folder, here(&store)).len(), 5);
    fs::remove_file(folder.join(file_name(1))).unwrap();
    fs::remove_file(folder.join(file_name(3))).unwrap();
    for private in [organisation, recovery] {
        let found = entries(&folder, |line| line.open_with(&private).ok());
        assert_eq!(found, [(1, keep(2)), (2, keep(3)), (3, keep(4))]);
    }
    let (stranger, _) = recipient(12, queue_store::RecipientRole::Recovery);
    let [lines] = files(&folder).try_into().unwrap();
    let Some(Line::Key(key)) = lines.first() else { panic!("a file begins with its key") };
    assert!(key.open_with(&stranger).is_err());
}

#[test]
fn a_line_that_was_cut_and_a_file_of_version_one_are_left_as_they_are() {
    let world = World::new();
    let store = world.create();
    let folder = world.path.with_file_name("journal");
    fs::create_dir(&folder).unwrap();
    let old = b"{\"type\":\"note\",\"envelope\":\"e\",\"pieces\":[\"cA==\"]}\n";
    fs::write(folder.join(file_name(1)), old).unwrap();
    beside(&world, &store).append(lines(&[keep(1), keep(2)])).unwrap();
    let whole = fs::read(folder.join(file_name(2))).unwrap();
    for cut in [1, 10, whole.len() - 5] {
        fs::write(folder.join(file_name(2)), &whole[..whole.len() - cut]).unwrap();
        let mut journal = beside(&world, &store);
        journal.append(lines(&[keep(3)])).unwrap();
        journal.append(lines(&[keep(4)])).unwrap();
        assert_eq!(numbers(&folder).unwrap(), [1, 2, 3], "{cut}");
        assert_eq!(fs::read(folder.join(file_name(1))).unwrap(), old);
        assert_eq!(fs::read(folder.join(file_name(2))).unwrap(), whole[..whole.len() - cut]);
        let found = entries(&folder, here(&store));
        assert!(found.ends_with(&[(1, keep(3)), (2, keep(4))]), "{cut}");
        fs::remove_file(folder.join(file_name(3))).unwrap();
    }
}

#[test]
fn a_file_with_enough_in_it_is_followed_by_another() {
    let world = World::new();
    let store = world.create();
    let mut journal = beside(&world, &store);
    journal.append(lines(&[keep(1)])).unwrap();
    let mut notes = Lines::default();
    notes.note(b"envelope", &vec![b'x'; usize::try_from(super::FILE_BYTES_MAX).unwrap()]);
    journal.append(notes).unwrap();
    journal.append(lines(&[keep(2)])).unwrap();
    let folder = world.path.with_file_name("journal");
    assert_eq!(numbers(&folder).unwrap(), [1, 2]);
    assert_eq!(entries(&folder, here(&store)), [(1, keep(1)), (1, keep(2))]);
}

#[test]
fn far_behind_long_lines_the_count_is_found() {
    let world = World::new();
    let store = world.create();
    let mut journal = beside(&world, &store);
    journal.append(lines(&[keep(1), keep(2)])).unwrap();
    for _ in 0..3 {
        let mut notes = Lines::default();
        notes.note(b"envelope", &[b'x'; 150_000]);
        journal.append(notes).unwrap();
    }
    beside(&world, &store).append(lines(&[keep(3)])).unwrap();
    let folder = world.path.with_file_name("journal");
    assert_eq!(entries(&folder, here(&store)).last(), Some(&(3, keep(3))));
}

#[test]
fn what_a_full_disk_does_not_take_leaves_nothing() {
    let world = World::new();
    let store = world.create();
    let mut journal = beside(&world, &store);
    journal.append(lines(&[keep(1)])).unwrap();
    let folder = world.path.with_file_name("journal");
    let before = fs::read(folder.join(file_name(1))).unwrap();
    // Half of a group reached the file.
    let mut half = journal.end.as_ref().unwrap().file.try_clone().unwrap();
    half.write_all(b"{\"type\":\"seal").unwrap();
    journal.end.as_mut().unwrap().take_back().unwrap();
    assert_eq!(fs::read(folder.join(file_name(1))).unwrap(), before);
    assert_eq!(half.stream_position().unwrap(), before.len() as u64);
    // Nothing can be written, nor taken back.
    journal.end.as_mut().unwrap().file = File::options().write(true).open("/dev/full").unwrap();
    assert!(matches!(journal.append(lines(&[keep(2)])), Err(StoreError::Full)));
    assert_eq!(fs::read(folder.join(file_name(1))).unwrap(), before);
    journal.append(lines(&[keep(3)])).unwrap();
    assert_eq!(entries(&folder, here(&store)), [(1, keep(1)), (2, keep(3))]);
}

#[test]
fn without_its_line_no_row_is_committed_and_a_row_that_fails_has_no_line() {
    let world = World::new();
    let store = world.create();
    let journal = world.path.join("journal");
    fs::remove_dir(&journal).unwrap();
    let write = |number: u8, fails: bool| {
        store.write_journaled(vec![keep(number)], move |transaction| {
            crate::rows::change(transaction, "INSERT INTO last_success VALUES (?1, 0)", [number.to_string()])?;
            if fails { Err(StoreError::Refused { code: "test" }) } else { Ok(()) }
        })
    };
    assert!(matches!(write(1, false), Err(StoreError::Io { .. })));
    fs::create_dir(&journal).unwrap();
    assert!(matches!(write(2, true), Err(StoreError::Refused { .. })));
    write(3, false).unwrap();
    let sql = "SELECT kind FROM last_success";
    let rows: Vec<String> =
        store.read(|connection| crate::rows::all(connection, sql, [], |row| Ok(row.get(0)?))).unwrap();
    assert_eq!(rows, ["3"]);
    assert_eq!(entries(&journal, here(&store)), [(1, keep(3))]);
}

#[test]
fn signed_receipts_and_the_device_are_in_it() {
    let world = World::new();
    let store = world.create();
    let photo = capture(&store, b"\xff\xd8\xff");
    let note = store.note(CaptureRequest::default(), "note").unwrap();
    store.sign_pending().unwrap();
    store.sign_pending().unwrap();
    let journal = world.path.join("journal");
    let mut expected = store.receipts(0, 10).unwrap();
    let mut found = Vec::new();
    for (_, entry) in entries(&journal, here(&store)) {
        if let Entry::Receipt { asset_id, sequence, payload, signed, .. } = entry {
            let signed = signed.map(|signed| signed.0);
            let payload = payload.0;
            found.push(crate::StoredReceipt { sequence, asset_id, payload, signed, countersigned: None });
        }
    }
    expected.sort_by_key(|receipt| receipt.sequence);
    assert_eq!(found, expected, "each signed once");
    assert_eq!(found.iter().map(|receipt| receipt.asset_id).collect::<Vec<_>>(), [photo.asset_id, note.asset_id]);
    let device = files(&journal).into_iter().flatten().find_map(|line| match line {
        Line::Sealed(line) if line.n == 0 => Some(line),
        Line::Sealed(_) | Line::Key(_) | Line::Note { .. } | Line::Unknown => None,
    });
    let Some(Line::Key(key)) = files(&journal).into_iter().flatten().next() else { panic!("a key line") };
    let key = key.open_here(&store.inner.keys).unwrap();
    let device = Entry::from_json(&key.open(&device.unwrap()).unwrap()).unwrap();
    let signing_public = super::Base64(store.signing_public_key().to_vec());
    assert_eq!(device, Entry::Device { device_id: store.device_id(), signing_public });
}

/// The system drops what it could not write, says so once, and the next sync succeeds.
#[test]
fn what_a_failed_sync_dropped_is_written_again() {
    let world = World::new();
    let store = world.create();
    let mut journal = beside(&world, &store);
    journal.append(lines(&[keep(1)])).unwrap();
    journal.sync().unwrap();
    let path = journal.folder.join(file_name(1));
    let synced = fs::metadata(&path).unwrap().len();
    journal.append(lines(&[keep(2)])).unwrap();
    journal.append(lines(&[keep(3)])).unwrap();
    let whole = fs::read(&path).unwrap();
    // A device that has nothing to sync refuses to.
    let own = std::mem::replace(&mut journal.end.as_mut().unwrap().file, File::open("/dev/null").unwrap());
    assert!(matches!(journal.sync(), Err(StoreError::Io { .. })));
    journal.end.as_mut().unwrap().file = own;
    let dropped = vec![0; whole.len() - usize::try_from(synced).unwrap()];
    File::options().write(true).open(&path).unwrap().write_all_at(&dropped, synced).unwrap();
    journal.append(lines(&[keep(4)])).unwrap();
    journal.sync().unwrap();
    assert!(fs::read(&path).unwrap().starts_with(&whole));
    let found: Vec<Entry> = entries(&journal.folder, here(&store)).into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(found, [1, 2, 3, 4].map(keep));
}
