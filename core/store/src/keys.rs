//! The keys of an open store, by what they are for.
//!
//! Owns which keys a new store gets, and the viewing key's life in memory: it is unwrapped when something first needs it.
//! Keys that were just used to capture are remembered for a while, so that what follows a capture needs no viewing key.

use crate::{
    StoreError,
    connection::DATABASE_KEY_BYTES,
    keyset::{self, KeyEntry, KeyRole, KeyState, Keyset},
    layout::Layout,
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use snaptrak_domain::{AssetId, KeyClass, KeyStore, Random, Secret, Signer, UnixMs};
use snaptrak_seal::{DataKey, KemAlgorithm, RecipientPrivateKey, RecipientPublicKey, SoftwareSigner};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use zeroize::Zeroizing;

/// Data keys of the latest captures that stay in memory: a burst of photos that is analysed next.
const RECENT_KEYS_MAX: usize = 256;

/// Bytes of a symmetric key.
const SYMMETRIC_KEY_BYTES: usize = 32;

/// The keys of a new store.
pub(crate) struct NewKeysets {
    pub(crate) background: Keyset,
    pub(crate) viewing: Keyset,
}

/// Draws every key of a new store.
pub(crate) fn draw(random: &dyn Random, now: UnixMs) -> Result<NewKeysets, StoreError> {
    let entry = |role, key| KeyEntry { role, version: 1, created_ms: now, state: KeyState::Active, key };
    let symmetric = |bytes: usize| -> Result<Secret, StoreError> {
        let mut key = vec![0; bytes];
        random.fill(&mut key)?;
        Ok(Secret::new(key))
    };
    let media = RecipientPrivateKey::generate(KemAlgorithm::XWing, random)?;
    let inbox = RecipientPrivateKey::generate(KemAlgorithm::X25519, random)?;
    let background = vec![
        entry(KeyRole::Database, symmetric(DATABASE_KEY_BYTES)?),
        entry(KeyRole::Token, symmetric(SYMMETRIC_KEY_BYTES)?),
        entry(KeyRole::Search, symmetric(SYMMETRIC_KEY_BYTES)?),
        entry(KeyRole::Signing, SoftwareSigner::generate_pkcs8()?),
        entry(KeyRole::Inbox, Secret::new(inbox.expose().to_vec())),
        entry(KeyRole::MediaPublic, Secret::new(media.public_key().as_bytes().to_vec())),
    ];
    let viewing = vec![entry(KeyRole::MediaPrivate, Secret::new(media.expose().to_vec()))];
    Ok(NewKeysets {
        background: Keyset { class: KeyClass::Background, generation: 1, keys: background },
        viewing: Keyset { class: KeyClass::Viewing, generation: 1, keys: viewing },
    })
}

/// The keys of an open store.
pub(crate) struct Keys {
    token: LessSafeKey,
    /// Replaced when the media key is rotated.
    media_public: RwLock<Arc<RecipientPublicKey>>,
    pub(crate) signer: Arc<dyn Signer>,
    /// The signer is the keyset's own: it asks nobody, and takes no longer than any computation.
    pub(crate) signs_by_itself: bool,
    viewing: Mutex<Option<Arc<Vec<RecipientPrivateKey>>>>,
    recent: Mutex<VecDeque<(AssetId, DataKey)>>,
    /// Of recordings that go on, however many captures are made beside them.
    recording: Mutex<BTreeMap<AssetId, DataKey>>,
}

impl Keys {
    /// Takes the background keys; `signer` is the platform's, if it has one.
    pub(crate) fn new(background: &Keyset, signer: Option<Arc<dyn Signer>>) -> Result<Self, StoreError> {
        let signs_by_itself = signer.is_none();
        let signer = match signer {
            Some(signer) => signer,
            None => {
                let pkcs8 = &background.active(KeyRole::Signing)?.key;
                Arc::new(SoftwareSigner::from_pkcs8(pkcs8.expose()).ok_or(StoreError::KeysetDamaged)?)
            }
        };
        let media = &background.active(KeyRole::MediaPublic)?.key;
        let token = UnboundKey::new(&AES_256_GCM, background.active(KeyRole::Token)?.key.expose());
        Ok(Self {
            token: LessSafeKey::new(token.map_err(|_| StoreError::KeysetDamaged)?),
            media_public: RwLock::new(Arc::new(
                RecipientPublicKey::from_bytes(KemAlgorithm::XWing, media.expose())
                    .map_err(|_| StoreError::KeysetDamaged)?,
            )),
            signer,
            signs_by_itself,
            viewing: Mutex::new(None),
            recent: Mutex::new(VecDeque::new()),
            recording: Mutex::new(BTreeMap::new()),
        })
    }

    /// The public half of the device's `media` key: for whom every data key is wrapped.
    pub(crate) fn media_public(&self) -> Arc<RecipientPublicKey> {
        Arc::clone(&self.media_public.read().expect("no one panics while holding this lock"))
    }

    /// What is captured from now on is wrapped for another key. The private halves are read again when they are needed.
    pub(crate) fn replace_media_public(&self, media: RecipientPublicKey) {
        *self.media_public.write().expect("no one panics while holding this lock") = Arc::new(media);
        *lock(&self.viewing) = None;
    }

    /// The private halves of the device's `media` key, newest first; asks the key store the first time.
    pub(crate) fn viewing(
        &self,
        layout: &Layout,
        key_store: &dyn KeyStore,
    ) -> Result<Arc<Vec<RecipientPrivateKey>>, StoreError> {
        // Held while a person may be asked: a second caller waits for the same answer instead of asking again.
        let mut cached = lock(&self.viewing);
        if let Some(keys) = cached.as_ref() {
            return Ok(Arc::clone(keys));
        }
        let keyset = keyset::read(layout, KeyClass::Viewing, key_store)?;
        let mut entries: Vec<&KeyEntry> =
            keyset.keys.iter().filter(|entry| entry.role == KeyRole::MediaPrivate).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.version));
        let keys = entries
            .into_iter()
            .map(|entry| RecipientPrivateKey::from_bytes(KemAlgorithm::XWing, entry.key.expose()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| StoreError::KeysetDamaged)?;
        let keys = Arc::new(keys);
        *cached = Some(Arc::clone(&keys));
        Ok(keys)
    }

    /// Forgets the viewing key and every remembered data key: the next view asks the key store again.
    pub(crate) fn forget(&self) {
        *lock(&self.viewing) = None;
        lock(&self.recent).clear();
    }

    /// Remembers the data key of what was just captured.
    pub(crate) fn remember(&self, asset_id: AssetId, data_key: DataKey) {
        let mut recent = lock(&self.recent);
        if recent.len() >= RECENT_KEYS_MAX {
            recent.pop_front();
        }
        recent.push_back((asset_id, data_key));
    }

    /// Remembers the data key of a recording until [`Keys::recording_ended`].
    pub(crate) fn recording_began(&self, asset_id: AssetId, data_key: DataKey) {
        lock(&self.recording).insert(asset_id, data_key);
    }

    /// The recording no longer writes.
    pub(crate) fn recording_ended(&self, asset_id: AssetId) {
        lock(&self.recording).remove(&asset_id);
    }

    /// Whether a recording of this process still writes this asset.
    pub(crate) fn is_being_recorded(&self, asset_id: AssetId) -> bool {
        lock(&self.recording).contains_key(&asset_id)
    }

    /// The data key of a recent capture or of a recording that goes on.
    pub(crate) fn recent(&self, asset_id: AssetId) -> Option<DataKey> {
        if let Some(key) = lock(&self.recording).get(&asset_id) {
            return Some(key.clone());
        }
        lock(&self.recent).iter().rev().find(|(known, _)| *known == asset_id).map(|(_, key)| key.clone())
    }

    /// Whether a data key can be had without asking the key store.
    pub(crate) fn has_without_asking(&self, asset_id: AssetId) -> bool {
        lock(&self.viewing).is_some() || self.recent(asset_id).is_some()
    }

    /// Seals a small secret for a cell of the database. `purpose` is bound in: a token cannot stand where a capability does.
    /// Layout: nonce 12 | ciphertext | tag 16.
    pub(crate) fn seal_small(&self, purpose: &str, plain: &Secret, random: &dyn Random) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut body = Zeroizing::new(plain.expose().to_vec());
        let tag = self
            .token
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), body.as_mut_slice())
            .expect("a token is far shorter than AES-GCM's limit of 64 GiB");
        Ok([&nonce, body.as_slice(), tag.as_ref()].concat())
    }

    /// Opens what [`Keys::seal_small`] sealed for the same purpose.
    pub(crate) fn open_small(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, StoreError> {
        let damaged = || StoreError::Damaged { what: "sealed cell" };
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self.token.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| damaged())?;
        Ok(Secret::new(plain.to_vec()))
    }
}

/// The app's key store is asked under one of these locks and may panic there. What they hold is replaced in one step, so it is whole
/// whatever became of whoever held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
