//! One instance: a store, the platform it stands on, and what is loaded on demand. No global state: two instances on two
//! stores live side by side.

use crate::{Config, Error, ErrorCode, Platform, calls::Calls, record::Recordings};
use snaptrak_domain::{ReasonCode, StepKind};
use snaptrak_inference::{PoolOptions, Selection, SessionPool};
use snaptrak_store::{Store, StoreError, Surroundings};
use snaptrak_sync::SyncClient;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Which keys [`SnapTrak::rotate_keys`] replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotateKeys {
    /// What the database is encrypted with.
    pub database: bool,
    /// What the data keys of new captures are wrapped for.
    pub media: bool,
}

/// The SDK on one store. Clones share it; everything may be called from any thread and blocks until it is done.
#[derive(Clone)]
pub struct SnapTrak {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) platform: Platform,
    pub(crate) store: Store,
    pub(crate) calls: Calls,
    pub(crate) recordings: Recordings,
    pub(crate) sync_client: Mutex<Option<Arc<SyncClient>>>,
    /// Held while the folder of models is looked at or changed: a version on trial must not look like one that broke off.
    pub(crate) models: Mutex<()>,
    /// Opened when an accelerator is first to be chosen.
    pub(crate) accelerators: Mutex<Option<Arc<Selection>>>,
    /// Loaded models that wait for the next analysis.
    pub(crate) sessions: SessionPool,
}

impl SnapTrak {
    /// Makes a store in an empty or absent folder and opens it.
    pub fn create(config: Config, platform: Platform) -> Result<Self, Error> {
        config.validate()?;
        let store = Store::create(&config.store, surroundings(&config, &platform))
            .map_err(|error| not_created(error, &config.store))?;
        Self::over(config, platform, store)
    }

    /// Opens the store of the configuration. One process owns a store: a second gets `InUse`.
    pub fn open(config: Config, platform: Platform) -> Result<Self, Error> {
        config.validate()?;
        let store = Store::open(&config.store, surroundings(&config, &platform))
            .map_err(|error| not_opened(error, &config.store))?;
        Self::over(config, platform, store)
    }

    fn over(config: Config, platform: Platform, store: Store) -> Result<Self, Error> {
        let options = PoolOptions { model_bytes_max: config.model_bytes_max, ..PoolOptions::default() };
        let inner = Inner {
            config,
            platform,
            store,
            calls: Calls::default(),
            recordings: Recordings::default(),
            sync_client: Mutex::new(None),
            models: Mutex::new(()),
            accelerators: Mutex::new(None),
            sessions: SessionPool::new(options),
        };
        let instance = Self { inner: Arc::new(inner) };
        // Captures made from now on are wrapped for the organisation at once, if one is known.
        instance.use_recipients_of_stored_trust()?;
        Ok(instance)
    }

    /// Ends the work in progress, writes down what is only in memory and frees the store. Calls that wait for the server are broken
    /// off, recordings that go on end with what they have, and every later call of any clone is refused (`Cancelled`). Dropping the
    /// last clone does the same without an answer, once nothing runs and no recording goes on.
    pub fn close(self) -> Result<(), Error> {
        self.inner.calls.close();
        self.inner.recordings.close();
        // The client holds a handle of the store; it goes first.
        self.inner.sync_client.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        // Its folder is the next instance's.
        self.inner.accelerators.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        Ok(self.inner.store.clone().close()?)
    }

    /// Gives back memory that only makes the next look or analysis quicker, loaded models too, as when the system says that memory
    /// is short (`onTrimMemory`, `didReceiveMemoryWarning`).
    pub fn trim_memory(&self) -> Result<(), Error> {
        self.inner.sessions.trim();
        Ok(self.inner.store.trim_memory()?)
    }

    /// Brings the keys of the viewing class while the person is there: what was set aside for want of them is tried again,
    /// and receipts are copied into their envelopes as they arrive. Without it each view asks for itself.
    pub fn unlock(&self) -> Result<(), Error> {
        let store = &self.inner.store;
        store.unlock()?;
        let now = self.inner.platform.clock.now();
        for kind in [StepKind::SendEnvelope, StepKind::Analyse] {
            store.revive(kind, &[ReasonCode::NeedsUser], now)?;
        }
        Ok(())
    }

    /// Gives the store new keys, while captures go on: what the database is encrypted with, what new captures are wrapped for, or
    /// both. No sealed byte of media is written again; old captures stay readable. The media key needs the person
    /// (`NeedsUser`), the database key writes the whole database once (a full disk leaves the old key).
    pub fn rotate_keys(&self, keys: RotateKeys) -> Result<(), Error> {
        if keys.media {
            self.inner.store.rotate_media_key()?;
        }
        if keys.database {
            self.inner.store.rotate_database_key()?;
        }
        Ok(())
    }

    /// Forgets the keys of the viewing class, as when the app locks itself.
    pub fn lock(&self) {
        self.inner.store.forget_viewing_key();
        // They hold what they last looked at.
        self.inner.sessions.trim();
    }

    /// Uniform in 0..=65535, for spreading delays.
    pub(crate) fn jitter(&self) -> Result<u16, Error> {
        let mut bytes = [0_u8; 2];
        let no_chance = |_| Error::new(ErrorCode::Internal, "the operating system gave no random bytes");
        self.inner.platform.random.fill(&mut bytes).map_err(no_chance)?;
        Ok(u16::from_le_bytes(bytes))
    }
}

pub(crate) fn surroundings(config: &Config, platform: &Platform) -> Surroundings {
    Surroundings {
        clock: Arc::clone(&platform.clock),
        random: Arc::clone(&platform.random),
        key_store: Arc::clone(&platform.key_store),
        signer: platform.signer.clone(),
        disk: Arc::clone(&platform.disk),
        ballast_bytes: config.ballast_bytes,
    }
}

/// A store that is there already is another answer than a folder that holds something else.
pub(crate) fn not_created(error: StoreError, folder: &Path) -> Error {
    if matches!(error, StoreError::NotEmpty) && folder.join("store.json").exists() {
        return Error::new(ErrorCode::StoreExists, "there is a store in this folder already");
    }
    error.into()
}

/// Nothing there, or what a creation left that was broken off, is another answer than something else there.
fn not_opened(error: StoreError, folder: &Path) -> Error {
    if matches!(error, StoreError::NotAStore) && Store::is_nothing_yet(folder) {
        return Error::new(ErrorCode::NoStore, "there is no store in this folder");
    }
    error.into()
}
