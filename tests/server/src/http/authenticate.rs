//! Who asks: a bearer token that names a session, or a capability that names one upload.

use super::error::ApiError;
use crate::app::AppState;
use crate::database::{Caller, sessions};
use crate::token;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

/// A signed-in caller.
pub(crate) struct SignedIn(pub(crate) Caller);

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let digest = bearer_digest(&parts.headers).ok_or_else(|| {
            ApiError::unauthorized("unauthenticated", "sign in and send the access token as a bearer")
        })?;
        let now = app.now();
        let caller = app.database.read(move |transaction| sessions::caller(transaction, &digest, now)).await?;
        caller.map(Self).ok_or_else(|| {
            ApiError::unauthorized("access_expired", "the access token is unknown or has expired; refresh it")
        })
    }
}

/// The digest of the capability that the request shows.
pub(crate) struct CapabilityDigest(pub(crate) [u8; 32]);

impl FromRequestParts<AppState> for CapabilityDigest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        bearer_digest(&parts.headers)
            .map(Self)
            .ok_or_else(|| ApiError::unauthorized("unauthenticated", "send the upload's capability as a bearer"))
    }
}

fn bearer_digest(headers: &HeaderMap) -> Option<[u8; 32]> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    token::digest(text.trim())
}
