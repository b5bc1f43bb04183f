//! From sign-up to countersignature over real HTTP, with both kinds of upload key.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::json;
use snaptrak_seal::KemAlgorithm;
use snaptrak_server::{Server, ServerConfig};
use support::{Phone, json_of};

#[tokio::test]
async fn evidence_is_taken_in_and_countersigned_with_both_kinds_of_key() {
    for kem in [KemAlgorithm::XWing, KemAlgorithm::X25519] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(ServerConfig { kem, ..ServerConfig::loopback(folder.path()) }).unwrap();
        let phone = Phone::sign_up(&server.url, "ada@example.org").await;
        assert_eq!(phone.upload_key().algorithm(), kem);
        let mut sealed = phone.seal(&[&[7; 200_000], b"", b"the end"]);
        sealed.note = Some("leaks at the flange".to_owned());
        phone.send_everything(&sealed).await;
        let receipt = phone.settled_receipt(sealed.asset_id).await;
        phone.check_countersigned(&sealed, &receipt);

        let answer = phone.json(Method::POST, "/v1/receipts", &json!({"assets": [sealed.asset_id]})).await;
        let results = json_of(answer).await;
        assert_eq!(results["results"][0]["asset_id"], json!(sealed.asset_id));
        assert_eq!(results["results"][0]["countersigned"], receipt["countersigned"]);

        let capture = json_of(phone.get(&format!("/v1/captures/{}", sealed.capture_id)).await).await;
        assert_eq!(capture["note"], "leaks at the flange");
        let asset = &capture["assets"][0];
        assert_eq!(asset["state"], "verified");
        assert_eq!(asset["bytes"], 200_007);
        assert_eq!(asset["sha256"], json!(snaptrak_seal::sha256(&sealed.plain)));
        for (index, file) in sealed.files.iter().enumerate() {
            assert_eq!(asset["pieces"][index]["sha256"], json!(sealed.pieces[index].sealed_sha256));
            let piece = phone.get(&format!("/v1/assets/{}/pieces/{index}", sealed.asset_id)).await;
            assert_eq!(piece.status(), StatusCode::OK);
            assert_eq!(piece.bytes().await.unwrap(), file);
        }
        let envelope = phone.get(&format!("/v1/assets/{}/envelope", sealed.asset_id)).await;
        assert_eq!(envelope.bytes().await.unwrap(), sealed.envelope.to_bytes(&sealed.data_key).unwrap());
        server.stop();
    }
}
