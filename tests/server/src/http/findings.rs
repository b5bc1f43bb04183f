//! Findings as amendments of a capture.

use super::authenticate::SignedIn;
use super::body::{FINDINGS_BODY_BYTES_MAX, read_json};
use super::error::{ApiError, ErrorBody};
use super::ids::id;
use crate::app::AppState;
use crate::at_rest::AtRest;
use crate::database::{FindingRow, captures, findings};
use crate::edge::OsRandom;
use crate::error::Error;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use snaptrak_domain::{CaptureId, Finding};
use std::collections::BTreeMap;
use utoipa::ToSchema;

const COLUMN: &str = "finding.findings";

/// A model's id is a name with a version.
const MODEL_ID_CHARACTERS_MAX: usize = 200;

/// What one or more models said.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Findings {
    /// Replaces all that the models named in it said before.
    #[schema(value_type = Vec<super::model::FindingModel>)]
    findings: Vec<Finding>,
}

/// Takes over findings. For each model named in them they replace what it said of this capture before.
#[utoipa::path(
    put, path = "/v1/captures/{capture_id}/findings", tag = "captures", security(("access" = [])),
    params(("capture_id" = Uuid, Path)), request_body = Findings,
    responses(
        (status = 204),
        (status = 404, description = "`unknown_capture`: send its record first", body = ErrorBody),
        (status = 422, description = "`invalid_request`, `too_many_models`", body = ErrorBody),
    )
)]
pub(crate) async fn put_findings(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(capture_id): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let capture_id: CaptureId = id(&capture_id)?;
    let Findings { findings } = read_json(&app, body, FINDINGS_BODY_BYTES_MAX).await?;
    let rows = seal_by_model(&app.at_rest, capture_id, &findings)?;
    let now = app.now();
    app.database
        .write(move |transaction| {
            captures::one(transaction, &caller, capture_id)?.ok_or_else(unknown_capture)?;
            for row in &rows {
                if !findings::replace(transaction, capture_id, row, now)? {
                    return Err(ApiError::unprocessable("too_many_models", "too many models spoke of this capture"));
                }
            }
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

pub(crate) fn unknown_capture() -> ApiError {
    ApiError::not_found("unknown_capture", "no record of yours announced this capture")
}

fn seal_by_model(at_rest: &AtRest, capture_id: CaptureId, findings: &[Finding]) -> Result<Vec<FindingRow>, ApiError> {
    let mut by_model: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        if finding.model_id.is_empty() || finding.model_id.chars().count() > MODEL_ID_CHARACTERS_MAX {
            return Err(ApiError::unprocessable("invalid_request", "a model's id has 1 to 200 characters"));
        }
        by_model.entry(&finding.model_id).or_default().push(finding);
    }
    let seal = |(model_id, findings): (&str, Vec<&Finding>)| {
        let json = serde_json::to_vec(&findings)
            .map_err(|_| ApiError::unprocessable("invalid_request", "a number of a finding is not finite"))?;
        let findings_sealed = at_rest.seal(COLUMN, &row(capture_id, model_id), &json, &OsRandom)?;
        Ok(FindingRow { model_id: model_id.to_owned(), findings_sealed })
    };
    by_model.into_iter().map(seal).collect()
}

/// Opens what one model said.
pub(crate) fn open(at_rest: &AtRest, capture_id: CaptureId, sealed: &FindingRow) -> Result<Vec<Finding>, Error> {
    let json = at_rest.open(COLUMN, &row(capture_id, &sealed.model_id), &sealed.findings_sealed)?;
    serde_json::from_slice(&json).map_err(|_| Error::SealedColumn { column: COLUMN })
}

fn row(capture_id: CaptureId, model_id: &str) -> Vec<u8> {
    [capture_id.as_bytes().as_slice(), model_id.as_bytes()].concat()
}
