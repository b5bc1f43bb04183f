//! Making a store again from what lies in another one's folder: envelopes, pieces and journal alone.
//!
//! The folder that is read is never changed, and its database is not looked at: whatever became of it (deleted, damaged, put
//! back from an old backup, ahead of its folder after half a copy) makes no difference. What comes back has the ids, times,
//! digests, findings, receipts and places in the chain that it had.
//!
//! Order of events. Take both locks; find keys that open envelopes (the keyset's, or the organisation's recovery key); begin
//! the new folder with a marker `recovering`; place and insert every asset whose envelope opens, originals first; replay the
//! journal over the rows (notes, receipts, findings, tombstones, what is kept); settle (order of arrival, places in the chain
//! for what has none, steps, states, the journal of the new store); write `store.json`; take the marker away; open, which
//! closes recordings that were going on. Killed anywhere, the next run begins again and finds the pieces that are already
//! placed; until `store.json` is there nothing of the new folder is a store.
//!
//! Pieces are hard links where both folders are on one file system: no time, no room; room is freed when both are gone. They
//! are never written in place by anyone, so neither store can change the other's. What is still being recorded is copied.
//!
//! Broken off by its token, which is looked at between assets, journal files and batches of captures, a run ends as if it had been
//! killed there; once `store.json` is written it goes on to its end.
//!
//! Whatever cannot be read is told with its path and a code, and keeps nothing else from coming back. A full disk is
//! [`StoreError::Full`]; with more room the same call goes on.

mod apply;
mod asset;
mod bundle;
mod echo;
mod old_keys;
mod quarantine;
mod replay;
mod report;
mod settle;
mod source;
mod tar;
mod target;
mod transfer;

pub use bundle::{BundleReport, Unpacked, export_bundle, unpack_bundle};
pub use quarantine::InPlace;
pub(crate) use replay::DeviceKey;
pub use report::{RecoverReport, Unreadable, UnreadableCode};

use crate::{
    Store, StoreError, Surroundings,
    capture_rows::Witness,
    journal::Journal,
    keys::Keys,
    queue::{enrolment, tally},
    sealer::Sealer,
    store_file::StoreFile,
};
use asset::Assets;
use old_keys::OldKeys;
use report::{Findings, Outcome};
use settle::Moment;
use snaptrak_domain::{CancelToken, DeviceId, Sha256Digest, StoreId, queue_store};
use snaptrak_seal::RecipientPrivateKey;
use source::Source;
use std::{path::Path, sync::Arc};
use target::Target;

/// From where, into what, and with what.
pub struct Recovery<'a> {
    /// The folder of the store that is to be read. It stays as it is.
    pub from: &'a Path,
    /// The folder of the new store: absent, empty, or what an interrupted run left.
    pub into: &'a Path,
    /// The organisation's private recovery (or upload) key, for what the keyset cannot open.
    pub recovery_key: Option<RecipientPrivateKey>,
    /// A lost platform key without a recovery key makes an empty store with new keys instead of an error.
    pub without_keys: bool,
    /// Whom an accepted trust bundle, pinned to this root, names as recipients: the new journal is wrapped for them.
    pub recipients: &'a dyn Fn(&[u8], Sha256Digest) -> Vec<queue_store::Recipient>,
    /// Told after each asset: how many were looked at, of how many.
    pub progress: &'a dyn Fn(u64, u64),
    /// Ends the run with [`StoreError::Cancelled`]; the same call goes on.
    pub cancel: &'a CancelToken,
}

/// An error once the run was broken off.
fn go_on(cancel: &CancelToken) -> Result<(), StoreError> {
    if cancel.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
}

impl Store {
    /// Makes a new store of everything in a folder that can still be read, and opens it.
    pub fn recover(recovery: &Recovery<'_>, surroundings: Surroundings) -> Result<(Self, RecoverReport), StoreError> {
        let (into, mut found) = (recovery.into, Findings::default());
        if let Some(outcome) = target::untold(into)? {
            return Self::tell(Self::open(into, surroundings)?, outcome, recovery);
        }
        go_on(recovery.cancel)?;
        let source = Source::open(recovery.from)?;
        target::refuse_nested(recovery.from, into)?;
        let old_file = source.store_file(&mut found)?;
        let keys = OldKeys::open(
            source.layout(),
            surroundings.key_store.as_ref(),
            recovery.recovery_key.as_ref(),
            recovery.without_keys,
        )?;
        keys.refuse_wrong_key(&source)?;
        let (target, lock) = Target::begin(into)?;
        let outcome = Run { recovery, source: &source, keys: &keys, target: &target, surroundings: &surroundings }
            .fill(old_file, found)?;
        Self::tell(Self::open_locked(target.layout().clone(), surroundings, lock)?, outcome, recovery)
    }

    /// The report of a recovery whose store is open. Notes that waited are settled by the look at the counts, for the
    /// recipients that the store knows.
    fn tell(store: Self, outcome: Outcome, recovery: &Recovery<'_>) -> Result<(Self, RecoverReport), StoreError> {
        let trust =
            store.read_unsettled(|connection| Ok((enrolment::load(connection)?, enrolment::bundle(connection)?)))?;
        if let (Some(enrolment), Some(bundle)) = trust {
            store.set_recipients((recovery.recipients)(&bundle, enrolment.trust_root));
        }
        let captures = store.read(tally::originals)?.iter().map(|tally| tally.assets).sum();
        target::told(store.layout())?;
        Ok((store, outcome.report(captures)))
    }
}

/// The parts of one run.
struct Run<'a> {
    recovery: &'a Recovery<'a>,
    source: &'a Source,
    keys: &'a OldKeys,
    target: &'a Target,
    surroundings: &'a Surroundings,
}

impl Run<'_> {
    fn fill(&self, old_file: Option<StoreFile>, mut found: Findings) -> Result<Outcome, StoreError> {
        let Self { recovery, source, keys, target, surroundings } = *self;
        let (random, now) = (surroundings.random.as_ref(), surroundings.clock.now());
        let keysets = keys.keysets(random, now)?;
        let mut connection = target.make_database(&keysets, surroundings.key_store.as_ref())?;
        let new_keys = Arc::new(Keys::new(&keysets.background, surroundings.signer.clone())?);

        let media = new_keys.media_public();
        let mut assets =
            Assets { source, target, keys, media: &media, random, now, found: &mut found, cancel: recovery.cancel };
        let others = assets.bring_originals(&mut connection, recovery.progress)?;
        let mut replayed = replay::notes(&mut assets, &mut connection)?;
        assets.bring_others(&others, &mut connection, recovery.progress)?;
        replay::entries(&mut assets, &mut connection, &mut replayed)?;

        let device_id = match replayed.device_id().or(found.latest_device()) {
            Some(device_id) => device_id,
            None => DeviceId::new(now, random)?,
        };
        let chance = Arc::clone(&surroundings.random);
        let sealer = Arc::new(Sealer::new(Arc::clone(&new_keys), chance, device_id));
        if let Some((bundle, root)) = replayed.trust() {
            sealer.set_recipients(&(recovery.recipients)(bundle, root));
        }
        let mut journal = Journal::new(target.layout().journal(), Arc::clone(&surroundings.clock), sealer);
        let witness = Witness { instant: surroundings.clock.instant(), hardware: new_keys.signer.is_hardware() };
        replayed.write_to(&mut journal)?;
        replayed.take_in(&connection, &mut journal)?;
        source.name_unknown(&replayed.unknown, &mut found);
        settle::all(&mut connection, &mut journal, &Moment { witness, now }, &replayed, &mut found, recovery.cancel)?;
        go_on(recovery.cancel)?;
        let outcome = found.outcome(keys.kept());
        let file = match old_file {
            Some(old) => StoreFile::new(old.store_id, StoreId::new(now, random)?, old.created_ms),
            None => StoreFile::new(StoreId::new(now, random)?, StoreId::new(now, random)?, now),
        };
        target.finish(connection, journal, device_id, &file, &replayed, &outcome)?;
        Ok(outcome)
    }
}
