//! One line of the journal, and the lines that a transaction will add.

use super::{base64_text::Base64, entry::Entry, key::KeyLine};
use serde::{Deserialize, Serialize};
use snaptrak_domain::AssetId;

/// A line as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line {
    /// A settled note: its envelope as text and its only piece, both sealed by themselves.
    Note { envelope: String, pieces: Vec<Base64> },
    /// The key of the sealed lines that follow.
    Key(KeyLine),
    /// An [`Entry`].
    Sealed(SealedLine),
    /// A line of a newer version.
    #[serde(other)]
    Unknown,
}

/// A line that says something only to whoever has its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedLine {
    /// Which key.
    pub(crate) key: AssetId,
    /// Counts the lines of this key from 0.
    pub(crate) n: u64,
    /// Nonce, ciphertext and tag.
    pub(crate) sealed: Base64,
}

impl Line {
    /// Reads a line without its end; `None`: cut short, or damaged.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Adds the line with its end.
    pub(crate) fn write_to(&self, buffer: &mut Vec<u8>) {
        serde_json::to_writer(&mut *buffer, self).expect("texts, numbers and lists always have JSON");
        buffer.push(b'\n');
    }
}

/// A line that is still to be written.
pub(super) enum NewLine {
    /// As it is.
    Open(Line),
    /// The JSON of an entry, which the journal seals.
    ToSeal(Vec<u8>),
}

/// What a transaction adds to the journal, in its order.
#[derive(Default)]
pub(crate) struct Lines(pub(super) Vec<NewLine>);

impl Lines {
    /// Adds an entry.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.entry_json(entry.to_json());
    }

    /// Adds an entry whose JSON is there already.
    pub(crate) fn entry_json(&mut self, json: Vec<u8>) {
        self.0.push(NewLine::ToSeal(json));
    }

    /// Adds a settled note.
    pub(crate) fn note(&mut self, envelope: &[u8], piece: &[u8]) {
        let envelope = String::from_utf8_lossy(envelope).into_owned();
        self.0.push(NewLine::Open(Line::Note { envelope, pieces: vec![Base64(piece.to_vec())] }));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes back what came after the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }
}

impl From<Vec<Entry>> for Lines {
    fn from(entries: Vec<Entry>) -> Self {
        let mut lines = Self::default();
        entries.iter().for_each(|entry| lines.entry(entry));
        lines
    }
}
