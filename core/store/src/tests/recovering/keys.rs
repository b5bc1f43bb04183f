//! Without the device's keys, in place, and from a bundle.

use super::*;

#[test]
fn the_recovery_key_brings_everything_back_without_the_devices_keys() {
    let world = filled();
    let (captures, chain, _) = before(&world);
    let old_key = world.open().signing_public_key();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    fs::remove_dir_all(world.path.join("keyset")).unwrap();
    assert!(matches!(recover_with(&world, None), Err(StoreError::KeysetMissing)));
    assert!(!into(&world).exists(), "nothing was begun");

    let (store, report) = recover_with(&world, Some(organisation_key())).unwrap();
    assert_eq!((report.readable, report.recovered, &report.unreadable), (4, 4, &vec![]));
    assert!(!report.keys_kept);
    assert_eq!(seen(&store), captures.iter().map(queued_is_prepared).collect::<Vec<_>>());
    assert_eq!(receipts(&store), chain);
    assert_ne!(store.signing_public_key(), old_key);
    assert_eq!(store.device_keys().unwrap(), [old_key, store.signing_public_key()]);
    assert_eq!(store.device_id(), captures[0].metadata.device_id);
    store.close().unwrap();
    // The new keys alone open it from now on.
    let store = Store::open(&into(&world), world.surroundings()).unwrap();
    assert_eq!(seen(&store).len(), 4);
}

#[test]
fn a_lost_platform_key_is_no_wrong_answer() {
    let world = filled();
    for answer in [KeyStoreError::NotYet, KeyStoreError::NeedsUser { wrong_answer: false }] {
        world.key_store.answer(KeyClass::Viewing, Some(answer));
        assert!(recover_with(&world, Some(organisation_key())).is_err());
        assert!(!into(&world).exists());
    }
    world.key_store.answer(KeyClass::Viewing, None);
    let mut surroundings = world.surroundings();
    surroundings.key_store = Arc::new(snaptrak_testkit::FixedKeyStore::new([1; 32]));
    let cancel = CancelToken::new();
    let recovery = |key| Recovery {
        from: &world.path,
        into: Path::new("/nowhere/at/all"),
        recovery_key: key,
        without_keys: false,
        recipients: &|_, _| Vec::new(),
        progress: &|_, _| {},
        cancel: &cancel,
    };
    assert!(matches!(Store::recover(&recovery(None), surroundings), Err(StoreError::WrongKey)));
}

fn in_place(world: &World, key: Option<RecipientPrivateKey>) -> Result<(Store, RecoverReport), StoreError> {
    let in_place = InPlace {
        folder: &world.path,
        recovery_key: key,
        recipients: &|_, _| Vec::new(),
        progress: &|_, _| {},
        cancel: &CancelToken::new(),
    };
    Store::quarantine_and_recover(&in_place, world.surroundings())
}

fn aside(world: &World, number: u32) -> PathBuf {
    world.path.with_file_name(format!("store.quarantined-{number}"))
}

#[test]
fn in_place_the_folder_is_set_aside_and_a_kill_between_is_gone_on_from() {
    let world = filled();
    fs::remove_dir_all(world.path.join("database")).unwrap();
    let before = contents(&world.path).len();
    let (store, report) = in_place(&world, None).unwrap();
    assert_eq!((report.readable, report.recovered, report.unreadable.len()), (4, 4, 0));
    store.close().unwrap();
    assert_eq!(contents(&aside(&world, 1)).len(), before);
    assert_eq!(world.open().list(None, None, 10).unwrap().captures.len(), 4);
    // Killed after the rename, and in the middle of the recovery.
    for half_done in [false, true] {
        fs::remove_dir_all(&world.path).unwrap();
        if half_done {
            fs::create_dir(&world.path).unwrap();
            fs::write(world.path.join("recovering"), b"").unwrap();
        }
        let (store, report) = in_place(&world, None).unwrap();
        assert_eq!(report.recovered, 4);
        store.close().unwrap();
        assert!(!aside(&world, 2).exists());
    }
    // Another time, another folder.
    fs::remove_dir_all(world.path.join("database")).unwrap();
    in_place(&world, None).unwrap().0.close().unwrap();
    assert!(aside(&world, 2).exists());
}

#[test]
fn only_a_lost_platform_key_sets_a_store_aside_without_its_keys() {
    let world = filled();
    for (answer, lost) in [
        (KeyStoreError::NotYet, false),
        (KeyStoreError::NeedsUser { wrong_answer: false }, false),
        (KeyStoreError::NeedsUser { wrong_answer: true }, false),
        (KeyStoreError::Damaged, false),
        (KeyStoreError::Lost, true),
    ] {
        assert!(!aside(&world, 1).exists());
        let key_store = Arc::new(LosingKeyStore(world.key_store.clone(), answer));
        let surroundings = crate::Surroundings { key_store, ..world.surroundings() };
        let asked = InPlace {
            folder: &world.path,
            recovery_key: None,
            recipients: &|_, _| Vec::new(),
            progress: &|_, _| {},
            cancel: &CancelToken::new(),
        };
        let result = Store::quarantine_and_recover(&asked, surroundings);
        assert_eq!(result.is_ok(), lost);
        if let Ok((store, report)) = result {
            assert_eq!((report.readable, report.keys_kept), (0, false));
            assert!(report.unreadable.iter().all(|one| one.code == UnreadableCode::NoKey));
            store.note(CaptureRequest::default(), "life goes on").unwrap();
        }
    }
    // The organisation's key brings back what was set aside.
    let from = aside(&world, 1);
    let into = world.path.with_file_name("back");
    let recovery = Recovery {
        from: &from,
        into: &into,
        recovery_key: Some(organisation_key()),
        without_keys: false,
        recipients: &|_, _| recipients(),
        progress: &|_, _| {},
        cancel: &CancelToken::new(),
    };
    fs::remove_dir_all(from.join("keyset")).unwrap();
    let (_, report) = Store::recover(&recovery, world.surroundings()).unwrap();
    assert_eq!((report.readable, report.recovered), (4, 4));
}

/// A key store whose key is gone: it opens nothing that was wrapped, and wraps with a new one.
struct LosingKeyStore(Arc<snaptrak_testkit::FixedKeyStore>, KeyStoreError);

impl snaptrak_domain::KeyStore for LosingKeyStore {
    fn wrap(
        &self,
        class: KeyClass,
        keys: &snaptrak_domain::Secret,
        associated_data: &[u8],
    ) -> Result<snaptrak_domain::key_store::WrappedKeys, KeyStoreError> {
        let mut wrapped = self.0.wrap(class, keys, associated_data)?;
        wrapped.parameters = serde_json::json!({"kind": "fixed", "new": true});
        Ok(wrapped)
    }

    fn unwrap(
        &self,
        class: KeyClass,
        wrapped: &snaptrak_domain::key_store::WrappedKeys,
        associated_data: &[u8],
    ) -> Result<snaptrak_domain::Secret, KeyStoreError> {
        if wrapped.parameters.get("new").is_none() {
            return Err(self.1.clone());
        }
        self.0.unwrap(class, wrapped, associated_data)
    }
}

#[test]
fn a_bundle_is_enough_for_the_organisations_key() {
    let world = filled();
    let (captures, chain, _) = before(&world);
    let mut bundle = Vec::new();
    let report = crate::export_bundle(&world.path, &mut bundle).unwrap();
    assert_eq!((report.captures, report.unreadable.len()), (4, 0));
    assert!(report.bytes > 33_554_432 && bundle.len() as u64 > report.bytes);
    let into = into(&world);
    let unpacked = crate::unpack_bundle(&mut bundle.as_slice(), &into).unwrap();
    assert!(!unpacked.torn && !unpacked.folder().join("keyset").exists());
    let recovery = Recovery {
        from: unpacked.folder(),
        into: &into,
        recovery_key: Some(organisation_key()),
        without_keys: false,
        recipients: &|_, _| recipients(),
        progress: &|_, _| {},
        cancel: &CancelToken::new(),
    };
    let (store, report) = Store::recover(&recovery, world.surroundings()).unwrap();
    assert_eq!((report.readable, report.recovered, report.unreadable), (4, 4, vec![]));
    assert_eq!(seen(&store), captures.iter().map(queued_is_prepared).collect::<Vec<_>>());
    assert_eq!(receipts(&store), chain);
    store.close().unwrap();
    unpacked.remove().unwrap();
    assert!(read_all_of(&into, &world).iter().all(Option::is_some), "nothing of it is needed any more");
}

fn read_all_of(folder: &Path, world: &World) -> Vec<Option<Vec<u8>>> {
    let store = Store::open(folder, world.surroundings()).unwrap();
    seen(&store).into_iter().map(|seen| seen.original).collect()
}

/// Broken off before it began, in-place recovery has set nothing aside.
#[test]
fn in_place_nothing_is_set_aside_for_a_call_that_was_broken_off() {
    let world = filled();
    let cancel = CancelToken::new();
    cancel.cancel();
    let asked = InPlace {
        folder: &world.path,
        recovery_key: None,
        recipients: &|_, _| Vec::new(),
        progress: &|_, _| {},
        cancel: &cancel,
    };
    assert!(matches!(Store::quarantine_and_recover(&asked, world.surroundings()), Err(StoreError::Cancelled)));
    assert!(!aside(&world, 1).exists());
    world.open().close().unwrap();
}
