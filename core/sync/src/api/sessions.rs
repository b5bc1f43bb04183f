//! Signing in, refreshing the pair of tokens, signing out.

use serde::{Deserialize, Serialize};
use snaptrak_domain::queue_store::Tokens;
use snaptrak_domain::transport::{Body, Method, Plan, Response};
use snaptrak_domain::{AccountId, OrganisationId, Secret, UnixMs};

use super::{ApiError, Call, expect_status, read_json};

/// Tokens are some hundred characters; a longer one is not kept.
const TOKEN_CHARACTERS_MAX: usize = 8_192;

/// A session as the server opened or renewed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedSession {
    /// The account.
    pub account_id: AccountId,
    /// Its organisation.
    pub organisation_id: OrganisationId,
    /// The pair of tokens.
    pub tokens: Tokens,
    /// The server's clock.
    pub server_time: UnixMs,
}

/// For whom an access token speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Whose {
    /// The account.
    pub account_id: AccountId,
    /// Its organisation.
    pub organisation_id: OrganisationId,
}

/// Plans the sign-in.
#[must_use]
pub fn plan_sign_in(call: &Call<'_>, email: &str, password: &str) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        email: &'a str,
        password: &'a str,
    }
    call.json(Method::Post, "/v1/sessions", &Request { email, password })
}

/// Plans the exchange of a refresh token for the next pair.
#[must_use]
pub fn plan_refresh(call: &Call<'_>, refresh: &Secret) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        refresh_token: &'a str,
    }
    let refresh_token = std::str::from_utf8(refresh.expose()).unwrap_or_default();
    call.json(Method::Post, "/v1/sessions/refresh", &Request { refresh_token })
}

/// Plans the question for whom the access token speaks.
#[must_use]
pub fn plan_whose(call: &Call<'_>) -> Plan {
    call.plan(Method::Get, "/v1/sessions", Vec::new(), Body::Empty)
}

/// Plans the end of the session.
#[must_use]
pub fn plan_sign_out(call: &Call<'_>) -> Plan {
    call.plan(Method::Delete, "/v1/sessions", Vec::new(), Body::Empty)
}

/// Reads the answer to a sign-in or a refresh.
pub fn read_session(response: &Response) -> Result<OpenedSession, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        account_id: AccountId,
        organisation_id: OrganisationId,
        access_token: String,
        access_expires_ms: UnixMs,
        refresh_token: String,
        server_time_ms: UnixMs,
    }
    let answer: Answer = read_json(response, &[200])?;
    for token in [&answer.access_token, &answer.refresh_token] {
        if !is_token(token.as_bytes()) {
            return Err(ApiError::protocol(response, "a token that cannot stand in a header"));
        }
    }
    let secret = |token: String| Secret::new(token.into_bytes());
    Ok(OpenedSession {
        account_id: answer.account_id,
        organisation_id: answer.organisation_id,
        tokens: Tokens {
            access: secret(answer.access_token),
            access_expires: answer.access_expires_ms,
            refresh: secret(answer.refresh_token),
        },
        server_time: answer.server_time_ms,
    })
}

/// Reads for whom the access token speaks; 401: for nobody.
pub fn read_whose(response: &Response) -> Result<Whose, ApiError> {
    read_json(response, &[200])
}

/// Whether these bytes can stand in a header as a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= TOKEN_CHARACTERS_MAX && bytes.iter().all(u8::is_ascii_graphic)
}

/// Reads the answer to a sign-out. An already ended session is as good as one that ends now.
pub fn read_sign_out(response: &Response) -> Result<(), ApiError> {
    expect_status(response, &[204, 401])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::answer;

    fn body(access: &str) -> String {
        let id = "01890000-0000-7000-8000-000000000001";
        format!(
            r#"{{"account_id":"{id}","organisation_id":"{id}","access_token":"{access}","access_expires_ms":900,
               "refresh_token":"r","server_time_ms":100,"added_later":true}}"#
        )
    }

    #[test]
    fn tokens_are_read_once_and_never_printed() {
        let session = read_session(&answer(200, &[], &body("swordfish"))).unwrap();
        assert_eq!(session.tokens.access.expose(), b"swordfish");
        assert_eq!((session.tokens.access_expires, session.server_time), (UnixMs(900), UnixMs(100)));
        assert!(!format!("{session:?}").contains("swordfish"));
    }

    #[test]
    fn a_token_that_would_break_a_header_is_refused() {
        for bad in ["", "a\\r\\nx: y", "a b"] {
            assert!(read_session(&answer(200, &[], &body(bad))).unwrap_err().is_protocol(), "{bad}");
        }
    }
}
