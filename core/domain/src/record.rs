//! The record: a capture's metadata as the API knows it. The same struct is the request's JSON.

use crate::{AssetId, CaptureId, DeviceId, Kind, Location, Rendition, UnixMs};
use serde::{Deserialize, Serialize};

/// An asset as its record announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAsset {
    /// The asset.
    pub id: AssetId,
    /// Which rendition.
    pub rendition: Rendition,
}

/// A capture's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The capture.
    pub id: CaptureId,
    /// What it is.
    pub kind: Kind,
    /// When it was captured.
    pub created_ms: UnixMs,
    /// Local time's offset from UTC, minutes east.
    pub offset_minutes: i32,
    /// Which device.
    pub device_id: DeviceId,
    /// What a person wrote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// Words for finding it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    /// The file's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_name: Option<String>,
    /// Place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<Location>,
    /// Media type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content_type: Option<String>,
    /// Its assets so far.
    pub assets: Vec<RecordAsset>,
}
