//! Shapes that several commands print. Their field names are what scripts rely on: `tests/contract/` holds them.

use crate::{human, words};
use serde::Serialize;
use snaptrak::{AssetId, AssetState, CaptureId, Captured, EndedBecause, Kind, Recorded, Sha256Digest};
use std::path::Path;

/// A capture that was just made.
#[derive(Debug, Serialize)]
pub(crate) struct CaptureEntry {
    pub(crate) id: CaptureId,
    pub(crate) kind: Kind,
    pub(crate) asset_id: AssetId,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256Digest,
    pub(crate) state: AssetState,
    /// The file that it was, as it was named on the command line; what of it is not Unicode is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Of a recording: a signal ended it before its input did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interrupted: Option<bool>,
    /// Of a recording: what ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_because: Option<EndedBecause>,
    /// Of a recording: how many pieces it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pieces: Option<u32>,
}

/// A path that was not captured. What of the path is not Unicode is replaced: JSON has no other text.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal {
    pub(crate) path: String,
    pub(crate) code: &'static str,
}

/// What `capture`, `note` and `record` answer.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CaptureResult {
    pub(crate) captures: Vec<CaptureEntry>,
    pub(crate) refused: Vec<Refusal>,
    /// Why the command ended before it had seen every file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<crate::output::ErrorShape>,
}

/// The schema of [`CaptureResult`].
pub(crate) const CAPTURE_SCHEMA: &str = "snaptrak.capture/1";

impl From<&Captured> for CaptureEntry {
    fn from(captured: &Captured) -> Self {
        Self {
            id: captured.capture_id,
            kind: captured.kind,
            asset_id: captured.asset_id,
            bytes: captured.bytes,
            sha256: captured.sha256,
            state: captured.state,
            path: None,
            interrupted: None,
            ended_because: None,
            pieces: None,
        }
    }
}

impl CaptureEntry {
    /// With the file that it was.
    pub(crate) fn of_file(captured: &Captured, file: &Path) -> Self {
        Self { path: Some(file.to_string_lossy().into_owned()), ..captured.into() }
    }
}

impl CaptureEntry {
    /// Of a recording; `interrupted` says that a signal ended it.
    pub(crate) fn of_recording(recorded: &Recorded, interrupted: bool) -> Self {
        Self {
            interrupted: Some(interrupted),
            ended_because: Some(recorded.ended_because),
            pieces: Some(recorded.pieces),
            ..(&recorded.captured).into()
        }
    }
}

impl CaptureResult {
    /// One capture.
    pub(crate) fn one(entry: CaptureEntry) -> Self {
        Self { captures: vec![entry], ..Self::default() }
    }

    /// Whether there is nothing to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.refused.is_empty()
    }

    /// For a person: what was captured; what was refused is said on standard error.
    pub(crate) fn words(&self) -> String {
        if self.captures.is_empty() {
            return String::new();
        }
        let cells = |capture: &CaptureEntry| {
            [capture.id.to_string(), capture.kind.as_str().to_owned(), human::size(capture.bytes)]
        };
        if self.captures.iter().all(|capture| capture.path.is_none()) {
            let rows: Vec<[String; 3]> = self.captures.iter().map(cells).collect();
            return human::table(["CAPTURE", "KIND", "SIZE"], &rows);
        }
        let rows: Vec<[String; 4]> = self
            .captures
            .iter()
            .map(|capture| {
                let [id, kind, size] = cells(capture);
                [id, kind, size, capture.path.clone().unwrap_or_default()]
            })
            .collect();
        human::table(["CAPTURE", "KIND", "SIZE", "FILE"], &rows)
    }
}

impl Refusal {
    /// For a person.
    pub(crate) fn words(&self) -> String {
        format!("not captured: {}: {}", self.path, words::of_refusal(self.code))
    }
}
