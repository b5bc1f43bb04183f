//! The journal over the rows: first the notes, which it alone holds, then everything that was only rows.
//!
//! Entries are applied in the order in which they were written, so that a later one replaces an earlier. Files that are
//! missing, lines that are cut short or damaged, and keys that do not open are told and passed over.

use super::{
    apply,
    asset::{self, Assets},
    go_on,
    old_keys::OldKeys,
    report::{Findings, UnreadableCode},
    source::Source,
};
use crate::{
    StoreError,
    intake::NewNote,
    journal::{Base64, Entry, Journal, Line, LineKey, Lines},
    layout, rows,
};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, CaptureId, DeviceId, Sha256Digest};
use snaptrak_seal::receipt::PUBLIC_KEY_BYTES;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A file of the journal ends at 8 MiB and one group of lines.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Keys of one journal: one a file of 8 MiB, and more than any device has room for.
const LINE_KEYS_MAX: usize = 100_000;

/// How the writer of the journal begins a key line.
const KEY_LINE_BEGINS: &[u8] = b"{\"type\":\"key\"";

/// Former public keys of a device that are kept: as many as the server takes.
const DEVICE_KEYS_MAX: usize = 64;

/// A public key that signed receipts of this store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceKey {
    device_id: DeviceId,
    signing_public: Base64,
}

impl DeviceKey {
    /// The SEC1 uncompressed point.
    pub(crate) fn point(&self) -> Option<[u8; PUBLIC_KEY_BYTES]> {
        self.signing_public.0.as_slice().try_into().ok()
    }
}

/// What the journal said that is no row, or that the new journal has to say again.
#[derive(Default)]
pub(super) struct Replayed {
    device_keys: Vec<DeviceKey>,
    enrolment: Option<Entry>,
    /// Captures whose metadata differs from what their envelope says.
    pub(super) metadata: BTreeSet<CaptureId>,
    /// Notes that were durable and not yet settled, or whose settled line is gone.
    pub(super) waiting: BTreeMap<AssetId, NewNote>,
    /// Assets that the journal knows and that have no row.
    pub(super) unknown: BTreeSet<AssetId>,
}

impl Replayed {
    /// The device that wrote last.
    pub(super) fn device_id(&self) -> Option<DeviceId> {
        self.device_keys.last().map(|key| key.device_id)
    }

    pub(super) fn device_keys(&self) -> &[DeviceKey] {
        &self.device_keys
    }

    /// The accepted trust bundle and the root to which it is pinned.
    pub(super) fn trust(&self) -> Option<(&[u8], Sha256Digest)> {
        match &self.enrolment {
            Some(Entry::Enrolment { trust_bundle, trust_root, .. }) => Some((&trust_bundle.0, *trust_root)),
            Some(_) | None => None,
        }
    }

    /// Puts the notes that wait into the intake, in their order: the opening store settles them.
    pub(super) fn take_in(&mut self, connection: &Connection, journal: &mut Journal) -> Result<(), StoreError> {
        let mut waiting: Vec<NewNote> = std::mem::take(&mut self.waiting).into_values().collect();
        waiting.sort_by_key(|note| note.number);
        let mut lines = Lines::default();
        for (number, note) in (1..).zip(&mut waiting) {
            note.number = number;
            self.unknown.remove(&note.asset_id);
            let json = Entry::Note(note.clone()).to_json();
            let sql = "INSERT INTO intake (number, entry) VALUES (?1, ?2)";
            rows::change(connection, sql, params![rows::signed(number)?, json])?;
            lines.entry_json(json);
        }
        journal.append(lines)
    }

    /// Says again what belongs to no capture.
    pub(super) fn write_to(&self, journal: &mut Journal) -> Result<(), StoreError> {
        let device =
            |key: &DeviceKey| Entry::Device { device_id: key.device_id, signing_public: key.signing_public.clone() };
        let entries: Vec<Entry> = self.device_keys.iter().map(device).chain(self.enrolment.clone()).collect();
        journal.append(entries.into())
    }

    fn device(&mut self, device_id: DeviceId, signing_public: Base64) {
        let key = DeviceKey { device_id, signing_public };
        self.device_keys.retain(|known| *known != key);
        if self.device_keys.len() >= DEVICE_KEYS_MAX {
            self.device_keys.remove(0);
        }
        self.device_keys.push(key);
    }
}

/// Notes: a settled one is its envelope and its only piece, in one line.
pub(super) fn notes(assets: &mut Assets<'_>, connection: &mut Connection) -> Result<Replayed, StoreError> {
    for file in assets.source.journal_files(assets.found) {
        go_on(assets.cancel)?;
        let place = assets.source.relative(&file);
        let Some(bytes) = read(&file, &place, assets.found) else { continue };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for line in lines(&bytes) {
            match Line::parse(line) {
                Some(Line::Note { envelope, pieces }) => note(assets, &transaction, &place, &envelope, &pieces)?,
                Some(Line::Key(_) | Line::Sealed(_)) => {}
                Some(Line::Unknown) => assets.found.unreadable(&place, UnreadableCode::NewerVersion),
                None => assets.found.unreadable(&place, broken(line)),
            }
        }
        transaction.commit()?;
    }
    Ok(Replayed::default())
}

fn note(
    assets: &mut Assets<'_>,
    transaction: &Transaction<'_>,
    place: &str,
    envelope: &str,
    pieces: &[Base64],
) -> Result<(), StoreError> {
    let opened = match assets.open(envelope.as_bytes(), None)? {
        Ok(opened) => opened,
        Err(code) => {
            assets.found.unreadable(place, code);
            return Ok(());
        }
    };
    let listed = &opened.envelope.content().pieces;
    let whole = |(entry, piece): (&snaptrak_seal::PieceEntry, &Base64)| {
        entry.sealed_bytes == piece.0.len() as u64 && snaptrak_seal::sha256(&piece.0) == entry.sealed_sha256
    };
    let ([_], [piece]) = (listed.as_slice(), pieces) else {
        assets.found.unreadable(place, UnreadableCode::DamagedLine);
        return Ok(());
    };
    if !opened.envelope.content().closed || !listed.iter().zip(pieces).all(whole) {
        assets.found.unreadable(place, UnreadableCode::DamagedPiece);
        return Ok(());
    }
    let asset_id = opened.envelope.content().asset_id;
    let known: Option<bool> =
        rows::first(transaction, "SELECT envelope IS NULL FROM asset WHERE id = ?1", [asset_id.as_bytes()], |row| {
            Ok(row.get(0)?)
        })?;
    let capture_id = opened.envelope.content().capture_id;
    let sql = "SELECT 1 FROM capture WHERE id = ?1";
    let taken = rows::first(transaction, sql, [capture_id.as_bytes()], |_| Ok(()))?.is_some();
    match known {
        None if taken => Ok(()),
        None => {
            asset::insert(transaction, &opened, Some(&piece.0), assets.now)?;
            apply::of_envelope(transaction, &opened).map(|_| ())
        }
        // A folder's envelope is newer than any line.
        Some(true) => Ok(()),
        Some(false) => {
            let sql = "UPDATE asset SET envelope = ?2 WHERE id = ?1";
            rows::change(transaction, sql, params![asset_id.as_bytes(), opened.bytes]).map(|_| ())
        }
    }
}

/// Everything else, once every asset that is there has its rows.
pub(super) fn entries(
    assets: &mut Assets<'_>,
    connection: &mut Connection,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    let (source, keys, found) = (assets.source, assets.keys, &mut *assets.found);
    // What could not be read of these files was told with the notes.
    let mut silent = Findings::default();
    let line_keys = line_keys(source, keys, &mut silent);
    for file in source.journal_files(&mut silent) {
        go_on(assets.cancel)?;
        let place = source.relative(&file);
        let Some(bytes) = read(&file, &place, &mut silent) else { continue };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for line in lines(&bytes) {
            let Some(Line::Sealed(line)) = Line::parse(line) else { continue };
            let Some(key) = line_keys.get(&line.key) else {
                found.unreadable(&place, UnreadableCode::NoKey);
                continue;
            };
            match key.open(&line).and_then(|json| Entry::from_json(&json)) {
                Some(entry) => replay(&transaction, entry, &place, found, replayed)?,
                None => found.unreadable(&place, UnreadableCode::DamagedLine),
            }
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Every key of the lines that can be opened. A key stands again in a later file when its recipients change, so all files are
/// looked through before any line is opened.
fn line_keys(source: &Source, keys: &OldKeys, silent: &mut Findings) -> BTreeMap<AssetId, LineKey> {
    let mut line_keys = BTreeMap::<AssetId, LineKey>::new();
    for file in source.journal_files(silent) {
        let Some(bytes) = read(&file, "", silent) else { continue };
        // Parsing every line only to find the few keys among them would cost as much again as opening them all.
        for line in lines(&bytes).filter(|line| line.starts_with(KEY_LINE_BEGINS)) {
            let Some(Line::Key(line)) = Line::parse(line) else { continue };
            if line_keys.len() < LINE_KEYS_MAX && !line_keys.contains_key(&line.id) {
                line_keys.extend(keys.line_key(&line).map(|key| (line.id, key)));
            }
        }
    }
    line_keys
}

fn replay(
    transaction: &Transaction<'_>,
    entry: Entry,
    place: &str,
    found: &mut Findings,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    apply::entry(transaction, &entry, place, found, replayed)?;
    if let Entry::Device { device_id, signing_public } = entry {
        replayed.device(device_id, signing_public);
    } else if matches!(entry, Entry::Enrolment { .. }) {
        replayed.enrolment = Some(entry);
    }
    Ok(())
}

/// A file of the journal; what cannot be read is told.
fn read(file: &Path, place: &str, found: &mut Findings) -> Option<Vec<u8>> {
    match layout::read_small(file, FILE_BYTES_MAX, "journal") {
        Ok(bytes) => bytes,
        Err(_) => {
            found.unreadable(place, UnreadableCode::Unreadable);
            None
        }
    }
}

/// The lines of a file without their ends; the last may have none.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// A line that a kill or a power cut ended early, or one whose bytes were changed.
fn broken(line: &[u8]) -> UnreadableCode {
    let cut = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof());
    if cut { UnreadableCode::TornLine } else { UnreadableCode::DamagedLine }
}
