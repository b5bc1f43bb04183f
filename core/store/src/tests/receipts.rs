//! Signatures of a platform's key: asked for on a caller's thread, and waited for by nobody.

use super::world::World;
use crate::{CaptureRequest, Store, Surroundings, rows};
use snaptrak_domain::{Signer, SignerError, queue_store::QueueStore};
use snaptrak_seal::SoftwareSigner;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, ThreadId},
};

/// A platform's key, in software here; it refuses what it is told to.
struct PlatformSigner {
    key: SoftwareSigner,
    calls: AtomicU32,
    threads: Mutex<BTreeSet<String>>,
    refuses: Mutex<Box<dyn FnMut(u32) -> bool + Send>>,
}

impl PlatformSigner {
    fn new() -> Arc<Self> {
        let pkcs8 = SoftwareSigner::generate_pkcs8().unwrap();
        Arc::new(Self {
            key: SoftwareSigner::from_pkcs8(pkcs8.expose()).unwrap(),
            calls: AtomicU32::new(0),
            threads: Mutex::default(),
            refuses: Mutex::new(Box::new(|_| false)),
        })
    }

    /// Refuses the calls that `refuses` says, counted from 1.
    fn refuse(&self, refuses: impl FnMut(u32) -> bool + Send + 'static) {
        self.calls.store(0, Ordering::SeqCst);
        *self.refuses.lock().unwrap() = Box::new(refuses);
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Signer for PlatformSigner {
    fn public_key(&self) -> [u8; 65] {
        self.key.public_key()
    }

    // The worst for the writer: a signer that takes its time and does not say so.
    fn is_hardware(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.threads.lock().unwrap().insert(name(thread::current().id()));
        if (self.refuses.lock().unwrap())(call) { Err(SignerError::NotNow) } else { self.key.sign(message) }
    }
}

fn name(thread: ThreadId) -> String {
    format!("{thread:?}")
}

fn create(world: &World, signer: &Arc<PlatformSigner>) -> Store {
    let signer: Arc<dyn Signer> = signer.clone();
    Store::create(&world.path, Surroundings { signer: Some(signer), ..world.surroundings() }).unwrap()
}

fn notes(store: &Store, count: usize) -> Vec<snaptrak_domain::AssetId> {
    let note = |number| store.note(CaptureRequest::default(), &format!("note {number}")).unwrap().asset_id;
    (0..count).map(note).collect()
}

fn signed(store: &Store) -> usize {
    store.receipts(0, 1_000).unwrap().iter().filter(|receipt| receipt.signed.is_some()).count()
}

#[test]
fn the_writer_never_asks_a_platforms_signer_whatever_it_says_of_its_hardware() {
    let (world, signer) = (World::new(), PlatformSigner::new());
    let store = create(&world, &signer);
    let assets = notes(&store, 3);
    assert_eq!(store.receipts(0, 10).unwrap().len(), 3);
    // Closing does all chores.
    store.clone().close().unwrap();
    assert_eq!(signer.calls(), 0);

    let opened: Arc<dyn Signer> = signer.clone();
    let store = Store::open(&world.path, Surroundings { signer: Some(opened), ..world.surroundings() }).unwrap();
    let envelope = store.envelope(assets[1], &[]).unwrap();
    assert!(envelope.device_receipt.is_some());
    assert_eq!((signed(&store), signer.calls()), (1, 1), "what leaves is signed, and nothing waits for the rest");
    assert_eq!(store.sign_pending().unwrap(), 2);
    assert_eq!(*signer.threads.lock().unwrap(), BTreeSet::from([name(thread::current().id())]));
}

#[test]
fn one_that_is_refused_waits_and_holds_up_no_other() {
    let (world, signer) = (World::new(), PlatformSigner::new());
    let store = create(&world, &signer);
    let assets = notes(&store, 130);
    signer.refuse(|call| call == 1 || call == 70 || call == 71);
    assert_eq!(store.sign_pending().unwrap(), 127);
    assert_eq!((signed(&store), signer.calls()), (127, 130), "each was asked for once");

    signer.refuse(|_| true);
    assert_eq!(store.sign_pending().unwrap(), 0);
    assert_eq!(store.envelope(assets[0], &[]).unwrap().device_receipt, None, "it leaves without");
    signer.refuse(|_| false);
    assert!(store.envelope(assets[0], &[]).unwrap().device_receipt.is_some());
    assert_eq!(store.sign_pending().unwrap(), 2);
    assert_eq!(signed(&store), 130);
}

#[test]
fn a_signer_that_refuses_again_and_again_is_left_alone() {
    let (world, signer) = (World::new(), PlatformSigner::new());
    let store = create(&world, &signer);
    notes(&store, 100);
    signer.refuse(|call| call > 2);
    assert_eq!(store.sign_pending().unwrap(), 2);
    assert_eq!(signer.calls(), 5);
}

#[test]
fn an_envelope_that_left_without_its_signature_goes_again_once_there_is_one() {
    let (world, signer) = (World::new(), PlatformSigner::new());
    let store = create(&world, &signer);
    let assets = notes(&store, 2);
    signer.refuse(|_| true);
    assert_eq!(store.envelope(assets[0], &[]).unwrap().device_receipt, None);
    // As the window writes it down: the first has left, the second has not.
    let left = assets[0];
    let sql = "UPDATE step SET state = 'done' WHERE kind = 'send_envelope' AND asset_id = ?1";
    store.write(move |transaction| rows::change(transaction, sql, [left.as_bytes()]).map(|_| ())).unwrap();
    assert_eq!(envelopes_to_send(&store), 1);
    signer.refuse(|_| false);
    assert_eq!(store.sign_pending().unwrap(), 2);
    assert_eq!(envelopes_to_send(&store), 2);
}

fn envelopes_to_send(store: &Store) -> u64 {
    let sql = "SELECT count(*) FROM step WHERE kind = 'send_envelope' AND state = 'waiting'";
    store.read(|connection| rows::only(connection, sql, [], |row| rows::count(row, 0))).unwrap()
}
