//! Files that version 0.1.0 wrote. They are never made anew: what lies on people's disks cannot be either. When one of these
//! tests fails, a format has changed, and needs another version.

#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use snaptrak_domain::key_store::WrappedKeys;
use snaptrak_domain::{AssetId, KeyClass, KeyStore, KeyStoreError, OrganisationId, Secret, UnixMs};
use snaptrak_seal::{
    ChainLink, DataKey, KeyRole, KeysetFile, PieceAddress, PieceOpener, RecipientPrivateKey, TrustAnchor,
    UntrustedCountersignature, UntrustedEnvelope, UntrustedReceipt, Wrap, accept_trust_bundle, check_chain,
};

fn vector(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(text(vector, field)).unwrap()
}

fn data_key(vector: &Value) -> DataKey {
    DataKey::from_bytes(bytes(vector, "data_key").try_into().unwrap())
}

fn public_key(vector: &Value) -> [u8; 65] {
    bytes(vector, "public").try_into().unwrap()
}

#[test]
fn piece() {
    let vector = vector("piece");
    let address = PieceAddress { asset_id: text(&vector, "asset_id").parse().unwrap(), index: 7 };
    let mut opened = String::new();
    let mut piece = PieceOpener::open(Cursor::new(bytes(&vector, "sealed")), &data_key(&vector), address).unwrap();
    piece.read_to_string(&mut opened).unwrap();
    assert_eq!(opened, text(&vector, "plaintext"));
}

#[test]
fn wraps() {
    let vector = vector("wraps");
    let asset_id: AssetId = text(&vector, "asset_id").parse().unwrap();
    let organisation_id: OrganisationId = text(&vector, "organisation_id").parse().unwrap();
    let cases = vector["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let key = RecipientPrivateKey::from_file(&case["key"].to_string()).unwrap();
        let wrap: Wrap = serde_json::from_value(case["wrap"].clone()).unwrap();
        let opened = wrap.open(&key, Some(organisation_id), asset_id).unwrap();
        assert_eq!(opened.expose(), data_key(&vector).expose());
    }
}

#[test]
fn envelope() {
    let vector = vector("envelope");
    let parsed = UntrustedEnvelope::parse(text(&vector, "file").as_bytes()).unwrap();
    let envelope = parsed.authenticate(&data_key(&vector)).unwrap();
    let metadata = envelope.metadata(&data_key(&vector)).unwrap();
    assert_eq!(metadata.capture.note.as_deref(), Some("crack in the third weld"));
    assert!(envelope.content().receipt.as_ref().is_some_and(|receipts| receipts.server.is_some()));
    assert_eq!(envelope.to_bytes(&data_key(&vector)).unwrap(), text(&vector, "file").as_bytes(), "rewritten as it was");
}

#[test]
fn receipts() {
    let vector = vector("receipts");
    let public = public_key(&vector);
    let mut links = Vec::new();
    let mut last = None;
    for signed in vector["chain"].as_array().unwrap() {
        let receipt = UntrustedReceipt::parse(&STANDARD.decode(signed.as_str().unwrap()).unwrap()).unwrap();
        let payload_sha256 = receipt.payload_sha256();
        let claims = receipt.verify(&public).unwrap();
        links.push(ChainLink::new(&claims, payload_sha256));
        last = Some((claims, payload_sha256));
    }
    let report = check_chain(links);
    assert_eq!(report.receipts, 2);
    assert!(report.is_whole());
    let (claims, payload_sha256) = last.unwrap();
    let answer = UntrustedCountersignature::parse(&bytes(&vector, "countersigned")).unwrap();
    answer.verify(&public).unwrap().check_against(&claims, &payload_sha256).unwrap();
}

#[test]
fn trust_bundle() {
    let vector = vector("trust");
    let anchor = TrustAnchor::pin(text(&vector, "root").parse().unwrap());
    let bundle = vector["bundle"].to_string();
    let accepted = accept_trust_bundle(bundle.as_bytes(), Some(&anchor), UnixMs(1_795_000_000_000)).unwrap();
    assert_eq!(accepted.body.version, 3);
    assert!(accepted.body.upload_key().is_some());
    assert!(accepted.body.recovery_key().is_some());
}

/// A key store that knows one answer.
struct Known {
    associated_data: Vec<u8>,
    keys: Vec<u8>,
}

impl KeyStore for Known {
    fn wrap(&self, _: KeyClass, _: &Secret, _: &[u8]) -> Result<WrappedKeys, KeyStoreError> {
        Err(KeyStoreError::Lost)
    }

    fn unwrap(&self, _: KeyClass, _: &WrappedKeys, associated_data: &[u8]) -> Result<Secret, KeyStoreError> {
        assert_eq!(associated_data, self.associated_data);
        Ok(Secret::new(self.keys.clone()))
    }
}

#[test]
fn keyset() {
    let vector = vector("keyset");
    let key_store =
        Known { associated_data: bytes(&vector, "associated_data"), keys: text(&vector, "keys").as_bytes().to_vec() };
    let keyset = KeysetFile::parse(vector["file"].to_string().as_bytes()).unwrap().open(&key_store).unwrap();
    assert_eq!(keyset.generation(), 2);
    assert_eq!(keyset.active(KeyRole::Database).unwrap().version, 2);
    for role in [KeyRole::Token, KeyRole::Search, KeyRole::Signing, KeyRole::Inbox, KeyRole::MediaPublic] {
        assert!(keyset.active(role).is_some());
    }
}
