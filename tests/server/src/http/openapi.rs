//! The OpenAPI document: everything that the SDK relies on.

use super::error::ErrorBody;
use super::{
    accounts, captures, devices, envelopes, findings, model, models, receipts, records, sessions, trust, tus,
    upload_patch, uploads,
};
use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SnapTrak reference API",
        description = "What the SnapTrak SDK speaks. Times are integer milliseconds since 1970, ids are UUIDs, digests are \
          lowercase hexadecimal SHA-256. `/v1` grows only by addition.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        accounts::sign_up, sessions::sign_in, sessions::refresh, sessions::sign_out, sessions::whose, devices::register, trust::trust,
        records::records, captures::list, captures::one, captures::piece, findings::put_findings,
        envelopes::put_envelope, envelopes::get_envelope, receipts::one, receipts::many,
        tus::options, tus::upload_options, uploads::create, uploads::head, upload_patch::patch, uploads::terminate,
        models::newest, models::file, trust::health, document,
    ),
    components(schemas(
        ErrorBody, model::RecordModel, model::RecordAssetModel, model::LocationModel, model::FindingModel,
        model::FindingBoxModel, model::StageMsModel,
    )),
    modifiers(&Bearers),
)]
struct Api;

/// The two bearers: an account's access token, an upload's capability.
struct Bearers;

impl Modify for Bearers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for name in ["access", "capability"] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, description = "OpenAPI 3.1")))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use snaptrak_domain::record::Record;
    use snaptrak_domain::{Finding, Location};
    use std::collections::BTreeSet;

    fn names(value: &Value) -> BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    }

    fn documented(schema: &str) -> BTreeSet<String> {
        let document = serde_json::to_value(Api::openapi()).expect("the document is JSON");
        names(&document["components"]["schemas"][schema]["properties"])
    }

    #[test]
    fn documented_shapes_are_those_of_domain() {
        let record: Record = serde_json::from_value(json!({
            "id": "01890000-0000-7000-8000-000000000000", "kind": "photo", "created_ms": 1, "offset_minutes": 0,
            "device_id": "01890000-0000-7000-8000-000000000001", "note": "n", "tags": ["t"], "project": "p",
            "file_name": "f", "location": {"latitude": 1.0, "longitude": 2.0, "accuracy_m": 3.0}, "content_type": "c",
            "assets": [{"id": "01890000-0000-7000-8000-000000000002", "rendition": "original"}],
        }))
        .expect("a record with every field");
        let record = serde_json::to_value(record).expect("records serialize");
        assert_eq!(names(&record), documented("Record"));
        assert_eq!(names(&record["assets"][0]), documented("RecordAsset"));
        let location = Location { latitude: 1.0, longitude: 2.0, accuracy_m: Some(3.0) };
        assert_eq!(names(&serde_json::to_value(location).expect("places serialize")), documented("Location"));
        let finding: Finding = serde_json::from_value(json!({
            "task": "detect", "model_id": "m", "model_sha256": "0".repeat(64), "engine": "e", "accelerator_asked": "cpu",
            "accelerator_ran": "cpu", "ms": {"decode": 1.0, "pack": 1.0, "run": 1.0, "post": 1.0},
            "boxes": [{"label": "l", "score": 1.0, "x": 0.0, "y": 0.0, "w": 1.0, "h": 1.0}], "text": "t",
        }))
        .expect("a finding with every field");
        let finding = serde_json::to_value(finding).expect("findings serialize");
        assert_eq!(names(&finding), documented("Finding"));
        assert_eq!(names(&finding["boxes"][0]), documented("FindingBox"));
        assert_eq!(names(&finding["ms"]), documented("StageMs"));
    }
}
