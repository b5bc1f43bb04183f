//! Whatever became of database and folder: what is there comes back, what is not is told.

use super::*;

#[test]
fn a_store_without_its_database_comes_back_complete() {
    let world = filled();
    let (captures, chain, order) = before(&world);
    assert_eq!(captures.len(), 4);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!(report, RecoverReport { readable: 4, recovered: 4, keys_kept: true, ..Default::default() });
    assert_eq!(seen(&store), captures.iter().map(queued_is_prepared).collect::<Vec<_>>());
    assert_eq!(captures.iter().filter(|seen| seen.annotations.len() == 1).count(), 2);
    assert_eq!(receipts(&store), chain);
    assert_eq!(numbers(&store), order);
    assert_eq!(store.enrolment().unwrap().unwrap().device_id, store.device_id());
    assert!(store.session().unwrap().is_none());
    // The store goes on, in the same chain, and can be recovered in its turn.
    capture(&store, b"after");
    store.sign_pending().unwrap();
    assert_eq!(receipts(&store).len(), chain.len() + 1);
    let again = seen(&store);
    store.close().unwrap();
    let second = into(&world);
    fs::remove_dir_all(second.join("database")).unwrap();
    let recovery = Recovery {
        from: &second,
        into: &second.with_file_name("third"),
        recovery_key: None,
        without_keys: false,
        recipients: &|_, _| Vec::new(),
        progress: &|_, _| {},
        cancel: &CancelToken::new(),
    };
    let (third, report) = Store::recover(&recovery, world.surroundings()).unwrap();
    assert_eq!((report.recovered, report.unreadable), (5, vec![]));
    assert_eq!(seen(&third), again);
}

/// A note has no folder: what hangs on it comes after the journal's notes.
#[test]
fn what_hangs_on_a_note_comes_back_with_it() {
    let world = World::new();
    let store = world.create();
    let note = store.note(CaptureRequest::default(), "what a person saw").unwrap();
    let thumbnail = store.add_derived(note.capture_id, Rendition::Thumbnail, b"a small picture").unwrap();
    store.close().unwrap();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!((report.recovered, report.unreadable), (1, vec![]));
    assert_eq!(read_all(&store, thumbnail), b"a small picture");
    assert_eq!(read_all(&store, note.asset_id), b"what a person saw");
}

#[test]
fn whatever_became_of_the_database_makes_no_difference() {
    let world = filled();
    let (captures, chain, _) = before(&world);
    let database = world.path.join("database/store.sqlite3");
    let whole = fs::read(&database).unwrap();
    let damages: [Damage<'_>; 4] = [
        (
            "a damaged page",
            Box::new(|| fs::write(&database, [&whole[..5_000], &[0x5a; 9_000], &whole[14_000..]].concat()).unwrap()),
        ),
        ("cut short", Box::new(|| fs::write(&database, &whole[..whole.len() / 2]).unwrap())),
        ("of another session", Box::new(|| fs::write(world.path.join("session.json"), b"?").unwrap())),
        ("gone", Box::new(|| fs::remove_file(&database).unwrap())),
    ];
    for (name, damage) in damages {
        damage();
        let (store, report) = recover(&world);
        assert_eq!((report.recovered, report.unreadable.len()), (4, 0), "{name}");
        assert_eq!((seen(&store).len(), receipts(&store)), (captures.len(), chain.clone()), "{name}");
        store.close().unwrap();
        fs::remove_dir_all(into(&world)).unwrap();
    }
}

#[test]
fn what_is_missing_or_damaged_is_told_and_everything_else_comes_back() {
    let world = filled();
    let (captures, ..) = before(&world);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let sealed = |asset: usize, name: &str| {
        let id = captures[asset].assets[0].0;
        crate::layout::Layout::new(&world.path).settled_asset(id).join(name)
    };
    let by = |kind: Kind, large: bool| {
        let found = |seen: &Seen| seen.metadata.kind == kind && (seen.assets[0].3 > 1_000) == large;
        captures.iter().position(found).unwrap()
    };
    let (verified, large, audio) = (by(Kind::Photo, false), by(Kind::Photo, true), by(Kind::Audio, true));
    // The verified photo's only piece is missing, the recording's second is damaged, the other photo's envelope too.
    fs::remove_file(sealed(verified, "00000000.piece")).unwrap();
    let mut piece = fs::read(sealed(audio, "00000001.piece")).unwrap();
    piece[100] ^= 1;
    fs::write(sealed(audio, "00000001.piece"), piece).unwrap();
    fs::write(sealed(large, "envelope.json"), b"{").unwrap();
    // A line that a kill cut short, and one that is none.
    let journal = files(&world.path.join("journal")).pop().unwrap();
    let mut text = fs::read(&journal).unwrap();
    text.extend_from_slice(b"\x00\x01\n{\"type\":\"sealed\",\"key\":\"0193");
    fs::write(&journal, text).unwrap();

    let (store, report) = recover(&world);
    let mut codes: Vec<UnreadableCode> = report.unreadable.iter().map(|one| one.code).collect();
    codes.sort_unstable_by_key(|code| code.as_str());
    let expected = [
        UnreadableCode::DamagedEnvelope,
        UnreadableCode::DamagedLine,
        UnreadableCode::DamagedPiece,
        UnreadableCode::MissingPiece,
        UnreadableCode::TornLine,
    ];
    assert_eq!(codes, expected, "{:?}", report.unreadable);
    for one in report.unreadable {
        let there = world.path.join(&one.path).exists();
        assert_eq!(there, one.code != UnreadableCode::MissingPiece, "{}", one.path);
    }
    assert_eq!((report.readable, report.recovered), (3, 1));
    let state = |place: usize| store.show(captures[place].metadata.capture_id).map(|detail| detail.assets[0].state);
    assert_eq!(state(verified).unwrap(), AssetState::Purged, "the server holds it");
    assert_eq!(state(audio).unwrap(), AssetState::Parked);
    assert!(state(large).is_err());
    let mut reader = store.reader(captures[audio].assets[0].0).unwrap();
    let mut first = vec![0; 33_554_432];
    assert_eq!(reader.read_at(0, &mut first).unwrap(), first.len());
    assert!(first == captures[audio].original.as_ref().unwrap()[..first.len()]);
}

#[test]
fn an_interrupted_recovery_goes_on() {
    let world = filled();
    let (captures, ..) = before(&world);
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    store.close().unwrap();
    // As after a kill before `store.json`: everything else may be there, in any state.
    for damage in 0..3 {
        let target = into(&world);
        fs::rename(target.join("store.json"), target.join("recovering")).unwrap();
        assert!(matches!(Store::open(&target, world.surroundings()), Err(StoreError::NotAStore)));
        assert!(matches!(Store::create(&target, world.surroundings()), Err(StoreError::NotEmpty)));
        let pieces = files(&target.join("assets"));
        match damage {
            0 => fs::remove_file(&pieces[0]).unwrap(),
            1 => fs::remove_dir_all(target.join("assets")).unwrap(),
            _ => {
                let half = pieces.iter().find(|path| path.extension().is_some_and(|ext| ext == "piece")).unwrap();
                let bytes = fs::read(half).unwrap();
                fs::remove_file(half).unwrap();
                fs::write(half, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
        let (store, again) = recover(&world);
        assert_eq!(again, report);
        assert_eq!(seen(&store).len(), captures.len());
        store.close().unwrap();
    }
    // Killed after the last step and before the answer: it is told by the next run.
    fs::write(
        into(&world).join("recovered.json"),
        br#"{"incomplete":1,"unreadable":[],"unlisted":0,"keys_kept":true}"#,
    )
    .unwrap();
    let (store, told) = recover(&world);
    assert_eq!((told.readable, told.recovered), (4, 3));
    store.close().unwrap();
    assert!(matches!(recover_with(&world, None), Err(StoreError::NotEmpty)));
}

#[test]
fn a_recording_that_was_going_on_is_closed_with_what_it_has() {
    let world = World::new();
    let store = world.create();
    let mut recording = store.record(CaptureRequest { kind: Some(Kind::Video), ..Default::default() }).unwrap();
    let bytes = plain(33_554_432 + 200_000);
    recording.write(&bytes).unwrap();
    let killed = world.path.with_file_name("killed");
    copy_folder(&world.path, &killed);
    drop(recording);
    store.close().unwrap();
    fs::remove_dir_all(&world.path).unwrap();
    fs::rename(&killed, &world.path).unwrap();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!((report.recovered, report.unreadable), (1, vec![]));
    let all = seen(&store);
    assert!(all[0].metadata.interrupted);
    let original = all[0].original.as_ref().unwrap();
    assert!(original.len() > 33_554_432 + 100_000 && *original == bytes[..original.len()]);
}

#[test]
fn a_note_that_was_acknowledged_and_not_settled_is_there() {
    let world = World::new();
    let store = world.create();
    capture(&store, b"before");
    let first = store.note(CaptureRequest::default(), NOTE).unwrap();
    let second = store.note(CaptureRequest::default(), "and another").unwrap();
    let killed = world.path.with_file_name("killed");
    copy_folder(&world.path, &killed);
    store.close().unwrap();
    fs::remove_dir_all(&world.path).unwrap();
    fs::rename(&killed, &world.path).unwrap();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let (store, report) = recover(&world);
    assert_eq!((report.readable, report.recovered, report.unreadable), (3, 3, vec![]));
    let texts: Vec<_> = [first, second].map(|note| (note.capture_id, note.asset_id, note.sha256)).into();
    let found: Vec<_> = seen(&store)
        .into_iter()
        .filter(|seen| seen.metadata.kind == Kind::Note)
        .map(|seen| (seen.metadata.capture_id, seen.assets[0].0, seen.assets[0].4.unwrap()))
        .collect();
    assert_eq!(found, texts);
}

#[test]
fn folders_that_are_none_are_refused_and_nothing_is_begun() {
    let world = filled();
    let nested = world.path.join("inside");
    let try_into = |from: &Path, into: &Path| {
        let recovery = Recovery {
            from,
            into,
            recovery_key: None,
            without_keys: false,
            recipients: &|_, _| Vec::new(),
            progress: &|_, _| {},
            cancel: &CancelToken::new(),
        };
        Store::recover(&recovery, world.surroundings()).err().unwrap()
    };
    assert!(matches!(try_into(&world.path, &nested), StoreError::Refused { code: "same_folder" }));
    assert!(matches!(try_into(&world.path, &world.path), StoreError::Refused { code: "same_folder" }));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(try_into(empty.path(), &into(&world)), StoreError::NotAStore));
    fs::write(empty.path().join("holiday.txt"), b"x").unwrap();
    assert!(matches!(try_into(&world.path, empty.path()), StoreError::NotEmpty));
    let open = world.open();
    assert!(matches!(try_into(&world.path, &into(&world)), StoreError::InUse));
    open.close().unwrap();
    assert!(!into(&world).exists() && !nested.exists());
}

/// Broken off after any asset, nothing of the folder that is read has changed, and the same call brings everything.
#[test]
fn broken_off_anywhere_the_same_call_goes_on() {
    let world = filled();
    let whole = {
        let (store, report) = recover(&world);
        store.close().unwrap();
        fs::remove_dir_all(into(&world)).unwrap();
        report
    };
    let before = contents(&world.path);
    let mut broken_off = 0;
    for steps in 0..100 {
        let cancel = CancelToken::new();
        if steps == 0 {
            cancel.cancel();
        }
        let recovery = Recovery {
            from: &world.path,
            into: &into(&world),
            recovery_key: None,
            without_keys: false,
            recipients: &|_, _| recipients(),
            progress: &|done, _| {
                if done == steps {
                    cancel.cancel();
                }
            },
            cancel: &cancel,
        };
        match Store::recover(&recovery, world.surroundings()) {
            Err(StoreError::Cancelled) => broken_off += 1,
            Ok((store, report)) => {
                assert_eq!(report, whole);
                store.close().unwrap();
                break;
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(before, contents(&world.path), "the folder was changed");
    }
    assert!(broken_off >= 4, "{broken_off}: before, and after each asset");
}
