//! What a recovery found: what is to be told, and what of it makes a capture incomplete.

use serde::{Deserialize, Serialize};
use snaptrak_domain::{AssetId, CaptureId, DeviceId, UnixMs};
use std::collections::BTreeSet;

/// Unreadable parts that are named one by one; more are counted. A folder of which nothing is readable names as many.
const LISTED_MAX: usize = 100_000;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// Why something could not be read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum UnreadableCode {
            $($(#[$doc])* $name,)*
        }

        impl UnreadableCode {
            /// The word in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

codes! {
    /// The envelope names a piece whose file is not there.
    MissingPiece = "missing_piece";
    /// A piece's bytes are not those that were sealed.
    DamagedPiece = "damaged_piece";
    /// The journal knows an asset of which nothing else is there.
    MissingEnvelope = "missing_envelope";
    /// An envelope is no envelope, does not authenticate, or contradicts itself.
    DamagedEnvelope = "damaged_envelope";
    /// No key that was given opens it.
    NoKey = "no_key";
    /// A newer version wrote it.
    NewerVersion = "newer_version";
    /// A thumbnail or redacted picture whose original is not there.
    MissingOriginal = "missing_original";
    /// A line of the journal is cut short, as a kill leaves it.
    TornLine = "torn_line";
    /// A line of the journal is not what was written.
    DamagedLine = "damaged_line";
    /// A receipt that speaks of other bytes, or claims a place in the chain that another one has.
    ReceiptContradicts = "receipt_contradicts";
    /// `store.json` is not there.
    MissingStoreFile = "missing_store_file";
    /// `store.json` is not what was written.
    DamagedStoreFile = "damaged_store_file";
    /// A bundle that ends before its archive does.
    TornBundle = "torn_bundle";
    /// The disk does not give it.
    Unreadable = "unreadable";
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Where, relative to the folder.
    pub path: String,
    /// Why.
    pub code: UnreadableCode,
}

/// What came of a recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoverReport {
    /// Captures whose envelope could be read; they are in the new store.
    pub readable: u64,
    /// Captures of these that are complete: every piece is here, or was left to the server before.
    pub recovered: u64,
    /// What could not be read, at most a hundred thousand.
    pub unreadable: Vec<Unreadable>,
    /// What could not be read and is not listed.
    pub unlisted: u64,
    /// The new store has the old one's keys; otherwise it has new ones and everything was wrapped for them.
    pub keys_kept: bool,
}

/// A piece that is not as its envelope says. Whether it is missed is known once the receipts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lacking {
    pub(super) capture_id: CaptureId,
    pub(super) asset_id: AssetId,
    pub(super) index: u32,
    pub(super) code: UnreadableCode,
    /// The folder is under `incoming/`.
    pub(super) incoming: bool,
}

/// What is found on the way.
#[derive(Default)]
pub(super) struct Findings {
    unreadable: Vec<Unreadable>,
    unlisted: u64,
    incomplete: BTreeSet<CaptureId>,
    pub(super) lacking: Vec<Lacking>,
    /// The device of the latest envelope.
    latest_device: Option<(UnixMs, DeviceId)>,
}

impl Findings {
    pub(super) fn unreadable(&mut self, path: impl Into<String>, code: UnreadableCode) {
        let one = Unreadable { path: path.into(), code };
        tracing::warn!(path = %one.path, code = code.as_str(), "cannot be recovered");
        if self.unreadable.len() >= LISTED_MAX {
            self.unlisted += 1;
        } else if self.unreadable.last() != Some(&one) {
            self.unreadable.push(one);
        }
    }

    pub(super) fn incomplete(&mut self, capture_id: CaptureId) {
        self.incomplete.insert(capture_id);
    }

    pub(super) fn device(&mut self, created: UnixMs, device_id: DeviceId) {
        if self.latest_device.is_none_or(|(known, _)| known <= created) {
            self.latest_device = Some((created, device_id));
        }
    }

    pub(super) fn latest_device(&self) -> Option<DeviceId> {
        self.latest_device.map(|(_, device_id)| device_id)
    }

    pub(super) fn take_unreadable(&mut self) -> Vec<Unreadable> {
        std::mem::take(&mut self.unreadable)
    }

    pub(super) fn outcome(&mut self, keys_kept: bool) -> Outcome {
        Outcome {
            incomplete: self.incomplete.len() as u64,
            unreadable: std::mem::take(&mut self.unreadable),
            unlisted: self.unlisted,
            keys_kept,
        }
    }
}

/// What is known when the new store's folder is complete, kept in it until it was told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    incomplete: u64,
    unreadable: Vec<Unreadable>,
    unlisted: u64,
    keys_kept: bool,
}

impl Outcome {
    /// The report, once the opened store has said how many captures it holds.
    pub(super) fn report(self, captures: u64) -> RecoverReport {
        RecoverReport {
            readable: captures,
            recovered: captures.saturating_sub(self.incomplete),
            unreadable: self.unreadable,
            unlisted: self.unlisted,
            keys_kept: self.keys_kept,
        }
    }
}
