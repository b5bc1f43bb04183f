//! Shapes of `snaptrak-domain` as the OpenAPI document shows them. The types themselves stay there, free of any HTTP crate;
//! a test compares the names of all fields.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A capture's record.
#[derive(Serialize, ToSchema)]
#[schema(as = Record)]
pub(crate) struct RecordModel {
    /// UUIDv7 made on the device.
    id: Uuid,
    /// `photo`, `video`, `audio`, `scan`, `note` or `file`.
    kind: String,
    created_ms: i64,
    /// Minutes east of UTC.
    offset_minutes: i32,
    device_id: Uuid,
    note: Option<String>,
    tags: Vec<String>,
    project: Option<String>,
    file_name: Option<String>,
    location: Option<LocationModel>,
    content_type: Option<String>,
    /// 1 to 16.
    assets: Vec<RecordAssetModel>,
}

/// An asset as its record announces it.
#[derive(Serialize, ToSchema)]
#[schema(as = RecordAsset)]
pub(crate) struct RecordAssetModel {
    id: Uuid,
    /// `original`, `redacted` or `thumbnail`.
    rendition: String,
}

/// A place, WGS 84.
#[derive(Serialize, ToSchema)]
#[schema(as = Location)]
pub(crate) struct LocationModel {
    latitude: f64,
    longitude: f64,
    accuracy_m: Option<f64>,
}

/// What one model said of one asset.
#[derive(Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingModel {
    /// `detect`, `classify`, `read_text`, `find_faces` or `embed`.
    task: String,
    model_id: String,
    /// Of the model's file, hexadecimal.
    model_sha256: String,
    engine: String,
    accelerator_asked: String,
    accelerator_ran: String,
    /// Milliseconds by stage.
    ms: StageMsModel,
    boxes: Vec<FindingBoxModel>,
    text: Option<String>,
}

/// Milliseconds by stage.
#[derive(Serialize, ToSchema)]
#[schema(as = StageMs)]
pub(crate) struct StageMsModel {
    decode: f64,
    pack: f64,
    run: f64,
    post: f64,
}

/// A box in pixels of the upright original.
#[derive(Serialize, ToSchema)]
#[schema(as = FindingBox)]
pub(crate) struct FindingBoxModel {
    label: String,
    score: f32,
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}
