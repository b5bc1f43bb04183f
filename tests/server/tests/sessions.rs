//! Signing up and in, expiry, rotation of refresh tokens, throttling.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use support::{PASSWORD, Phone, Timed, error, error_of, json_of, send_json, text};

const ACCESS_LASTS_MS: i64 = 15 * 60 * 1_000;

async fn post(phone: &Phone, path: &str, body: Value) -> Response {
    send_json(&phone.http, Method::POST, &format!("{}{path}", phone.url), None, &body).await
}

async fn refresh(phone: &Phone, token: &str) -> Response {
    post(phone, "/v1/sessions/refresh", json!({"refresh_token": token})).await
}

async fn refreshed(phone: &Phone, token: &str) -> String {
    let answer = refresh(phone, token).await;
    assert_eq!(answer.status(), StatusCode::OK);
    text(&json_of(answer).await["refresh_token"])
}

#[tokio::test]
async fn an_access_token_ends_and_the_session_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let phone = Phone::sign_up(&timed.server.url, "ada@example.org").await;
    timed.advance(ACCESS_LASTS_MS - 1);
    assert_eq!(phone.get("/v1/captures").await.status(), StatusCode::OK);
    timed.advance(1);
    assert_eq!(error_of(phone.get("/v1/captures").await).await, error(401, "access_expired"));
    let session = json_of(refresh(&phone, &phone.refresh).await).await;
    assert_eq!(session["server_time_ms"], json!(support::NOW.0 + ACCESS_LASTS_MS));
    assert_eq!(session["access_expires_ms"], json!(support::NOW.0 + 2 * ACCESS_LASTS_MS));
    let phone = Phone { access: text(&session["access_token"]), ..phone };
    assert_eq!(phone.get("/v1/captures").await.status(), StatusCode::OK);
    let out = phone.http.delete(format!("{}/v1/sessions", phone.url)).bearer_auth(&phone.access).send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    assert_eq!(error_of(phone.get("/v1/captures").await).await, error(401, "access_expired"));
    let ended = refresh(&phone, &text(&session["refresh_token"])).await;
    assert_eq!(error_of(ended).await, error(401, "refresh_invalid"));
}

#[tokio::test]
async fn a_token_says_for_whom_it_speaks_as_long_as_it_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let [ada, ben] = [
        Phone::sign_up(&timed.server.url, "ada@example.org").await,
        Phone::sign_up(&timed.server.url, "ben@example.org").await,
    ];
    let whose = async |phone: &Phone| json_of(phone.get("/v1/sessions").await).await;
    let (of_ada, of_ben) = (whose(&ada).await, whose(&ben).await);
    assert_eq!(of_ada["server_time_ms"], json!(support::NOW.0));
    assert_ne!(of_ada["account_id"], of_ben["account_id"]);
    assert_eq!(of_ada["organisation_id"], of_ben["organisation_id"]);
    let signed_in = json_of(refresh(&ada, &ada.refresh).await).await;
    assert_eq!(of_ada["account_id"], signed_in["account_id"]);
    timed.advance(ACCESS_LASTS_MS);
    assert_eq!(error_of(ada.get("/v1/sessions").await).await, error(401, "access_expired"));
}

#[tokio::test]
async fn the_previous_refresh_token_is_valid_until_its_successor_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let phone = Phone::sign_up(&timed.server.url, "ada@example.org").await;
    let first = phone.refresh.clone();
    let lost = refreshed(&phone, &first).await;
    let second = refreshed(&phone, &first).await;
    assert_ne!(lost, second, "an answer that was lost does not sign anyone out");
    let third = refreshed(&phone, &second).await;
    for ended in [&first, &lost] {
        assert_eq!(error_of(refresh(&phone, ended).await).await, error(401, "refresh_invalid"));
    }
    refreshed(&phone, &second).await;
    refreshed(&phone, &third).await;
    assert_eq!(error_of(refresh(&phone, &second).await).await, error(401, "refresh_invalid"));
    assert_eq!(error_of(refresh(&phone, "nonsense").await).await, error(401, "refresh_invalid"));
    timed.advance(91 * 24 * 60 * 60 * 1_000);
    assert_eq!(error_of(refresh(&phone, &third).await).await, error(401, "refresh_invalid"));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_comes_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let phone = Phone::sign_up(&timed.server.url, "ada@example.org").await;
    let sign_in =
        |email: &str, password: &str| post(&phone, "/v1/sessions", json!({"email": email, "password": password}));
    assert_eq!(error_of(sign_in("nobody@example.org", PASSWORD).await).await, error(401, "bad_credentials"));
    for _ in 0..5 {
        assert_eq!(error_of(sign_in("ada@example.org", "wrong password").await).await, error(401, "bad_credentials"));
    }
    let slowed = sign_in("ada@example.org", PASSWORD).await;
    assert_eq!(slowed.headers()["retry-after"], "1");
    assert_eq!(slowed.status(), StatusCode::TOO_MANY_REQUESTS);
    let slowed = json_of(slowed).await;
    assert_eq!((&slowed["code"], &slowed["retry_after_ms"]), (&json!("too_many_attempts"), &json!(1_000)));
    timed.advance(1_000);
    assert_eq!(sign_in(" ADA@example.org", PASSWORD).await.status(), StatusCode::OK, "case does not matter");
}

#[tokio::test]
async fn signing_up_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let phone = Phone::sign_up(&timed.server.url, "ada@example.org").await;
    let sign_up = |body: Value| post(&phone, "/v1/accounts", body);
    let cases = [
        (json!({"email": "Ada@example.org", "password": PASSWORD}), 409, "email_taken"),
        (json!({"email": "ada", "password": PASSWORD}), 422, "invalid_email"),
        (json!({"email": "a@b", "password": "1234567"}), 422, "password_too_short"),
        (json!({"email": "a@b", "password": "x".repeat(1_025)}), 422, "password_too_long"),
        (json!({"email": "a@b", "password": PASSWORD, "name": "x".repeat(201)}), 422, "invalid_name"),
        (json!({"email": "a@b"}), 422, "invalid_request"),
        (json!({"email": "a@b", "password": PASSWORD, "name": "x".repeat(20_000)}), 413, "body_too_large"),
    ];
    for (body, status, code) in cases {
        assert_eq!(error_of(sign_up(body).await).await, error(status, code));
    }
    let broken = phone.http.post(format!("{}/v1/accounts", phone.url)).body("{").send().await.unwrap();
    assert_eq!(error_of(broken).await, error(400, "malformed_json"));
}
