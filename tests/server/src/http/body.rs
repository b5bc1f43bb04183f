//! Reading request bodies with a bound on their length and on how long they may send nothing.

use super::error::ApiError;
use crate::app::App;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::time::Duration;

/// Sign-in and the like: a few short fields.
pub(crate) const SMALL_BODY_BYTES_MAX: usize = 16 * 1024;

/// A batch of 100 records whose notes are as long as they may be, or one that needs every escape of JSON.
pub(crate) const RECORDS_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// 200 ids with quotes and commas are 8 KiB.
pub(crate) const RECEIPTS_BODY_BYTES_MAX: usize = 16 * 1024;

/// Findings of one capture: thousands of boxes, or a page of text a model.
pub(crate) const FINDINGS_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// Nothing came for too long.
    Idle,
    /// The connection broke.
    Broken,
}

impl From<BodyEnd> for ApiError {
    fn from(end: BodyEnd) -> Self {
        match end {
            BodyEnd::Idle => Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body stopped arriving"),
            BodyEnd::Broken => Self::bad_request("body_broken", "the body ended before its length"),
        }
    }
}

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Body, idle: Duration) -> Result<Option<Bytes>, BodyEnd> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        match tokio::time::timeout(idle, frame).await {
            Err(_) => return Err(BodyEnd::Idle),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(BodyEnd::Broken),
            Ok(Some(Ok(frame))) => {
                // Trailers say nothing that this API uses.
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// A whole body in memory.
pub(crate) async fn read_bytes(app: &App, mut body: Body, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("the body may have at most {bytes_max} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut body, app.config.body_idle).await? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A body of JSON. The error says where it is wrong and never what stood there.
pub(crate) async fn read_json<T: DeserializeOwned>(app: &App, body: Body, bytes_max: usize) -> Result<T, ApiError> {
    let bytes = read_bytes(app, body, bytes_max).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => {
                ApiError::unprocessable("invalid_request", format!("a field is missing or has a wrong type at {place}"))
            }
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => {
                ApiError::bad_request("malformed_json", format!("the body is not JSON at {place}"))
            }
        }
    })
}
