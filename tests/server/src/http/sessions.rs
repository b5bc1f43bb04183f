//! Signing in, refreshing and signing out.

use super::authenticate::SignedIn;
use super::body::{SMALL_BODY_BYTES_MAX, read_json};
use super::error::{ApiError, ErrorBody};
use crate::app::{App, AppState};
use crate::database::{NewTokens, accounts, sessions};
use crate::edge::OsRandom;
use crate::password::PasswordError;
use crate::token::{self, Token};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AccountId, OrganisationId, Secret, UnixMs};
use utoipa::ToSchema;
use uuid::Uuid;

/// A session that is not refreshed for a quarter of a year ends: a phone in a drawer signs in again.
const REFRESH_LASTS_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// When to come back after `busy`.
const BUSY_RETRY_MS: i64 = 2_000;

/// Who signs in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignIn {
    email: String,
    #[schema(format = Password)]
    password: String,
}

/// A token to exchange.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Refresh {
    refresh_token: String,
}

/// A session's tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    account_id: Uuid,
    organisation_id: Uuid,
    /// Sent as a bearer with every request of this account.
    access_token: String,
    /// When the access token ends, by this server's clock.
    access_expires_ms: i64,
    /// Good for one exchange; it stays valid until the token that it brought is used.
    refresh_token: String,
    /// This server's clock now.
    server_time_ms: i64,
}

/// For whom an access token speaks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Whose {
    account_id: Uuid,
    organisation_id: Uuid,
    /// This server's clock now.
    server_time_ms: i64,
}

/// Says for whom the access token speaks, to a client that got it from somebody else.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "accounts", security(("access" = [])),
    responses(
        (status = 200, body = Whose),
        (status = 401, description = "`unauthenticated`, `access_expired`", body = ErrorBody),
    )
)]
pub(crate) async fn whose(State(app): State<AppState>, SignedIn(caller): SignedIn) -> Json<Whose> {
    Json(Whose {
        account_id: caller.account_id.0,
        organisation_id: caller.organisation_id.0,
        server_time_ms: app.now().0,
    })
}

/// Signs in.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", request_body = SignIn,
    responses(
        (status = 200, body = Session),
        (status = 401, description = "`bad_credentials`", body = ErrorBody),
        (status = 429, description = "`too_many_attempts`, `busy`; `retry_after_ms` says when", body = ErrorBody),
    )
)]
pub(crate) async fn sign_in(State(app): State<AppState>, body: Body) -> Result<Json<Session>, ApiError> {
    let SignIn { email, password } = read_json(&app, body, SMALL_BODY_BYTES_MAX).await?;
    let password = Secret::new(password.into_bytes());
    let now = app.now();
    let digest = email_digest(&app, &email);
    if let Some(pause_ms) = app.throttle().pause_ms(&digest, now) {
        let message = "too many failed sign-ins for this address";
        return Err(ApiError::later(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message, pause_ms));
    }
    let found = app.database.read(move |transaction| accounts::by_email(transaction, &digest)).await?;
    let account_id = found.as_ref().map(|(id, _)| *id);
    let stored = found.map(|(id, password)| (id.to_string(), password));
    let right = app.passwords.check(password, stored, app.at_rest.clone()).await.map_err(busy)?;
    let Some(account_id) = account_id.filter(|_| right) else {
        app.throttle().failed(digest, now);
        return Err(ApiError::unauthorized("bad_credentials", "address and password do not belong together"));
    };
    app.throttle().succeeded(&digest);
    let drawn = Drawn::new(&app, now)?;
    let tokens = drawn.stored;
    let session_id = OrganisationId::new(now, &OsRandom)?.0;
    let begin = move |transaction: &rusqlite::Transaction<'_>| {
        sessions::begin(transaction, session_id, account_id, &tokens, now)
    };
    let organisation_id = app.database.write(begin).await?;
    Ok(Json(drawn.session(account_id, organisation_id, now)))
}

/// Exchanges a refresh token.
#[utoipa::path(
    post, path = "/v1/sessions/refresh", tag = "accounts", request_body = Refresh,
    responses(
        (status = 200, body = Session),
        (status = 401, description = "`refresh_invalid`: sign in again", body = ErrorBody),
    )
)]
pub(crate) async fn refresh(State(app): State<AppState>, body: Body) -> Result<Json<Session>, ApiError> {
    let Refresh { refresh_token } = read_json(&app, body, SMALL_BODY_BYTES_MAX).await?;
    let invalid = || ApiError::unauthorized("refresh_invalid", "the refresh token is unknown, used up or has expired");
    let used = token::digest(&refresh_token).ok_or_else(invalid)?;
    let now = app.now();
    let drawn = Drawn::new(&app, now)?;
    let tokens = drawn.stored;
    let refreshed = app.database.write(move |transaction| sessions::refresh(transaction, &used, &tokens, now)).await?;
    let refreshed = refreshed.ok_or_else(invalid)?;
    Ok(Json(drawn.session(refreshed.account_id, refreshed.organisation_id, now)))
}

/// Ends the caller's session and all its tokens.
#[utoipa::path(
    delete, path = "/v1/sessions", tag = "accounts", security(("access" = [])),
    responses((status = 204), (status = 401, description = "`unauthenticated`, `access_expired`", body = ErrorBody))
)]
pub(crate) async fn sign_out(State(app): State<AppState>, SignedIn(caller): SignedIn) -> Result<StatusCode, ApiError> {
    app.database.write(move |transaction| sessions::end(transaction, caller.session_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How an address is found: trimmed and in lower case, under the server's HMAC.
pub(crate) fn email_digest(app: &App, email: &str) -> [u8; 32] {
    app.at_rest.lookup("email", email.trim().to_lowercase().as_bytes())
}

pub(crate) fn busy(error: PasswordError) -> ApiError {
    match error {
        PasswordError::Failed(error) => error.into(),
        PasswordError::Busy(_) => {
            let message = "too many people sign in at this moment";
            ApiError::later(StatusCode::TOO_MANY_REQUESTS, "busy", message, BUSY_RETRY_MS)
        }
    }
}

/// A pair of tokens before it is stored and sent.
struct Drawn {
    access: Token,
    refresh: Token,
    stored: NewTokens,
}

impl Drawn {
    fn new(app: &App, now: UnixMs) -> Result<Self, ApiError> {
        let (access, refresh) = (Token::new(&OsRandom)?, Token::new(&OsRandom)?);
        let stored = NewTokens {
            access_digest: access.digest,
            access_expires_ms: UnixMs(now.0 + app.config.access_token_ms),
            refresh_digest: refresh.digest,
            refresh_expires_ms: UnixMs(now.0 + REFRESH_LASTS_MS),
        };
        Ok(Self { access, refresh, stored })
    }

    fn session(&self, account_id: AccountId, organisation_id: OrganisationId, now: UnixMs) -> Session {
        Session {
            account_id: account_id.0,
            organisation_id: organisation_id.0,
            access_token: self.access.text.to_string(),
            access_expires_ms: self.stored.access_expires_ms.0,
            refresh_token: self.refresh.text.to_string(),
            server_time_ms: now.0,
        }
    }
}
