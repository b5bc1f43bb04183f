//! Opening a store: lock, keys, database, then what a kill left in `incoming/`.
//!
//! Each thing that can be wrong has its own answer, found in an order in which a later check cannot hide an earlier cause:
//! in use, no store, keyset missing or damaged, key not available or wrong, database damaged, newer schema. Nothing is
//! deleted on the way.

use crate::{
    Store, StoreError, Surroundings,
    ballast::{self, Ballast},
    chores::{Move, Sign, StoreChores},
    connection::{self, Access, Cipher},
    crowd::Crowd,
    database_key::{self, Candidate},
    gate::Gate,
    intake::Intake,
    journal::Journal,
    keep::Views,
    keys::Keys,
    keyset::{self, Keyset},
    layout::Layout,
    lock::Lock,
    migrate,
    purge::Remove,
    queue,
    readers::Readers,
    sealer::Sealer,
    session, setting,
    settle::Settle,
    shared_sync::SharedSync,
    store::{Files, Inner},
    store_file::StoreFile,
    tidy::{EmptyLog, GiveBack, LogLength},
    watch::Hub,
    writer::{WriteSide, Writer},
};
use rusqlite::Connection;
use snaptrak_domain::{DeviceId, KeyClass, StoreId};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

impl Store {
    /// Opens the store in `folder`.
    pub fn open(folder: &Path, surroundings: Surroundings) -> Result<Self, StoreError> {
        let layout = Layout::new(folder);
        // Before the lock, whose file would otherwise be made in a folder that is none of ours.
        StoreFile::read(&layout.store_file())?;
        let lock = Lock::take(&layout.lock())?;
        match Self::open_locked(layout.clone(), surroundings.clone(), lock) {
            // Opening writes a little, for which there may be no room: looking and purging must work all the same.
            Err(StoreError::Full) => {
                let lock = Lock::take(&layout.lock())?;
                if !ballast::remove(&layout) {
                    return Err(StoreError::Full);
                }
                let store = Self::open_locked(layout, surroundings, lock)?;
                store.inner.ballast.was_given_up();
                Ok(store)
            }
            other => other,
        }
    }

    pub(crate) fn open_locked(layout: Layout, surroundings: Surroundings, lock: Lock) -> Result<Self, StoreError> {
        let file = StoreFile::read(&layout.store_file())?;
        let background = keyset::read(&layout, KeyClass::Background, surroundings.key_store.as_ref())?;
        let (mut connection, cipher) = open_database(&layout, &background)?;
        let device_id = check_identity(&connection, &file)?;
        session::begin(&mut connection, &layout, file.generation_id)?;
        let keys = Arc::new(Keys::new(&background, surroundings.signer.clone())?);
        let files = Arc::new(Files::new(layout.clone()));
        let ballast = Ballast::new(layout.clone(), Arc::clone(&surroundings.disk), surroundings.ballast_bytes);
        let sealer = Arc::new(Sealer::new(Arc::clone(&keys), Arc::clone(&surroundings.random), device_id));
        let journal = Journal::new(layout.journal(), Arc::clone(&surroundings.clock), Arc::clone(&sealer));
        let (intake, gate) = (Arc::new(Intake::default()), Arc::new(Gate::default()));
        let log_length = LogLength::default();
        log_length.listen(&mut connection)?;
        let chores = StoreChores::new(vec![
            Box::new(Settle { intake: Arc::clone(&intake), sealer: Arc::clone(&sealer) }),
            Box::new(Sign(Arc::clone(&keys))),
            Box::new(Move(Arc::clone(&files))),
            Box::new(Remove(Arc::clone(&files))),
            Box::new(EmptyLog::new(log_length, Arc::clone(&gate))),
            Box::new(GiveBack),
        ]);
        let hub = Arc::<Hub>::default();
        let side = WriteSide { connection, journal, hub: Arc::clone(&hub) };
        let store = Self {
            inner: Arc::new(Inner {
                files,
                keys,
                device_id,
                writer: Writer::start(side, Box::new(chores))?,
                hub,
                readers: Readers::new(layout.database(), cipher, gate),
                sealer,
                intake,
                incoming_sync: SharedSync::new(),
                ballast,
                views: Views::default(),
                crowd: Crowd::new(),
                surroundings,
                lock: Mutex::new(Some(Arc::new(lock))),
            }),
        };
        store.adopt_incoming()?;
        queue::void_leases(&store)?;
        store.read_unsettled(|connection| store.inner.intake.count(connection))?;
        store.inner.ballast.make();
        Ok(store)
    }
}

/// Opens the database with the key that is known to fit, or, after a rotation that was killed, with either of two.
fn open_database(layout: &Layout, background: &Keyset) -> Result<(Connection, Cipher), StoreError> {
    let candidates = database_key::find(&layout.database_key(), background)?;
    let (mut connection, found) = open_with_one_of(layout, &candidates)?;
    migrate::migrate(&mut connection)?;
    if candidates.len() > 1 || !layout.database_key().exists() {
        database_key::write(&layout.database_key(), found, None)?;
    }
    Ok((connection, found.cipher()))
}

fn open_with_one_of<'a>(
    layout: &Layout,
    candidates: &[Candidate<'a>],
) -> Result<(Connection, Candidate<'a>), StoreError> {
    let mut answer = StoreError::KeysetDamaged;
    for (place, candidate) in candidates.iter().enumerate() {
        match connection::open(&layout.database(), &candidate.cipher(), Access::Write) {
            Ok(connection) => return Ok((connection, *candidate)),
            // SQLCipher's word for a wrong key; what the first key was told stands where no other fits.
            Err(error @ StoreError::Damaged { .. }) if place == 0 => answer = error,
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(answer)
}

/// The database and the folder must be of one generation; the device's id comes along.
fn check_identity(connection: &Connection, file: &StoreFile) -> Result<DeviceId, StoreError> {
    let generation: Option<StoreId> = setting::read(connection, setting::GENERATION_ID)?;
    if generation != Some(file.generation_id) {
        return Err(StoreError::Damaged { what: "database and folder are of different generations" });
    }
    setting::read(connection, setting::DEVICE_ID)?.ok_or(StoreError::Damaged { what: "device id" })
}
