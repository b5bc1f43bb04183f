//! The folder that is read: where its assets and journal files are. Nothing in it is ever written.

use super::report::{Findings, UnreadableCode};
use crate::{
    StoreError,
    journal::Line,
    layout::{self, Layout},
    store_file::StoreFile,
};
use rustix::fs::{FlockOperation, flock};
use snaptrak_domain::{AssetId, Sha256Digest};
use snaptrak_seal::{UntrustedEnvelope, envelope::ENVELOPE_BYTES_MAX};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
};

/// A folder with one of these is or was a store's.
const MARKS: [&str; 4] = ["store.json", "assets", "incoming", "journal"];

/// The line of a journal's key has sixteen wraps of two kilobytes at most.
const KEY_LINE_BYTES_MAX: u64 = 64 * 1024;

/// An asset's folder.
#[derive(Debug, Clone)]
pub(super) struct AssetFolder {
    pub(super) asset_id: AssetId,
    pub(super) path: PathBuf,
    pub(super) incoming: bool,
}

/// The folder of a store, held against whoever else would open it.
pub(super) struct Source {
    layout: Layout,
    /// The lock's file where there is one: none is made here.
    _lock: Option<File>,
}

impl Source {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        if !MARKS.iter().any(|mark| folder.join(mark).exists()) {
            return Err(StoreError::NotAStore);
        }
        let layout = Layout::new(folder);
        let lock = match File::open(layout.lock()) {
            Ok(file) => {
                match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => {}
                    Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::InUse),
                    Err(error) => return Err(StoreError::io("lock the store", error.into())),
                }
                Some(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("lock the store", error)),
        };
        Ok(Self { layout, _lock: lock })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A path as it is told: relative to the folder.
    pub(super) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(self.layout.root()).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// What the folder says that it is; nothing depends on it. A newer version's folder is refused before anything of it is
    /// misread.
    pub(super) fn store_file(&self, found: &mut Findings) -> Result<Option<StoreFile>, StoreError> {
        match StoreFile::read(&self.layout.store_file()) {
            Ok(file) => Ok(Some(file)),
            Err(error @ StoreError::NewerSchema { .. }) => Err(error),
            Err(StoreError::NotAStore) => {
                found.unreadable("store.json", UnreadableCode::MissingStoreFile);
                Ok(None)
            }
            Err(_) => {
                found.unreadable("store.json", UnreadableCode::DamagedStoreFile);
                Ok(None)
            }
        }
    }

    /// Every folder that is named like an asset, in the order of the ids.
    pub(super) fn assets(&self, found: &mut Findings) -> Vec<AssetFolder> {
        let mut assets = BTreeMap::new();
        for path in self.list(&self.layout.incoming(), found) {
            if let Some(asset_id) = named(&path) {
                assets.insert(asset_id, AssetFolder { asset_id, path, incoming: true });
            }
        }
        for part in self.list(&self.layout.assets(), found) {
            if part.symlink_metadata().is_ok_and(|part| !part.is_dir()) {
                continue;
            }
            for path in self.list(&part, found) {
                let Some(asset_id) = named(&path) else { continue };
                // Half a move, or half a copy: the place that has an envelope counts.
                if !assets.contains_key(&asset_id) || path.join(layout::ENVELOPE_NAME).exists() {
                    assets.insert(asset_id, AssetFolder { asset_id, path, incoming: false });
                }
            }
        }
        assets.into_values().collect()
    }

    /// The journal's files in the order in which they were written.
    pub(super) fn journal_files(&self, found: &mut Findings) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.list(&self.layout.journal(), found);
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        files
    }

    /// For which keys anything in the folder is wrapped; `None` where nothing that says so can be read. Read one file after the other, only
    /// as far as is asked.
    pub(super) fn wraps(&self) -> Option<impl Iterator<Item = Sha256Digest>> {
        let mut silent = Findings::default();
        let envelopes = self.assets(&mut silent).into_iter().filter_map(|folder| {
            let path = folder.path.join(layout::ENVELOPE_NAME);
            let bytes = layout::read_small(&path, ENVELOPE_BYTES_MAX as u64, "envelope").ok()??;
            let envelope = UntrustedEnvelope::parse(&bytes).ok()?;
            Some(envelope.claims().wraps.iter().map(|wrap| wrap.key_id).collect::<Vec<_>>())
        });
        let journals = self.journal_files(&mut silent).into_iter().filter_map(|path| {
            // A file begins with the line of its key.
            let mut line = String::new();
            io::BufReader::new(File::open(path).ok()?.take(KEY_LINE_BYTES_MAX)).read_line(&mut line).ok()?;
            match Line::parse(line.trim_end().as_bytes()) {
                Some(Line::Key(line)) => Some(line.recipients().chain(line.device_keys()).collect()),
                Some(Line::Note { .. } | Line::Sealed(_) | Line::Unknown) | None => None,
            }
        });
        let mut wraps = envelopes.chain(journals).flatten().peekable();
        wraps.peek().is_some().then_some(wraps)
    }

    /// Tells of assets that the journal knows and of which no folder is here: half a copy.
    pub(super) fn name_unknown(&self, assets: &BTreeSet<AssetId>, found: &mut Findings) {
        for asset_id in assets {
            let settled = self.layout.settled_asset(*asset_id);
            if !settled.exists() && !self.layout.incoming_asset(*asset_id).exists() {
                let path = settled.join(layout::ENVELOPE_NAME);
                found.unreadable(self.relative(&path), UnreadableCode::MissingEnvelope);
            }
        }
    }

    fn list(&self, folder: &Path, found: &mut Findings) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let result = fs::read_dir(folder).and_then(|entries| {
            for entry in entries {
                paths.push(entry?.path());
            }
            Ok(())
        });
        match result {
            Ok(()) => {}
            // Half a folder was copied, or it never had one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => found.unreadable(self.relative(folder), UnreadableCode::Unreadable),
        }
        paths
    }
}

fn named(path: &Path) -> Option<AssetId> {
    path.file_name()?.to_str()?.parse().ok()
}
