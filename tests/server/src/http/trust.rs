//! The signed trust bundle, and whether the server lives.

use super::error::ApiError;
use crate::app::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// The organisation's signed public keys. It vouches for itself, so nobody has to sign in for it.
#[utoipa::path(
    get, path = "/v1/trust", tag = "trust",
    responses((status = 200, description = "A trust bundle of the format `snaptrak.trust/1`", content_type = "application/json"))
)]
pub(crate) async fn trust(State(app): State<AppState>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from(app.organisation.trust_bundle.clone())).into_response()
}

/// Whether the server answers and its database can be read.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "`{\"ok\": true}`")))]
pub(crate) async fn health(State(app): State<AppState>) -> Result<Response, ApiError> {
    let organisation = app.database.read(crate::database::organisations::organisation).await?;
    let ok = organisation.id == app.organisation.id;
    Ok(axum::Json(serde_json::json!({ "ok": ok })).into_response())
}
