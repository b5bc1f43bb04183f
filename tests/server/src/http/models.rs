//! The models that the organisation publishes: its signed manifest, and the files that some manifest of its names.

use super::authenticate::SignedIn;
use super::error::{ApiError, ErrorBody};
use super::file_body;
use crate::app::AppState;
use crate::database::models;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use snaptrak_domain::Sha256Digest;
use snaptrak_seal::sha256;

/// The organisation's newest signed manifest of models. Its signature vouches for it; what it says of staged rollout is for the
/// device to read.
#[utoipa::path(
    get, path = "/v1/models", tag = "models", security(("access" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the manifest that is known")),
    responses(
        (status = 200, description = "A signed manifest of the format `snaptrak.models/1`, with its `ETag`", content_type = "application/json"),
        (status = 304, description = "The one that is known is the newest"),
        (status = 404, description = "`no_models`: nothing was published", body = ErrorBody),
    )
)]
pub(crate) async fn newest(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let newest = app.database.read(move |transaction| models::newest(transaction, caller.organisation_id)).await?;
    let newest = newest.ok_or_else(|| ApiError::not_found("no_models", "the organisation has published no models"))?;
    let etag = format!("\"{}\"", sha256(&newest.signed));
    let is_known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let headers = [(ETAG, etag), (CACHE_CONTROL, "no-cache".to_owned())];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, "application/json")], Body::from(newest.signed)).into_response())
}

/// One file, by its digest.
#[utoipa::path(
    get, path = "/v1/models/files/{sha256}", tag = "models", security(("access" = [])),
    params(
        ("sha256" = String, Path, description = "Of the file, hexadecimal"),
        ("Range" = Option<String>, Header, description = "`bytes=N-` alone: goes on where a download broke off"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` of what arrived; with any other the answer is the whole"),
    ),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "The rest of the file, with `Content-Range`", content_type = "application/octet-stream"),
        (status = 404, description = "`unknown_file`", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`: the file is not that long", body = ErrorBody),
    )
)]
pub(crate) async fn file(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(sha256): Path<String>,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let unknown_file = || ApiError::not_found("unknown_file", "no published manifest names this file");
    let sha256: Sha256Digest = sha256.parse().map_err(|_| unknown_file())?;
    let bytes =
        app.database.read(move |transaction| models::file_bytes(transaction, caller.organisation_id, &sha256)).await?;
    file_body::answer(&app.folder.model(&sha256), bytes.ok_or_else(unknown_file)?, &sha256, &asked).await
}
