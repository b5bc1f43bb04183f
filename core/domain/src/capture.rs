//! A capture: one item of evidence with its metadata.

use crate::{AssetId, CaptureId, DeviceId, UnixMs, WallTime};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What kind of evidence a capture is. Decided by content when the app does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A still picture.
    Photo,
    /// Moving pictures, with or without sound.
    Video,
    /// Sound alone.
    Audio,
    /// A document: pages as PDF or pictures taken as a scan.
    Scan,
    /// Text that a person wrote.
    Note,
    /// Anything else.
    File,
}

impl Kind {
    /// Every kind, in the order of the vocabulary.
    pub const ALL: [Self; 6] = [Self::Photo, Self::Video, Self::Audio, Self::Scan, Self::Note, Self::File];

    /// The word in SQL, JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Scan => "scan",
            Self::Note => "note",
            Self::File => "file",
        }
    }
}

/// A word that is none of the vocabulary's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word for {what}")]
pub struct UnknownWord {
    /// What was being read.
    pub what: &'static str,
}

impl FromStr for Kind {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownWord { what: "kind" })
    }
}

/// A place, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Radius of uncertainty in metres, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy_m: Option<f64>,
}

impl Location {
    /// Whether all numbers are finite and within their ranges.
    pub fn is_valid(&self) -> bool {
        (-90.0..=90.0).contains(&self.latitude)
            && (-180.0..=180.0).contains(&self.longitude)
            && self.accuracy_m.is_none_or(|accuracy| accuracy.is_finite() && accuracy >= 0.0)
    }
}

/// EXIF orientation, 1 to 8 (TIFF tag 0x0112): how the stored picture must be turned to stand upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Orientation(u8);

impl Orientation {
    /// Stored upright.
    pub const UPRIGHT: Self = Self(1);

    /// From the tag's value.
    pub fn from_exif(value: u32) -> Option<Self> {
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).map(Self)
    }

    /// The tag's value.
    pub fn exif(self) -> u8 {
        self.0
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }
}

impl TryFrom<u8> for Orientation {
    type Error = UnknownWord;
    fn try_from(value: u8) -> Result<Self, UnknownWord> {
        Self::from_exif(u32::from(value)).ok_or(UnknownWord { what: "orientation" })
    }
}

impl From<Orientation> for u8 {
    fn from(orientation: Orientation) -> u8 {
        orientation.0
    }
}

/// What the file itself says of its making, read once at capture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbeddedMetadata {
    /// EXIF DateTimeOriginal as written, local time without a zone (`YYYY-MM-DDTHH:MM:SS`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub taken_local: Option<String>,
    /// EXIF OffsetTimeOriginal, minutes east of UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub taken_offset_minutes: Option<i32>,
    /// EXIF orientation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub orientation: Option<Orientation>,
    /// EXIF place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<Location>,
}

/// A capture's metadata. Sealed with the data key in the envelope; what of it leaves the device is decided by policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptureMetadata {
    /// The capture.
    pub capture_id: CaptureId,
    /// What it is.
    pub kind: Kind,
    /// Which device took it in.
    pub device_id: DeviceId,
    /// When `capture` was called.
    pub created: WallTime,
    /// Media type by content, for example `image/jpeg`.
    pub content_type: String,
    /// The name that the file had, as far as it is Unicode (other bytes are replaced, the name is never used as a path).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_name: Option<String>,
    /// What a person wrote about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// Words for finding it again.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The project it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    /// Where the app says it was taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<Location>,
    /// What the file says by itself.
    #[serde(default)]
    pub embedded: EmbeddedMetadata,
    /// A recording that ended with its process: what was complete by then is all that there is.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub interrupted: bool,
    /// How many bytes of an interrupted recording were kept: the stream breaks off here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interrupted_at_bytes: Option<u64>,
    /// When the last of them was written, by the device's own clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interrupted_at_ms: Option<UnixMs>,
    /// What ended a recording; absent for everything else, and while it goes on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_because: Option<EndedBecause>,
}

/// What ended a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBecause {
    /// The source had no more, or the app ended it.
    InputEnded,
    /// It was as long as it was allowed to be, in bytes.
    MaxBytes,
    /// It was as long as it was allowed to be, in time.
    MaxMs,
    /// The disk was nearly full; it ended while there was room to end well.
    LowSpace,
    /// Its process died, or a write failed.
    Interrupted,
}

impl EndedBecause {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::InputEnded, Self::MaxBytes, Self::MaxMs, Self::LowSpace, Self::Interrupted];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputEnded => "input_ended",
            Self::MaxBytes => "max_bytes",
            Self::MaxMs => "max_ms",
            Self::LowSpace => "low_space",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A capture as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureSummary {
    /// The capture.
    pub id: CaptureId,
    /// Its original.
    pub asset_id: AssetId,
    /// What it is.
    pub kind: Kind,
    /// State of its original.
    pub state: crate::AssetState,
    /// When it was captured.
    pub created: UnixMs,
    /// Plaintext length of the original.
    pub bytes: u64,
    /// Plaintext digest of the original; not known while it is being recorded.
    pub sha256: Option<crate::Sha256Digest>,
}
