//! What every tus 1.0.0 request and answer has in common: names, version, headers.

use super::error::ApiError;
use crate::app::App;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use snaptrak_domain::UnixMs;
use snaptrak_seal::piece::PIECE_SEALED_BYTES_MAX;
use std::time::{Duration, UNIX_EPOCH};

pub(crate) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(crate) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(crate) const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(crate) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub(crate) const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
pub(crate) const CAPABILITY: HeaderName = HeaderName::from_static("snaptrak-capability");
pub(crate) const CAPABILITY_EXPIRES: HeaderName = HeaderName::from_static("snaptrak-capability-expires");

/// The media type of every PATCH.
pub(crate) const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

pub(crate) const PROTOCOL: HeaderValue = HeaderValue::from_static("1.0.0");

/// Refuses other versions of tus, and marks every answer as one of this version.
pub(crate) async fn speak_tus(request: Request, next: Next) -> Response {
    let is_options = *request.method() == Method::OPTIONS;
    let mut response = if is_options || request.headers().get(RESUMABLE) == Some(&PROTOCOL) {
        next.run(request).await
    } else {
        let message = "send the header Tus-Resumable: 1.0.0";
        ApiError::new(StatusCode::PRECONDITION_FAILED, "tus_version", message)
            .with_header(VERSION, PROTOCOL)
            .into_response()
    };
    response.headers_mut().insert(RESUMABLE, PROTOCOL);
    response
}

/// The protocol's discovery.
#[utoipa::path(
    options, path = "/v1/uploads", tag = "uploads",
    responses((status = 204, description = "Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm"))
)]
pub(crate) async fn options() -> Response {
    capabilities()
}

/// The protocol's discovery, asked at an upload.
#[utoipa::path(
    options, path = "/v1/uploads/{upload_id}", tag = "uploads", params(("upload_id" = Uuid, Path)),
    responses((status = 204, description = "As at /v1/uploads"))
)]
pub(crate) async fn upload_options() -> Response {
    capabilities()
}

fn capabilities() -> Response {
    let headers = [
        (VERSION, PROTOCOL),
        (EXTENSION, HeaderValue::from_static("creation,termination,expiration,checksum")),
        (MAX_SIZE, HeaderValue::from(PIECE_SEALED_BYTES_MAX)),
        (CHECKSUM_ALGORITHM, HeaderValue::from_static("sha256,sha1")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// A header that holds a number.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value.ok_or_else(|| ApiError::bad_request("invalid_header", format!("the header {name} must be a number")))
}

/// One key of `Upload-Metadata`, decoded.
pub(crate) fn metadata(headers: &HeaderMap, key: &str) -> Option<String> {
    let pairs = headers.get(METADATA)?.to_str().ok()?;
    let value = pairs.split(',').find_map(|pair| pair.trim().strip_prefix(key)?.strip_prefix(' '))?;
    String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()
}

/// When an upload ends, as HTTP writes dates.
pub(crate) fn expires(at: UnixMs) -> HeaderValue {
    let since = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    HeaderValue::from_str(&httpdate::fmt_http_date(UNIX_EPOCH + since)).expect("an HTTP date is ASCII")
}

/// Until when an unfinished upload is kept: a phone that is offline for a week goes on where it stopped.
pub(crate) fn upload_ends(app: &App) -> UnixMs {
    const UPLOAD_LASTS_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
    UnixMs(app.now().0 + UPLOAD_LASTS_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_found_by_its_whole_key() {
        let mut headers = HeaderMap::new();
        headers.insert(METADATA, HeaderValue::from_static("pieces eA==, piece MA==,sha256 YWI=,empty"));
        assert_eq!(metadata(&headers, "piece").as_deref(), Some("0"));
        assert_eq!(metadata(&headers, "sha256").as_deref(), Some("ab"));
        assert_eq!(metadata(&headers, "empty"), None);
        assert_eq!(metadata(&headers, "asset"), None);
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(expires(UnixMs(784_111_777_000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
