//! Captures are durable, readable and nothing else.

use super::world::{World, capture, contents, files, plain, read_all};
use crate::{CaptureRequest, StoreError, rows};
use snaptrak_domain::{AssetState, Kind, Location, Rendition};
use snaptrak_seal::{FIRST_PREVIOUS, ReceiptClaims, UntrustedReceipt, sha256};
use std::{
    io::{self, Read},
    os::unix::fs::PermissionsExt,
};

#[test]
fn what_went_in_comes_out_after_closing_and_opening() {
    let world = World::new();
    let store = world.create();
    let bytes = [b"\xff\xd8\xff\xe0".as_slice(), &plain(200_000)].concat();
    let photo = capture(&store, &bytes);
    let note = store.note(CaptureRequest::default(), "Riss im Pfeiler").unwrap();
    assert_eq!((photo.kind, photo.state), (Kind::Photo, AssetState::Saved));
    assert_eq!((note.kind, note.state, note.bytes), (Kind::Note, AssetState::Prepared, 15));
    assert_eq!(photo.sha256, sha256(&bytes));
    assert_eq!(read_all(&store, photo.asset_id), bytes);
    assert_eq!(world.key_store.viewing_opened(), 0, "what was just captured needs no viewing key");
    store.close().unwrap();
    let store = world.open();
    assert_eq!(read_all(&store, photo.asset_id), bytes);
    assert_eq!(read_all(&store, note.asset_id), "Riss im Pfeiler".as_bytes());
    assert_eq!(world.key_store.viewing_opened(), 1);
    let receipts = store.receipts(0, 10).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.sequence).collect::<Vec<_>>(), [1, 2]);
    assert!(receipts.iter().all(|receipt| receipt.signed.is_some()), "closing signs what waits");
}

#[test]
fn an_empty_source_is_refused_and_leaves_nothing() {
    let world = World::new();
    let store = world.create();
    let refused = store.capture(CaptureRequest::default(), &mut std::io::empty());
    assert!(matches!(refused, Err(StoreError::Refused { code: "empty" })));
    assert_eq!(std::fs::read_dir(world.path.join("incoming")).unwrap().count(), 0);
    assert!(store.receipts(0, 10).unwrap().is_empty());
}

/// Gives so many bytes and then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.min(buffer.len());
        buffer[..count].fill(b'x');
        self.0 -= count;
        if count == 0 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(count) }
    }
}

#[test]
fn a_source_that_fails_leaves_nothing() {
    let world = World::new();
    let store = world.create();
    for bytes in [0, 10, 2_000_000] {
        let failed = store.capture(CaptureRequest::default(), &mut Failing(bytes));
        assert!(matches!(failed, Err(StoreError::Source { .. })), "{bytes}");
    }
    assert_eq!(std::fs::read_dir(world.path.join("incoming")).unwrap().count(), 0);
    assert!(store.receipts(0, 10).unwrap().is_empty());
}

#[test]
fn seventy_mebibytes_are_three_pieces() {
    let world = World::new();
    let store = world.create();
    let bytes = plain(70 * 1024 * 1024);
    let captured = capture(&store, &bytes);
    assert_eq!((captured.bytes, captured.sha256), (bytes.len() as u64, sha256(&bytes)));
    store.close().unwrap();
    let store = world.open();
    let lengths: Vec<u64> = store
        .read(|connection| {
            rows::all(connection, "SELECT bytes FROM piece ORDER BY piece_index", [], |row| rows::count(row, 0))
        })
        .unwrap();
    assert_eq!(lengths, [33_554_432, 33_554_432, 6_291_456]);
    let mut reader = store.reader(captured.asset_id).unwrap();
    // Across the edge of two pieces, at the end, and behind it.
    let mut window = vec![0; 100_000];
    for offset in [33_554_432 - 50_000, 0, bytes.len() - 10, bytes.len() + 5] {
        let read = reader.read_at(offset as u64, &mut window).unwrap();
        let expected = bytes.get(offset..).unwrap_or_default();
        assert_eq!(read, expected.len().min(window.len()));
        assert!(window[..read] == expected[..read], "{offset}");
    }
}

#[test]
fn lengths_around_segment_and_piece_edges_come_back() {
    let world = World::new();
    let store = world.create();
    let all = plain(33_554_433);
    for length in [1, 65_479, 65_480, 65_481, 131_000, 524_287, 524_288, 524_289, 33_554_432, 33_554_433] {
        let captured = capture(&store, &all[..length]);
        assert!(read_all(&store, captured.asset_id) == all[..length], "{length}");
        assert_eq!(captured.sha256, sha256(&all[..length]), "{length}");
    }
}

#[test]
fn ten_threads_are_all_durable_and_the_chain_has_no_gap() {
    const THREADS: usize = 10;
    const EACH: usize = 8;
    let world = World::new();
    let store = world.create();
    let captured: Vec<_> = std::thread::scope(|scope| {
        let one = |thread: usize| {
            let store = store.clone();
            scope.spawn(move || {
                let text = |number| format!("note {thread} {number}");
                let notes = (0..EACH).map(|number| store.note(CaptureRequest::default(), &text(number)).unwrap());
                let files = (0..EACH).map(|number| capture(&store, text(number).as_bytes()));
                notes.chain(files).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..THREADS).map(one).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    store.close().unwrap();
    let store = world.open();
    let receipts = store.receipts(0, 1_000).unwrap();
    assert_eq!(receipts.len(), captured.len());
    let mut previous = FIRST_PREVIOUS;
    for (place, receipt) in receipts.iter().enumerate() {
        let claims = ReceiptClaims::from_payload(&receipt.payload).unwrap();
        assert_eq!((claims.sequence, claims.previous), (place as u64 + 1, previous));
        previous = sha256(&receipt.payload);
        let signed = UntrustedReceipt::parse(receipt.signed.as_deref().unwrap()).unwrap();
        assert_eq!(signed.verify(&store.signing_public_key()).unwrap(), claims);
    }
    for one in captured {
        assert_eq!(sha256(&read_all(&store, one.asset_id)), one.sha256);
    }
}

#[test]
fn one_failing_write_does_not_spoil_its_group() {
    let world = World::new();
    let store = world.create();
    std::thread::scope(|scope| {
        for number in 0..32 {
            let store = store.clone();
            scope.spawn(move || {
                let result = store.write(move |transaction| {
                    rows::change(transaction, "INSERT INTO last_success VALUES (?1, 0)", [number.to_string()])?;
                    match number % 3 {
                        0 => Err(StoreError::Refused { code: "test" }),
                        1 => panic!("a panic in one write"),
                        _ => Ok(number),
                    }
                });
                match number % 3 {
                    0 => assert!(matches!(result, Err(StoreError::Refused { code: "test" }))),
                    1 => assert!(matches!(result, Err(StoreError::Panicked))),
                    _ => assert_eq!(result.unwrap(), number),
                }
            });
        }
    });
    let kept = store
        .read(|connection| rows::only(connection, "SELECT count(*) FROM last_success", [], |row| rows::count(row, 0)));
    assert_eq!(kept.unwrap(), 10, "those that neither failed nor panicked");
}

#[test]
fn nobody_else_may_enter_or_read() {
    let world = World::new();
    let store = world.create();
    capture(&store, b"\xff\xd8\xff");
    store.note(CaptureRequest::default(), "note").unwrap();
    let check = || {
        for path in files(&world.path) {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
            for folder in path.ancestors().take_while(|folder| folder.starts_with(&world.path)).skip(1) {
                assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{folder:?}");
            }
        }
    };
    check();
    store.close().unwrap();
    check();
}

#[test]
fn nothing_that_a_person_wrote_lies_in_clear() {
    const CANARY: &str = "canary-4f1d";
    let world = World::new();
    let store = world.create();
    let request = CaptureRequest {
        file_name: Some(CANARY.into()),
        note: Some(CANARY.into()),
        tags: vec![CANARY.into()],
        project: Some(CANARY.into()),
        location: Some(Location { latitude: 48.1, longitude: 11.6, accuracy_m: None }),
        ..CaptureRequest::default()
    };
    let captured = store.capture(request.clone(), &mut CANARY.as_bytes()).unwrap();
    store.note(request, CANARY).unwrap();
    let in_clear = |folder: &std::path::Path| {
        let digest = captured.sha256.to_string();
        let found = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        contents(folder).into_iter().any(|(_, bytes)| found(&bytes, CANARY) || found(&bytes, &digest))
    };
    assert!(!in_clear(&world.path), "while open, the log of the database included");
    store.close().unwrap();
    assert!(!in_clear(&world.path));
}

#[test]
fn the_kind_comes_from_content_unless_the_app_says() {
    let world = World::new();
    let store = world.create();
    let as_kind = |kind, bytes: &[u8]| {
        let request = CaptureRequest { kind, file_name: Some("x.jpg".into()), ..CaptureRequest::default() };
        store.capture(request, &mut &bytes[..]).unwrap()
    };
    assert_eq!(as_kind(None, b"%PDF-1.7").kind, Kind::Scan);
    assert_eq!(as_kind(None, b"plain text").kind, Kind::File);
    let scan = as_kind(Some(Kind::Scan), b"\xff\xd8\xff");
    assert_eq!((scan.kind, scan.content_type.as_str(), scan.state), (Kind::Scan, "image/jpeg", AssetState::Saved));
    let long_note = as_kind(Some(Kind::Note), &plain(65_537));
    let short_note = as_kind(Some(Kind::Note), &plain(65_536));
    let in_rows =
        |captured: &crate::Captured| store.sealed_piece(captured.asset_id, 0).is_ok_and(|piece| piece.is_row());
    assert_eq!((in_rows(&long_note), in_rows(&short_note)), (false, true));
    assert_eq!(store.asset_of(scan.capture_id, Rendition::Original).unwrap(), scan.asset_id);
}
