//! What the server answers when it does not do what was asked: a status, a stable code, a sentence without contents.

use crate::error::Error;
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Checksum mismatch of tus 1.0.0.
pub(crate) const CHECKSUM_MISMATCH: u16 = 460;

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A stable word for programs.
    #[schema(example = "unknown_asset")]
    code: String,
    /// A sentence for people who read logs.
    message: String,
    /// When to come back, if the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<i64>,
}

/// An answer that is not success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    message: String,
    retry_after_ms: Option<i64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Cow::Borrowed(code), message: message.into(), retry_after_ms: None, headers: Vec::new() }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// The caller should come back later.
    pub(crate) fn later(status: StatusCode, code: &'static str, message: &str, retry_after_ms: i64) -> Self {
        let seconds = retry_after_ms.max(0).saturating_add(999) / 1_000;
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(status, code, message) }
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// tus 1.0.0 knows no registered word for it.
    pub(crate) fn checksum_mismatch(code: &'static str, message: &str) -> Self {
        let status = StatusCode::from_u16(CHECKSUM_MISMATCH).expect("460 is between 100 and 999");
        Self::new(status, code, message)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Another code, where a test chose one.
    pub(crate) fn with_code(mut self, code: Option<String>) -> Self {
        self.code = code.map_or(self.code, Cow::Owned);
        self
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> &str {
        &self.code
    }
}

/// Our own failure: the log says what, the caller only that.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; the log says why")
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<snaptrak_domain::RandomError> for ApiError {
    fn from(error: snaptrak_domain::RandomError) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body =
            ErrorBody { code: self.code.into_owned(), message: self.message, retry_after_ms: self.retry_after_ms };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
