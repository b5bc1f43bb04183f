//! What the server says of envelopes that do not fit, and each way in which a verification fails.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use snaptrak_domain::{OrganisationId, Sha256Digest};
use snaptrak_seal::{KemAlgorithm, PieceAddress, PieceSealer, RecipientPrivateKey, SealedPiece, sha256};
use snaptrak_server::{RunningServer, Server, ServerConfig};
use support::{Chance, NOW, Phone, Sealed, error, error_of};

async fn signed_in(folder: &tempfile::TempDir) -> (RunningServer, Phone) {
    let server = Server::start(ServerConfig::loopback(folder.path())).unwrap();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    (server, phone)
}

async fn send_piece(phone: &Phone, sealed: &Sealed, index: usize) {
    let upload = phone.upload(sealed, index).await;
    assert_eq!(upload.patch(0, sealed.files[index].clone()).await.status(), StatusCode::NO_CONTENT);
}

fn waits_for(words: &[&str]) -> Value {
    json!({"state": "pending", "waiting_for": words})
}

#[tokio::test]
async fn a_receipt_says_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, phone) = signed_in(&folder).await;
    let sealed = phone.seal(&[b"one", b"two"]);
    phone.send_records(&[phone.record(&sealed)]).await;
    let receipt = || phone.settled_receipt(sealed.asset_id);
    assert_eq!(receipt().await, waits_for(&["envelope", "pieces", "device_receipt"]));
    let bytes = sealed.envelope.to_bytes(&sealed.data_key).unwrap();
    phone.put_envelope_bytes(sealed.asset_id, bytes, None).await;
    assert_eq!(receipt().await, waits_for(&["pieces", "device_receipt"]));
    send_piece(&phone, &sealed, 1).await;
    assert_eq!(receipt().await, waits_for(&["pieces", "device_receipt"]));
    send_piece(&phone, &sealed, 0).await;
    assert_eq!(receipt().await, waits_for(&["device_receipt"]));
    // The signer was slow: the receipt follows in a second request, inside the envelope.
    let mut signed = sealed.envelope.clone();
    signed.set_receipts(snaptrak_seal::EnvelopeReceipts { device: sealed.receipt.clone(), server: None });
    let bytes = signed.to_bytes(&sealed.data_key).unwrap();
    assert_eq!(phone.put_envelope_bytes(sealed.asset_id, bytes, None).await.status(), StatusCode::NO_CONTENT);
    phone.check_countersigned(&sealed, &receipt().await);
}

#[tokio::test]
async fn an_envelope_must_open_be_authentic_and_belong_to_its_asset() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, phone) = signed_in(&folder).await;
    let sealed = phone.seal(&[b"one"]);
    assert_eq!(error_of(phone.put_envelope(&sealed).await).await, error(404, "unknown_asset"));
    phone.send_records(&[phone.record(&sealed)]).await;
    let bytes = sealed.envelope.to_bytes(&sealed.data_key).unwrap();
    let put = |bytes: Vec<u8>| phone.put_envelope_bytes(sealed.asset_id, bytes, None);
    assert_eq!(error_of(put(b"{}".to_vec()).await).await, error(422, "envelope_invalid"));
    let altered = String::from_utf8(bytes.clone()).unwrap().replace("\"created_ms\":1", "\"created_ms\":2");
    assert_eq!(error_of(put(altered.into_bytes()).await).await, error(422, "envelope_invalid"));
    let other = phone.seal(&[b"one"]).envelope.to_bytes(&sealed.data_key).unwrap();
    assert_eq!(error_of(put(other).await).await, error(422, "envelope_invalid"));
    let receipt = phone.put_envelope_bytes(sealed.asset_id, bytes, Some(b"not COSE")).await;
    assert_eq!(error_of(receipt).await, error(422, "receipt_invalid"));
    assert_eq!(error_of(put(vec![b' '; 8 * 1024 * 1024 + 1]).await).await, error(413, "body_too_large"));

    let stranger = RecipientPrivateKey::generate(KemAlgorithm::X25519, &Chance).unwrap().public_key();
    let swapped = phone.seal_for(&stranger, phone.trust.organisation_id, &[b"one"]);
    phone.send_records(&[phone.record(&swapped)]).await;
    assert_eq!(error_of(phone.put_envelope(&swapped).await).await, error(409, "wrap_unknown_key"));
    let elsewhere = phone.seal_for(&phone.upload_key(), OrganisationId::new(NOW, &Chance).unwrap(), &[b"one"]);
    phone.send_records(&[phone.record(&elsewhere)]).await;
    assert_eq!(error_of(phone.put_envelope(&elsewhere).await).await, error(422, "envelope_invalid"));
}

#[tokio::test]
async fn an_envelope_keeps_what_it_listed_and_takes_new_wraps() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, phone) = signed_in(&folder).await;
    let sealed = phone.seal(&[b"one", b"two"]);
    phone.send_everything(&sealed).await;
    phone.check_countersigned(&sealed, &phone.settled_receipt(sealed.asset_id).await);
    // The same again, and with one more wrap, leave it verified.
    assert_eq!(phone.put_envelope(&sealed).await.status(), StatusCode::NO_CONTENT);
    let mut wrapped = sealed.envelope.clone();
    let device = RecipientPrivateKey::generate(KemAlgorithm::XWing, &Chance).unwrap().public_key();
    let recipient = snaptrak_seal::Recipient::Device;
    wrapped
        .add_wrap(snaptrak_seal::Wrap::seal(&sealed.data_key, &device, recipient, sealed.asset_id, &Chance).unwrap())
        .unwrap();
    let bytes = wrapped.to_bytes(&sealed.data_key).unwrap();
    let put = phone.put_envelope_bytes(sealed.asset_id, bytes.clone(), Some(&sealed.receipt)).await;
    assert_eq!(put.status(), StatusCode::NO_CONTENT);
    phone.check_countersigned(&sealed, &phone.settled_receipt(sealed.asset_id).await);
    let stored = phone.get(&format!("/v1/assets/{}/envelope", sealed.asset_id)).await;
    assert_eq!(stored.bytes().await.unwrap(), bytes);
    // Another receipt, or other pieces, would change what was countersigned.
    let other = phone.receipt(sealed.capture_id, sealed.asset_id, &sealed.pieces, sha256(b"other"), 6);
    let put = phone.put_envelope_bytes(sealed.asset_id, bytes, Some(&other)).await;
    assert_eq!(error_of(put).await, error(409, "envelope_conflict"));
}

#[tokio::test]
async fn another_piece_than_the_listed_one_is_dropped_and_may_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, phone) = signed_in(&folder).await;
    let sealed = phone.seal(&[b"one", b"two"]);
    phone.send_records(&[phone.record(&sealed)]).await;
    send_piece(&phone, &sealed, 0).await;
    // The same plaintext under another header arrived before the envelope.
    let address = PieceAddress { asset_id: sealed.asset_id, index: 1 };
    let mut sealer = PieceSealer::start(Vec::new(), &sealed.data_key, address, &Chance).unwrap();
    sealer.write_all(b"two").unwrap();
    let (file, piece) = sealer.finish().unwrap();
    let created = phone.create_with(sealed.asset_id, 1, piece.sealed_bytes, &piece.sealed_sha256).await;
    let upload = support::Upload {
        http: phone.http.clone(),
        url: format!("{}{}", phone.url, support::header(&created, "location")),
        capability: support::header(&created, "snaptrak-capability"),
    };
    assert_eq!(upload.patch(0, file).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(phone.put_envelope(&sealed).await.status(), StatusCode::NO_CONTENT);
    let receipt = phone.settled_receipt(sealed.asset_id).await;
    assert_eq!((&receipt["code"], &receipt["piece"]), (&json!("sealed_mismatch"), &json!(1)));
    send_piece(&phone, &sealed, 1).await;
    phone.check_countersigned(&sealed, &phone.settled_receipt(sealed.asset_id).await);
}

/// An asset whose envelope promises another plaintext than its piece holds.
fn promising(phone: &Phone, promise: impl Fn(&mut snaptrak_domain::SealedMetadata)) -> Sealed {
    let mut sealed = phone.seal(&[b"one", b"two"]);
    let mut metadata = phone.metadata(sealed.capture_id, &sealed.pieces, &sealed.plain);
    promise(&mut metadata);
    sealed.envelope.set_metadata(&metadata, &sealed.data_key, &Chance).unwrap();
    let whole = metadata.sha256.unwrap();
    let bytes = metadata.bytes;
    sealed.receipt = phone.receipt(sealed.capture_id, sealed.asset_id, &sealed.pieces, whole, bytes);
    sealed
}

#[tokio::test]
async fn another_plaintext_than_promised_is_a_mismatch() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, phone) = signed_in(&folder).await;
    let piece = promising(&phone, |metadata| metadata.pieces[1].sha256 = sha256(b"tow"));
    phone.send_everything(&piece).await;
    let receipt = phone.settled_receipt(piece.asset_id).await;
    assert_eq!((&receipt["code"], &receipt["piece"]), (&json!("plaintext_mismatch"), &json!(1)));
    let whole = promising(&phone, |metadata| metadata.sha256 = Some(sha256(b"twoone")));
    phone.send_everything(&whole).await;
    let receipt = phone.settled_receipt(whole.asset_id).await;
    assert_eq!((&receipt["code"], &receipt["piece"]), (&json!("plaintext_mismatch"), &Value::Null));
    // Sealed under another key: the digest of the sealed file is right, and it does not open.
    let mut foreign = phone.seal(&[b"one"]);
    let other = phone.seal(&[b"one"]);
    foreign.files = other.files;
    let taken = SealedPiece { sealed_sha256: sha256(&foreign.files[0]), ..foreign.pieces[0] };
    foreign.pieces = vec![taken];
    foreign.envelope = relisted(&phone, &foreign);
    foreign.receipt = phone.receipt(foreign.capture_id, foreign.asset_id, &foreign.pieces, sha256(b"one"), 3);
    phone.send_everything(&foreign).await;
    let receipt = phone.settled_receipt(foreign.asset_id).await;
    assert_eq!((&receipt["code"], &receipt["piece"]), (&json!("plaintext_mismatch"), &json!(0)));
    let capture = support::json_of(phone.get(&format!("/v1/captures/{}", foreign.capture_id)).await).await;
    assert_eq!(capture["assets"][0]["state"], "failed");
}

fn relisted(phone: &Phone, sealed: &Sealed) -> snaptrak_seal::Envelope {
    let content = sealed.envelope.content();
    let new = snaptrak_seal::NewEnvelope {
        organisation_id: content.organisation_id,
        device_id: content.device_id,
        capture_id: content.capture_id,
        asset_id: content.asset_id,
        rendition: content.rendition,
        created_ms: content.created_ms,
    };
    let metadata = phone.metadata(sealed.capture_id, &sealed.pieces, &sealed.plain);
    let mut envelope = snaptrak_seal::Envelope::create(new, &metadata, &sealed.data_key, &Chance).unwrap();
    envelope.add_piece(&sealed.pieces[0]).unwrap();
    envelope.add_wrap(content.wraps[0].clone()).unwrap();
    envelope.close().unwrap();
    envelope
}

#[tokio::test]
async fn a_receipt_by_another_key_or_about_other_bytes_is_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, phone) = signed_in(&folder).await;
    let other = Phone::sign_up(&phone.url, "eve@example.org").await;
    let mut foreign = phone.seal(&[b"one"]);
    let stolen = Phone { device_id: phone.device_id, ..other };
    let right = foreign.receipt.clone();
    foreign.receipt = stolen.receipt(foreign.capture_id, foreign.asset_id, &foreign.pieces, sha256(b"one"), 3);
    phone.send_everything(&foreign).await;
    assert_eq!(phone.settled_receipt(foreign.asset_id).await["code"], "receipt_invalid");
    let mut lying = phone.seal(&[b"one"]);
    lying.receipt = phone.receipt(lying.capture_id, lying.asset_id, &lying.pieces, Sha256Digest([7; 32]), 3);
    phone.send_everything(&lying).await;
    assert_eq!(phone.settled_receipt(lying.asset_id).await["code"], "receipt_invalid");
    // The right receipt puts it right.
    foreign.receipt = right;
    assert_eq!(phone.put_envelope(&foreign).await.status(), StatusCode::NO_CONTENT);
    phone.check_countersigned(&foreign, &phone.settled_receipt(foreign.asset_id).await);
}
