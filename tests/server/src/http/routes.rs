//! Every path of the API. The OpenAPI document lists the same ones; a test asks for each.

use super::error::ApiError;
use super::{
    accounts, captures, devices, envelopes, fault_injection, findings, models, openapi, receipts, records, sessions,
    trust, tus, upload_patch, uploads,
};
use crate::app::AppState;
use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, options, post, put};

/// The whole API.
pub(crate) fn router(app: AppState) -> Router {
    let uploads = Router::new()
        .route("/v1/uploads", options(tus::options).post(uploads::create))
        .route(
            "/v1/uploads/{upload_id}",
            options(tus::upload_options).head(uploads::head).patch(upload_patch::patch).delete(uploads::terminate),
        )
        .layer(middleware::from_fn(tus::speak_tus));
    Router::new()
        .route("/v1/accounts", post(accounts::sign_up))
        .route("/v1/sessions", post(sessions::sign_in).get(sessions::whose).delete(sessions::sign_out))
        .route("/v1/sessions/refresh", post(sessions::refresh))
        .route("/v1/devices/{device_id}", put(devices::register))
        .route("/v1/trust", get(trust::trust))
        .route("/v1/models", get(models::newest))
        .route("/v1/models/files/{sha256}", get(models::file))
        .route("/v1/records", post(records::records))
        .route("/v1/captures", get(captures::list))
        .route("/v1/captures/{capture_id}", get(captures::one))
        .route("/v1/captures/{capture_id}/findings", put(findings::put_findings))
        .route("/v1/assets/{asset_id}/envelope", put(envelopes::put_envelope).get(envelopes::get_envelope))
        .route("/v1/assets/{asset_id}/receipt", get(receipts::one))
        .route("/v1/assets/{asset_id}/pieces/{index}", get(captures::piece))
        .route("/v1/receipts", post(receipts::many))
        .route("/openapi.json", get(openapi::document))
        .route("/healthz", get(trust::health))
        .merge(uploads)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(app.clone(), fault_injection::inject))
        .layer(middleware::from_fn_with_state(app.clone(), say_what_was_asked))
        .with_state(app)
}

async fn unknown_path() -> ApiError {
    ApiError::not_found("unknown_path", "there is nothing at this path; see /openapi.json")
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path does not know the method")
}

/// One line a request: method, the path's pattern (a path itself may hold anything), status, time. Never headers or bodies.
async fn say_what_was_asked(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let began = app.now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let has_body = request.body().size_hint().lower() > 0;
    let mut response = next.run(request).await;
    let path = path.as_ref().map_or("unknown", MatchedPath::as_str);
    let status = response.status().as_u16();
    tracing::debug!(%method, path, status, ms = app.now().0 - began.0, "answered");
    // Answers are for the caller alone, and JSON is not to be guessed into a page.
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let headers = response.headers_mut();
    if failed && has_body {
        // Part of the body may be unread, which ends the connection; a client must not send its next request on it.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    response
}
