//! Time, chance and a key store that tests control.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest,
};
use snaptrak_domain::{
    BootId, Clock, Disk, KeyClass, KeyStore, KeyStoreError, MonotonicMs, Random, RandomError, Secret, UnixMs, WallTime,
    key_store::WrappedKeys,
};
use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// The moment at which every fake clock starts: 2026-11-22T00:00:00Z.
pub const FAKE_START_MS: i64 = 1_795_305_600_000;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FakeClock {
    unix_ms: AtomicI64,
    monotonic_ms: AtomicI64,
    boot: AtomicU64,
}

impl FakeClock {
    /// At [`FAKE_START_MS`], one second after the first boot.
    #[must_use]
    pub fn new() -> Self {
        Self { unix_ms: AtomicI64::new(FAKE_START_MS), monotonic_ms: AtomicI64::new(1_000), boot: AtomicU64::new(1) }
    }

    /// Lets time pass: wall and monotonic alike.
    pub fn advance_ms(&self, ms: i64) {
        self.unix_ms.fetch_add(ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the wall clock, as a person or a time server does; monotonic time goes on.
    pub fn set_wall_ms(&self, unix_ms: i64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }

    /// Another run of the operating system: a new boot id, monotonic time from zero.
    pub fn reboot(&self) {
        self.boot.fetch_add(1, Ordering::SeqCst);
        self.monotonic_ms.store(0, Ordering::SeqCst);
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> WallTime {
        WallTime {
            unix_ms: UnixMs(self.unix_ms.load(Ordering::SeqCst)),
            offset_minutes: 60,
            zone: Some("Europe/Berlin".to_owned()),
        }
    }

    fn monotonic(&self) -> MonotonicMs {
        MonotonicMs(self.monotonic_ms.load(Ordering::SeqCst))
    }

    fn boot_id(&self) -> BootId {
        BootId(format!("boot-{}", self.boot.load(Ordering::SeqCst)))
    }
}

/// Random bytes that a seed determines: SHA-256 of seed and counter. Good for tests alone.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    counter: AtomicU64,
}

impl SeededRandom {
    /// The same seed gives the same bytes in the same order.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for chunk in buffer.chunks_mut(32) {
            let block = self.counter.fetch_add(1, Ordering::SeqCst);
            let input = [self.seed.to_be_bytes(), block.to_be_bytes()].concat();
            chunk.copy_from_slice(&digest::digest(&digest::SHA256, &input).as_ref()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A key store with a raw key, which can be told to answer with an error instead.
pub struct FixedKeyStore {
    key: LessSafeKey,
    background: Mutex<Option<KeyStoreError>>,
    viewing: Mutex<Option<KeyStoreError>>,
    viewing_opened: AtomicU64,
}

impl FixedKeyStore {
    /// Wraps with AES-256-GCM under this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes are the length of a key");
        Self {
            key: LessSafeKey::new(key),
            background: Mutex::new(None),
            viewing: Mutex::new(None),
            viewing_opened: AtomicU64::new(0),
        }
    }

    /// From now on a class answers with this error, or with keys again.
    pub fn answer(&self, class: KeyClass, error: Option<KeyStoreError>) {
        *self.of(class).lock().expect("tests do not poison it") = error;
    }

    /// How often the viewing class was opened: what needs no viewing key must not ask for it.
    pub fn viewing_opened(&self) -> u64 {
        self.viewing_opened.load(Ordering::SeqCst)
    }

    fn of(&self, class: KeyClass) -> &Mutex<Option<KeyStoreError>> {
        match class {
            KeyClass::Background => &self.background,
            KeyClass::Viewing => &self.viewing,
        }
    }

    fn check(&self, class: KeyClass) -> Result<(), KeyStoreError> {
        self.of(class).lock().expect("tests do not poison it").clone().map_or(Ok(()), Err)
    }
}

/// A disk with as much room as a test says; without a word, no one knows how much.
#[derive(Debug, Default)]
pub struct FakeDisk {
    free_bytes: Mutex<Option<u64>>,
}

impl FakeDisk {
    /// From now on there is so much room, or nobody knows.
    pub fn set_free_bytes(&self, bytes: Option<u64>) {
        *self.free_bytes.lock().expect("tests do not poison it") = bytes;
    }
}

impl Disk for FakeDisk {
    fn free_bytes(&self, _: &std::path::Path) -> Option<u64> {
        *self.free_bytes.lock().expect("tests do not poison it")
    }
}

/// The nonce is the digest's beginning: the same keys wrap to the same bytes, different ones never share a nonce.
fn nonce_for(keys: &Secret, associated_data: &[u8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    let input = [associated_data, keys.expose()].concat();
    nonce.copy_from_slice(&digest::digest(&digest::SHA256, &input).as_ref()[..12]);
    nonce
}

impl KeyStore for FixedKeyStore {
    fn wrap(&self, class: KeyClass, keys: &Secret, associated_data: &[u8]) -> Result<WrappedKeys, KeyStoreError> {
        self.check(class)?;
        let nonce = nonce_for(keys, associated_data);
        let mut body = keys.expose().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated_data), &mut body)
            .map_err(|_| KeyStoreError::Damaged)?;
        let sealed = [nonce.as_slice(), &body].concat();
        Ok(WrappedKeys { parameters: serde_json::json!({"kind": "fixed"}), sealed })
    }

    fn unwrap(&self, class: KeyClass, wrapped: &WrappedKeys, associated_data: &[u8]) -> Result<Secret, KeyStoreError> {
        self.check(class)?;
        if class == KeyClass::Viewing {
            self.viewing_opened.fetch_add(1, Ordering::SeqCst);
        }
        let (nonce, body) = wrapped.sealed.split_at_checked(12).ok_or(KeyStoreError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyStoreError::Damaged)?;
        let mut body = body.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(associated_data), &mut body)
            .map_err(|_| KeyStoreError::NeedsUser { wrong_answer: true })?;
        Ok(Secret::new(plain.to_vec()))
    }
}
