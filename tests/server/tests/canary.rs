//! What people wrote is nowhere in clear: not in the folder, not in the log at TRACE, while the server runs and after.
#![allow(clippy::unwrap_used)]

#[path = "support/binary.rs"]
mod binary;
mod support;

use binary::Binary;
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::path::Path;
use support::{PASSWORD, Phone, json_of, send_json};

const CANARY: &str = "canary-7f3a9d";

/// Files below a folder whose content has one of the words.
fn files_with(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, words));
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        for word in words {
            if content.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes())) {
                found.push(format!("{word} in {}", path.display()));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_canary_is_found_nowhere_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::serve(folder.path(), &["--log", "trace", "--organisation", CANARY]);
    let email = format!("{CANARY}@example.org");
    let mut phone = Phone::sign_up(&server.url, &email).await;
    let body = json!({"email": format!("b{email}"), "password": PASSWORD, "name": CANARY});
    let made = send_json(&phone.http, Method::POST, &format!("{}/v1/accounts", phone.url), None, &body).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let sealed = phone.seal(&[CANARY.repeat(1_000).as_bytes()]);
    let mut record = phone.record(&sealed);
    for field in ["note", "project", "file_name", "content_type"] {
        record[field] = json!(CANARY);
    }
    record["tags"] = json!([CANARY]);
    record["location"] = json!({"latitude": 46.123_456_7, "longitude": 8.765_432_1});
    phone.send_records(&[record]).await;
    let upload = phone.upload(&sealed, 0).await;
    assert_eq!(upload.patch(0, sealed.files[0].clone()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(phone.put_envelope(&sealed).await.status(), StatusCode::NO_CONTENT);
    phone.check_countersigned(&sealed, &phone.settled_receipt(sealed.asset_id).await);
    let findings = json!({"findings": [{
        "task": "read_text", "model_id": "reader", "model_sha256": "0".repeat(64), "engine": "e", "accelerator_asked": "cpu",
        "accelerator_ran": "cpu", "ms": {"decode": 1.0, "pack": 1.0, "run": 1.0, "post": 1.0}, "boxes": [], "text": CANARY,
    }]});
    let path = format!("/v1/captures/{}/findings", sealed.capture_id);
    assert_eq!(phone.json(Method::PUT, &path, &findings).await.status(), StatusCode::NO_CONTENT);
    // Contents in places where they do not belong: paths, queries, broken JSON, wrong types.
    for path in [format!("/{CANARY}"), format!("/v1/captures/{CANARY}"), format!("/v1/captures?limit={CANARY}")] {
        assert!(phone.get(&path).await.status().is_client_error());
    }
    let wrong = phone.json(Method::PUT, &path, &json!({"findings": CANARY})).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = send_json(&phone.http, Method::POST, &format!("{}/v1/sessions", phone.url), None, &json!(CANARY)).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let session =
        json_of(phone.json(Method::POST, "/v1/sessions/refresh", &json!({"refresh_token": phone.refresh})).await).await;
    let refresh = std::mem::take(&mut phone.refresh);
    let secrets = [
        CANARY,
        "46.1234567",
        "Ada's phone",
        PASSWORD,
        &phone.access,
        &refresh,
        session["access_token"].as_str().unwrap(),
        &upload.capability,
    ];
    // Also the owner's own answer still has it, or this test would test nothing.
    let capture = phone.get(&format!("/v1/captures/{}", sealed.capture_id)).await;
    assert!(capture.text().await.unwrap().matches(CANARY).count() >= 6);
    assert_eq!(files_with(folder.path(), &secrets), Vec::<String>::new());
    let (ended, log) = server.terminate();
    assert!(ended);
    assert!(log.contains("answered") && log.contains("verified and countersigned"), "it was really logged");
    assert_eq!(secrets.iter().filter(|secret| log.contains(**secret)).count(), 0);
    assert_eq!(files_with(folder.path(), &secrets), Vec::<String>::new());
    private(folder.path());
}

/// Group and world have no rights.
fn private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
        if path.is_dir() {
            private(&path);
        }
    }
}
