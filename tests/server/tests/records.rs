//! Records, findings, devices, listing, and that nobody sees another account's.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use snaptrak_domain::CaptureId;
use snaptrak_server::{FaultRules, RunningServer, Server, ServerConfig};
use std::sync::Arc;
use support::{Chance, NOW, Phone, Sealed, error, error_of, json_of};

fn start(folder: &tempfile::TempDir) -> RunningServer {
    Server::start(ServerConfig::loopback(folder.path())).unwrap()
}

fn outcome(outcome: &str, code: &str) -> (String, String) {
    (outcome.to_owned(), code.to_owned())
}

#[tokio::test]
async fn each_record_of_a_batch_has_its_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder);
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let (good, poisoned, stolen) = (phone.seal(&[b"a"]), phone.seal(&[b"b"]), phone.seal(&[b"c"]));
    let record = phone.record(&good);
    assert_eq!(phone.send_records(std::slice::from_ref(&record)).await, [outcome("accepted", "")]);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut record = record.clone();
        change(&mut record);
        record
    };
    let mut steals_an_asset = phone.record(&stolen);
    steals_an_asset["assets"][0]["id"] = json!(good.asset_id);
    let mut of_a_stranger = phone.record(&poisoned);
    of_a_stranger["device_id"] = json!(snaptrak_domain::DeviceId::new(NOW, &Chance).unwrap());
    let records = [
        record.clone(),
        changed(&|record| record["kind"] = json!("video")),
        changed(&|record| record["note"] = json!("later")),
        changed(&|record| record["assets"][0]["rendition"] = json!("redacted")),
        changed(&|record| record["location"] = json!({"latitude": 91.0, "longitude": 0.0})),
        json!({"id": "nonsense"}),
        json!(7),
        steals_an_asset,
        of_a_stranger,
        phone.record(&poisoned),
    ];
    let outcomes = phone.send_records(&records).await;
    let expected = [
        outcome("unchanged", ""),
        outcome("refused", "record_conflict"),
        outcome("accepted", ""),
        outcome("refused", "asset_conflict"),
        outcome("refused", "record_invalid"),
        outcome("refused", "record_invalid"),
        outcome("refused", "record_invalid"),
        outcome("refused", "asset_conflict"),
        outcome("refused", "unknown_device"),
        outcome("accepted", ""),
    ];
    assert_eq!(outcomes, expected);
    let capture = json_of(phone.get(&format!("/v1/captures/{}", good.capture_id)).await).await;
    assert_eq!((&capture["note"], &capture["kind"]), (&json!("later"), &json!("photo")));
    let many = vec![record; 101];
    let too_many = phone.json(Method::POST, "/v1/records", &json!({"records": many})).await;
    assert_eq!(error_of(too_many).await, error(413, "too_many_records"));
}

#[tokio::test]
async fn a_refused_capture_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(snaptrak_server::Faults::none());
    let config = ServerConfig { faults: faults.clone(), ..ServerConfig::loopback(folder.path()) };
    let server = Server::start(config).unwrap();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let (good, refused) = (phone.seal(&[b"a"]), phone.seal(&[b"b"]));
    faults.set(FaultRules { refuse_captures: vec![refused.capture_id], ..FaultRules::default() });
    let outcomes = phone.send_records(&[phone.record(&refused), phone.record(&good)]).await;
    assert_eq!(outcomes, [outcome("refused", "record_refused"), outcome("accepted", "")]);
}

#[tokio::test]
async fn pages_go_through_all_captures_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder);
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let sealed: Vec<Sealed> = (0..5).map(|_| phone.seal(&[b"x"])).collect();
    phone.send_records(&sealed.iter().map(|sealed| phone.record(sealed)).collect::<Vec<_>>()).await;
    let mut expected: Vec<CaptureId> = sealed.iter().map(|sealed| sealed.capture_id).collect();
    expected.sort();
    let (mut found, mut path) = (Vec::new(), "/v1/captures?limit=2".to_owned());
    loop {
        let page = json_of(phone.get(&path).await).await;
        found.extend(page["captures"].as_array().unwrap().iter().map(|capture| capture["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/captures?limit=2&after={next}");
    }
    assert_eq!(json!(found), json!(expected));
    assert_eq!(error_of(phone.get("/v1/captures?limit=x").await).await, error(400, "invalid_query"));
    assert_eq!(error_of(phone.get("/v1/captures?after=x").await).await, error(400, "invalid_id"));
}

#[tokio::test]
async fn findings_replace_what_the_same_model_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder);
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let sealed = phone.seal(&[b"a"]);
    let path = format!("/v1/captures/{}/findings", sealed.capture_id);
    let finding = |model: &str, label: &str| {
        json!({
            "task": "detect", "model_id": model, "model_sha256": "0".repeat(64), "engine": "onnxruntime 1.31.1",
            "accelerator_asked": "cpu", "accelerator_ran": "cpu",
            "ms": {"decode": 1.0, "pack": 1.0, "run": 1.0, "post": 1.0},
            "boxes": [{"label": label, "score": 0.5, "x": 0.0, "y": 0.0, "w": 1.0, "h": 1.0}],
        })
    };
    let put = |findings: Vec<Value>| {
        let body = json!({"findings": findings});
        let (phone, path) = (&phone, &path);
        async move { phone.json(Method::PUT, path, &body).await }
    };
    assert_eq!(error_of(put(vec![finding("m", "cat")]).await).await, error(404, "unknown_capture"));
    phone.send_records(&[phone.record(&sealed)]).await;
    let batches = [
        vec![finding("m", "cat"), finding("m", "dog")],
        vec![finding("n", "cow")],
        vec![finding("m", "horse")],
        vec![],
    ];
    for findings in batches {
        assert_eq!(put(findings).await.status(), StatusCode::NO_CONTENT);
    }
    let capture = json_of(phone.get(&format!("/v1/captures/{}", sealed.capture_id)).await).await;
    assert_eq!(capture["findings"], json!([finding("m", "horse"), finding("n", "cow")]));
    let wrong = put(vec![json!({"task": "guess"})]).await;
    assert_eq!(error_of(wrong).await, error(422, "invalid_request"));
}

#[tokio::test]
async fn nobody_sees_or_touches_another_accounts_captures() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder);
    let owner = Phone::sign_up(&server.url, "ada@example.org").await;
    let other = Phone::sign_up(&server.url, "eve@example.org").await;
    let sealed = owner.seal(&[b"mine"]);
    owner.send_everything(&sealed).await;
    owner.settled_receipt(sealed.asset_id).await;

    let mut record = owner.record(&sealed);
    record["device_id"] = json!(other.device_id);
    assert_eq!(other.send_records(&[record]).await, [outcome("refused", "not_yours")]);
    let (capture, asset) = (sealed.capture_id, sealed.asset_id);
    let paths = [
        (format!("/v1/captures/{capture}"), "unknown_capture"),
        (format!("/v1/assets/{asset}/receipt"), "unknown_asset"),
        (format!("/v1/assets/{asset}/envelope"), "unknown_asset"),
        (format!("/v1/assets/{asset}/pieces/0"), "unknown_asset"),
    ];
    for (path, code) in paths {
        assert_eq!(error_of(other.get(&path).await).await, error(404, code));
    }
    assert_eq!(json_of(other.get("/v1/captures").await).await["captures"], json!([]));
    assert_eq!(error_of(other.put_envelope(&sealed).await).await, error(404, "unknown_asset"));
    assert_eq!(error_of(other.create(&sealed, 0).await).await, error(404, "unknown_asset"));
    let receipts = other.json(Method::POST, "/v1/receipts", &json!({"assets": [asset]})).await;
    assert_eq!(json_of(receipts).await["results"][0]["state"], "unknown");
    let findings = other.json(Method::PUT, &format!("/v1/captures/{capture}/findings"), &json!({"findings": []})).await;
    assert_eq!(error_of(findings).await, error(404, "unknown_capture"));
    let thief = Phone { device_id: owner.device_id, ..other };
    assert_eq!(error_of(thief.register().await).await, error(409, "device_taken"));
    for path in ["/v1/captures", "/v1/receipts", "/v1/records"] {
        let anyone = owner.http.get(format!("{}{path}", owner.url)).send().await.unwrap();
        assert!([401, 405].contains(&anyone.status().as_u16()));
    }
}
