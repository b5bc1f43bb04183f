//! Signing up.

use super::body::{SMALL_BODY_BYTES_MAX, read_json};
use super::error::{ApiError, ErrorBody};
use super::sessions::{busy, email_digest};
use crate::app::AppState;
use crate::database::{AccountRow, accounts};
use crate::edge::OsRandom;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{AccountId, Secret};
use utoipa::ToSchema;
use uuid::Uuid;

/// NIST SP 800-63B: at least eight characters, no rules on which.
const PASSWORD_CHARACTERS_MIN: usize = 8;
/// Passphrases fit; a megabyte to hash does not.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// RFC 5321's longest path, without its brackets.
const EMAIL_BYTES_MAX: usize = 254;
/// Names of people and devices.
pub(crate) const NAME_CHARACTERS_MAX: usize = 200;

const EMAIL_COLUMN: &str = "account.email";
const NAME_COLUMN: &str = "account.name";

/// A new account.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignUp {
    /// The address; upper and lower case are the same.
    email: String,
    /// At least eight characters.
    #[schema(format = Password)]
    password: String,
    /// How the person is called.
    #[serde(default)]
    name: Option<String>,
}

/// The account that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedUp {
    account_id: Uuid,
    organisation_id: Uuid,
}

/// Makes an account.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", request_body = SignUp,
    responses(
        (status = 201, body = SignedUp),
        (status = 409, description = "`email_taken`", body = ErrorBody),
        (status = 422, description = "`invalid_email`, `invalid_name`, `password_too_short`, `password_too_long`", body = ErrorBody),
        (status = 429, description = "`busy`", body = ErrorBody),
    )
)]
pub(crate) async fn sign_up(State(app): State<AppState>, body: Body) -> Result<(StatusCode, Json<SignedUp>), ApiError> {
    let SignUp { email, password, name } = read_json(&app, body, SMALL_BODY_BYTES_MAX).await?;
    let password = Secret::new(password.into_bytes());
    check(&email, &password, name.as_deref())?;
    let now = app.now();
    let id = AccountId::new(now, &OsRandom)?;
    let row = id.to_string();
    let seal = |column, text: &str| app.at_rest.seal(column, row.as_bytes(), text.as_bytes(), &OsRandom);
    let email_sealed = seal(EMAIL_COLUMN, &email)?;
    let name_sealed = name.as_deref().map(|name| seal(NAME_COLUMN, name)).transpose()?;
    let password = app.passwords.make(password, app.at_rest.clone(), row.clone()).await.map_err(busy)?;
    let organisation_id = app.organisation.id;
    let email_digest = email_digest(&app, &email);
    let account = AccountRow { id, organisation_id, email_digest, email_sealed, name_sealed, password };
    let made = app.database.write(move |transaction| accounts::insert(transaction, &account, now)).await?;
    if !made {
        return Err(ApiError::conflict("email_taken", "an account with this address exists"));
    }
    tracing::info!(account = %id, "account made");
    Ok((StatusCode::CREATED, Json(SignedUp { account_id: id.0, organisation_id: organisation_id.0 })))
}

fn check(email: &str, password: &Secret, name: Option<&str>) -> Result<(), ApiError> {
    let plausible = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !plausible || email.len() > EMAIL_BYTES_MAX || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(ApiError::unprocessable("invalid_email", "this is not an e-mail address"));
    }
    if name.is_some_and(|name| name.chars().count() > NAME_CHARACTERS_MAX) {
        return Err(ApiError::unprocessable("invalid_name", "a name has at most 200 characters"));
    }
    let password = std::str::from_utf8(password.expose()).unwrap_or_default();
    if password.chars().count() < PASSWORD_CHARACTERS_MIN {
        return Err(ApiError::unprocessable("password_too_short", "a password has at least 8 characters"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(ApiError::unprocessable("password_too_long", "a password has at most 1,024 bytes"));
    }
    Ok(())
}
