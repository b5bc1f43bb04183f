//! Something panics under a lock, the app's key store for one: the call is lost, the store is not.

use super::world::{World, capture, plain, read_all};
use crate::Store;
use snaptrak_domain::{KeyClass, KeyStore, KeyStoreError, Secret, key_store::WrappedKeys};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

struct Panicking {
    keys: Arc<dyn KeyStore>,
    panics: AtomicBool,
}

impl Panicking {
    fn asked(&self) {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "provoked by this test");
    }
}

impl KeyStore for Panicking {
    fn wrap(&self, class: KeyClass, keys: &Secret, associated_data: &[u8]) -> Result<WrappedKeys, KeyStoreError> {
        self.asked();
        self.keys.wrap(class, keys, associated_data)
    }

    fn unwrap(&self, class: KeyClass, wrapped: &WrappedKeys, associated_data: &[u8]) -> Result<Secret, KeyStoreError> {
        self.asked();
        self.keys.unwrap(class, wrapped, associated_data)
    }
}

#[test]
fn a_key_store_that_panicked_is_asked_again() {
    let world = World::new();
    let photo = capture(&world.create(), &plain(1000)).asset_id;
    let keys = Arc::new(Panicking { keys: world.key_store.clone(), panics: AtomicBool::new(false) });
    let mut surroundings = world.surroundings();
    surroundings.key_store = keys.clone();
    let store = Store::open(&world.path, surroundings).unwrap();
    let calls: [fn(&Store) -> bool; 3] = [
        |store| store.unlock().is_ok(),
        |store| store.rotate_media_key().is_ok(),
        |store| store.rotate_database_key().is_ok(),
    ];
    for call in calls {
        store.forget_viewing_key();
        keys.panics.store(true, Ordering::SeqCst);
        assert!(catch_unwind(AssertUnwindSafe(|| call(&store))).is_err());
        assert!(call(&store));
        assert_eq!(read_all(&store, photo), plain(1000));
    }
    assert_eq!(store.receipts(0, 10).unwrap().len(), 1);
}

#[test]
fn removals_go_on_after_a_panic_in_one() {
    let store = World::new().create();
    let files = &store.inner.files;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _alone = files.remove_alone();
        panic!("provoked by this test");
    }));
    assert!(panicked.is_err());
    let alone = files.try_remove_alone();
    assert!(alone.is_some(), "nothing would be removed any more");
    assert!(files.try_remove_alone().is_none(), "two would remove at once");
}
