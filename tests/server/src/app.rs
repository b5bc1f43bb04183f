//! What every handler and the verifier share.

use crate::active_uploads::ActiveUploads;
use crate::at_rest::AtRest;
use crate::config::ServerConfig;
use crate::data_key;
use crate::database::Database;
use crate::edge::OsRandom;
use crate::error::Error;
use crate::folder::{Folder, FolderLock};
use crate::organisation::{FirstStart, Organisation};
use crate::password::Passwords;
use crate::throttle::Throttle;
use snaptrak_domain::UnixMs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Shared by reference: the router's state.
pub(crate) type AppState = Arc<App>;

/// The parts of one server.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) folder: Folder,
    pub(crate) database: Database,
    pub(crate) at_rest: Arc<AtRest>,
    pub(crate) organisation: Organisation,
    pub(crate) passwords: Passwords,
    pub(crate) active_uploads: ActiveUploads,
    throttle: Mutex<Throttle>,
    /// Rung when an asset has become ready to be verified.
    pub(crate) ready: Notify,
    stopping: AtomicBool,
    _lock: FolderLock,
}

impl App {
    /// Takes the folder, opens what it holds, and makes what is missing.
    pub(crate) fn open(config: ServerConfig) -> Result<Self, Error> {
        let (folder, lock) = Folder::own(&config.data)?;
        let key = data_key::load_or_make(&config.data_key, &folder, &OsRandom)?;
        let at_rest = Arc::new(AtRest::new(&key));
        let database = Database::open(&folder.database())?;
        let first = FirstStart { name: &config.organisation, kem: config.kem, now: (config.time)() };
        let organisation = Organisation::open(&database, &at_rest, &first, &OsRandom)?;
        if organisation.active_upload_key()?.algorithm() != config.kem {
            tracing::info!("the organisation keeps the upload key of its first start");
        }
        Ok(Self {
            config,
            folder,
            database,
            at_rest,
            organisation,
            passwords: Passwords::new(),
            active_uploads: ActiveUploads::default(),
            throttle: Mutex::default(),
            ready: Notify::new(),
            stopping: AtomicBool::new(false),
            _lock: lock,
        })
    }

    pub(crate) fn now(&self) -> UnixMs {
        (self.config.time)()
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Long work looks here between its steps.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
