//! SIGKILL at any time: nothing that was acknowledged is lost, and what was under way goes on.
#![allow(clippy::unwrap_used)]

#[path = "support/binary.rs"]
mod binary;
mod support;

use binary::Binary;
use reqwest::StatusCode;
use std::time::Duration;
use support::{Phone, Upload, header};

#[tokio::test]
async fn an_upload_goes_on_after_a_kill_and_verification_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::serve(folder.path(), &[]);
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    // Incompressible and long enough for several syncs.
    let plain: Vec<u8> = (0..24_000_000_u32).map(|count| (count.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sealed = phone.seal(&[&plain]);
    phone.send_records(&[phone.record(&sealed)]).await;
    assert_eq!(phone.put_envelope(&sealed).await.status(), StatusCode::NO_CONTENT);
    let upload = phone.upload(&sealed, 0).await;
    let file = &sealed.files[0];
    let acknowledged = 1_000_000;
    assert_eq!(upload.patch(0, file[..acknowledged].to_vec()).await.status(), StatusCode::NO_CONTENT);
    // Killed in the middle of what follows, at a moment that nobody chose.
    let rest = file[acknowledged..].to_vec();
    let sending = tokio::spawn(upload.patch_request(acknowledged as u64).body(rest).send());
    tokio::time::sleep(Duration::from_millis(15)).await;
    server.kill();
    let answered = sending.await.unwrap().is_ok_and(|answer| answer.status() == StatusCode::NO_CONTENT);

    let server = Binary::serve(folder.path(), &[]);
    let phone = Phone { url: server.url.clone(), ..phone };
    let created = phone.create(&sealed, 0).await;
    assert_eq!(created.status(), StatusCode::OK, "the upload is known");
    let offset: usize = header(&created, "upload-offset").parse().unwrap();
    assert!(offset >= acknowledged, "what was acknowledged is here: {offset}");
    assert!(!answered || offset == file.len());
    // The capability of before the kill is still good.
    let upload = Upload { url: format!("{}{}", server.url, header(&created, "location")), ..upload };
    assert_eq!(upload.patch(offset as u64, file[offset..].to_vec()).await.status(), StatusCode::NO_CONTENT);
    // Killed while the verifier opens the pieces, or just before or after.
    server.kill();
    let server = Binary::serve(folder.path(), &[]);
    let phone = Phone { url: server.url.clone(), ..phone };
    phone.check_countersigned(&sealed, &phone.settled_receipt(sealed.asset_id).await);
    let (ended, log) = server.terminate();
    assert!(ended, "{log}");
}

#[tokio::test]
async fn a_lost_answer_to_a_completion_and_a_cut_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("faults.json");
    let data = folder.path().join("data");
    let server = Binary::serve(&data, &["--fault-file", orders.to_str().unwrap()]);
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let sealed = phone.seal(&[&[5; 500_000]]);
    phone.send_records(&[phone.record(&sealed)]).await;
    let upload = phone.upload(&sealed, 0).await;
    let order = |action: &str| {
        let rule = format!(
            r#"{{"rules":[{{"id":"{}","method":"PATCH","path_prefix":"/v1/uploads","times":1,"action":{action}}}]}}"#,
            action.len()
        );
        std::fs::write(&orders, rule).unwrap();
    };
    let send = |offset: usize| upload.patch_request(offset as u64).body(sealed.files[0][offset..].to_vec()).send();
    order(r#"{"answer": {"status": 503, "retry_after_ms": 1500}}"#);
    let failed = send(0).await.unwrap();
    assert_eq!((failed.status().as_u16(), header(&failed, "retry-after")), (503, "2".to_owned()));
    order(r#"{"drop_connection": {"after_bytes": 200000}}"#);
    assert!(send(0).await.is_err());
    // What had arrived becomes durable a moment after the cut.
    for _ in 0..600 {
        if upload.offset().await == 200_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    order(r#""drop_answer""#);
    assert!(send(200_000).await.is_err());
    assert_eq!(upload.offset().await, sealed.files[0].len() as u64);
    assert_eq!(phone.put_envelope(&sealed).await.status(), StatusCode::NO_CONTENT);
    phone.check_countersigned(&sealed, &phone.settled_receipt(sealed.asset_id).await);
    server.kill();
}
