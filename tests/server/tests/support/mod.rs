//! A phone as the server sees it: signs in, seals with `snaptrak-seal`, and speaks HTTP through a client that this project
//! did not write.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses a part of it")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use snaptrak_domain::capture::EmbeddedMetadata;
use snaptrak_domain::{
    AssetId, BootId, CaptureId, CaptureMetadata, DeviceId, Instant, Kind, MonotonicMs, OrganisationId, PieceDigest,
    Random, RandomError, Rendition, SealedMetadata, Sha256Digest, Signer as _, UnixMs, WallTime,
};
use snaptrak_seal::{
    DataKey, Envelope, FIRST_PREVIOUS, NewEnvelope, PieceAddress, PieceEntry, PieceSealer, ReceiptClaims, Recipient,
    RecipientPublicKey, SealedPiece, SoftwareSigner, TrustBody, UntrustedCountersignature, UntrustedReceipt, Wrap,
    accept_trust_bundle, key_id, sha256, sign_receipt,
};
use std::time::Duration;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const NOW: UnixMs = UnixMs(1_795_000_000_000);

pub(crate) struct Chance;

impl Random for Chance {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        #[expect(clippy::disallowed_methods, reason = "a test's edge")]
        getrandom::fill(buffer).map_err(|_| RandomError)
    }
}

pub(crate) struct Phone {
    pub(crate) http: Client,
    pub(crate) url: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) device_id: DeviceId,
    pub(crate) signer: SoftwareSigner,
    pub(crate) trust: TrustBody,
}

/// One sealed asset, ready to be sent.
pub(crate) struct Sealed {
    pub(crate) capture_id: CaptureId,
    pub(crate) asset_id: AssetId,
    pub(crate) plain: Vec<u8>,
    pub(crate) data_key: DataKey,
    pub(crate) files: Vec<Vec<u8>>,
    pub(crate) pieces: Vec<SealedPiece>,
    pub(crate) envelope: Envelope,
    pub(crate) receipt: Vec<u8>,
    pub(crate) note: Option<String>,
}

pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
}

impl Phone {
    pub(crate) async fn sign_up(url: &str, email: &str) -> Self {
        let http = client();
        let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
        let made = send_json(&http, Method::POST, &format!("{url}/v1/accounts"), None, &body).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        Self::sign_in(http, url, email).await
    }

    pub(crate) async fn sign_in(http: Client, url: &str, email: &str) -> Self {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = send_json(&http, Method::POST, &format!("{url}/v1/sessions"), None, &body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let session = json_of(answer).await;
        let bundle = http.get(format!("{url}/v1/trust")).send().await.unwrap().bytes().await.unwrap();
        let phone = Self {
            http,
            url: url.to_owned(),
            access: text(&session["access_token"]),
            refresh: text(&session["refresh_token"]),
            device_id: DeviceId::new(NOW, &Chance).unwrap(),
            signer: SoftwareSigner::from_pkcs8(SoftwareSigner::generate_pkcs8().unwrap().expose()).unwrap(),
            trust: accept_trust_bundle(&bundle, None, NOW).unwrap().body,
        };
        assert_eq!(phone.register().await.status(), StatusCode::CREATED);
        phone
    }

    pub(crate) async fn register(&self) -> Response {
        let body = json!({
            "name": "Ada's phone", "signing_public": STANDARD.encode(self.signer.public_key()),
            "media_key_id": key_id(b"media"), "platform": "linux",
        });
        self.json(Method::PUT, &format!("/v1/devices/{}", self.device_id), &body).await
    }

    pub(crate) fn upload_key(&self) -> RecipientPublicKey {
        self.trust.upload_key().unwrap()
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Response {
        send_json(&self.http, method, &format!("{}{path}", self.url), Some(&self.access), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.access).send().await.unwrap()
    }

    pub(crate) fn seal(&self, plains: &[&[u8]]) -> Sealed {
        self.seal_for(&self.upload_key(), self.trust.organisation_id, plains)
    }

    pub(crate) fn seal_for(
        &self,
        key: &RecipientPublicKey,
        organisation_id: OrganisationId,
        plains: &[&[u8]],
    ) -> Sealed {
        let capture_id = CaptureId::new(NOW, &Chance).unwrap();
        let asset_id = AssetId::new(NOW, &Chance).unwrap();
        let data_key = DataKey::generate(&Chance).unwrap();
        let (mut files, mut pieces) = (Vec::new(), Vec::new());
        for (index, plain) in plains.iter().enumerate() {
            let address = PieceAddress { asset_id, index: u32::try_from(index).unwrap() };
            let mut sealer = PieceSealer::start(Vec::new(), &data_key, address, &Chance).unwrap();
            sealer.write_all(plain).unwrap();
            let (file, piece) = sealer.finish().unwrap();
            files.push(file);
            pieces.push(piece);
        }
        let plain = plains.concat();
        let metadata = self.metadata(capture_id, &pieces, &plain);
        let new = NewEnvelope {
            organisation_id: Some(organisation_id),
            device_id: self.device_id,
            capture_id,
            asset_id,
            rendition: Rendition::Original,
            created_ms: NOW,
        };
        let mut envelope = Envelope::create(new, &metadata, &data_key, &Chance).unwrap();
        for piece in &pieces {
            envelope.add_piece(piece).unwrap();
        }
        let recipient = Recipient::Organisation(organisation_id);
        envelope.add_wrap(Wrap::seal(&data_key, key, recipient, asset_id, &Chance).unwrap()).unwrap();
        envelope.close().unwrap();
        let receipt = self.receipt(capture_id, asset_id, &pieces, sha256(&plain), plain.len() as u64);
        Sealed { capture_id, asset_id, plain, data_key, files, pieces, envelope, receipt, note: None }
    }

    pub(crate) fn metadata(&self, capture_id: CaptureId, pieces: &[SealedPiece], plain: &[u8]) -> SealedMetadata {
        SealedMetadata {
            capture: CaptureMetadata {
                capture_id,
                kind: Kind::Photo,
                device_id: self.device_id,
                created: WallTime { unix_ms: NOW, offset_minutes: 60, zone: None },
                content_type: "image/jpeg".into(),
                file_name: None,
                note: None,
                tags: vec![],
                project: None,
                location: None,
                embedded: EmbeddedMetadata::default(),
                interrupted: false,
                interrupted_at_bytes: None,
                interrupted_at_ms: None,
                ended_because: None,
            },
            pieces: pieces
                .iter()
                .map(|piece| PieceDigest { index: piece.index, bytes: piece.bytes, sha256: piece.sha256 })
                .collect(),
            bytes: plain.len() as u64,
            sha256: Some(sha256(plain)),
        }
    }

    pub(crate) fn receipt(
        &self,
        capture_id: CaptureId,
        asset_id: AssetId,
        pieces: &[SealedPiece],
        sha256: Sha256Digest,
        bytes: u64,
    ) -> Vec<u8> {
        let claims = ReceiptClaims {
            asset_id,
            capture_id,
            device_id: self.device_id,
            rendition: Rendition::Original,
            sequence: 1,
            previous: FIRST_PREVIOUS,
            sha256,
            bytes,
            pieces: pieces.iter().map(PieceEntry::from).collect(),
            wall: WallTime { unix_ms: NOW, offset_minutes: 60, zone: None },
            instant: Instant { boot_id: BootId("boot".into()), monotonic_ms: MonotonicMs(5) },
            server_offset_ms: None,
            hardware: false,
        };
        sign_receipt(&claims.to_payload(), &self.signer).unwrap()
    }

    pub(crate) fn record(&self, sealed: &Sealed) -> Value {
        let mut record = json!({
            "id": sealed.capture_id, "kind": "photo", "created_ms": NOW.0, "offset_minutes": 60,
            "device_id": self.device_id, "tags": [], "content_type": "image/jpeg",
            "assets": [{"id": sealed.asset_id, "rendition": "original"}],
        });
        if let Some(note) = &sealed.note {
            record["note"] = json!(note);
        }
        record
    }

    /// Sends records; the outcomes with their codes.
    pub(crate) async fn send_records(&self, records: &[Value]) -> Vec<(String, String)> {
        let answer = self.json(Method::POST, "/v1/records", &json!({"records": records})).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let answer = json_of(answer).await;
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| (text(&result["outcome"]), result["code"].as_str().unwrap_or("").into())).collect()
    }

    pub(crate) async fn put_envelope(&self, sealed: &Sealed) -> Response {
        let bytes = sealed.envelope.to_bytes(&sealed.data_key).unwrap();
        self.put_envelope_bytes(sealed.asset_id, bytes, Some(&sealed.receipt)).await
    }

    pub(crate) async fn put_envelope_bytes(
        &self,
        asset_id: AssetId,
        bytes: Vec<u8>,
        receipt: Option<&[u8]>,
    ) -> Response {
        let mut request = self
            .http
            .put(format!("{}/v1/assets/{asset_id}/envelope", self.url))
            .bearer_auth(&self.access)
            .header("content-type", "application/json")
            .body(bytes);
        if let Some(receipt) = receipt {
            request = request.header("snaptrak-device-receipt", STANDARD.encode(receipt));
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn create(&self, sealed: &Sealed, index: usize) -> Response {
        let piece = &sealed.pieces[index];
        self.create_with(sealed.asset_id, index, piece.sealed_bytes, &piece.sealed_sha256).await
    }

    pub(crate) async fn create_with(
        &self,
        asset: AssetId,
        index: usize,
        bytes: u64,
        sha256: &Sha256Digest,
    ) -> Response {
        let encode = |text: String| STANDARD.encode(text);
        let metadata = format!(
            "asset {},piece {},sha256 {}",
            encode(asset.to_string()),
            encode(index.to_string()),
            encode(sha256.to_string())
        );
        self.http
            .post(format!("{}/v1/uploads", self.url))
            .bearer_auth(&self.access)
            .header("tus-resumable", "1.0.0")
            .header("upload-length", bytes)
            .header("upload-metadata", metadata)
            .send()
            .await
            .unwrap()
    }

    /// Creates the upload of a piece and gives what is needed to send it.
    pub(crate) async fn upload(&self, sealed: &Sealed, index: usize) -> Upload {
        let answer = self.create(sealed, index).await;
        assert!(answer.status().is_success(), "{}", answer.status());
        Upload {
            http: self.http.clone(),
            url: format!("{}{}", self.url, header(&answer, "location")),
            capability: header(&answer, "snaptrak-capability"),
        }
    }

    pub(crate) async fn send_everything(&self, sealed: &Sealed) {
        let outcome = self.send_records(&[self.record(sealed)]).await;
        assert_eq!(outcome, [("accepted".to_owned(), String::new())]);
        for (index, file) in sealed.files.iter().enumerate() {
            let upload = self.upload(sealed, index).await;
            assert_eq!(upload.patch(0, file.clone()).await.status(), StatusCode::NO_CONTENT);
        }
        assert_eq!(self.put_envelope(sealed).await.status(), StatusCode::NO_CONTENT);
    }

    /// Asks until the verifier has looked.
    pub(crate) async fn settled_receipt(&self, asset_id: AssetId) -> Value {
        for _ in 0..600 {
            let answer = self.get(&format!("/v1/assets/{asset_id}/receipt")).await;
            assert_eq!(answer.status(), StatusCode::OK);
            let receipt = json_of(answer).await;
            if receipt["waiting_for"] != json!(["verification"]) {
                return receipt;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the verifier does not look");
    }

    /// The countersignature says what the device's receipt says.
    pub(crate) fn check_countersigned(&self, sealed: &Sealed, receipt: &Value) {
        assert_eq!(receipt["state"], "verified", "{receipt}");
        let signed = STANDARD.decode(text(&receipt["countersigned"])).unwrap();
        let untrusted = UntrustedCountersignature::parse(&signed).unwrap();
        let key = self.trust.countersign_key(&untrusted.key_id()).unwrap();
        let claims = untrusted.verify(&key).unwrap();
        let device = UntrustedReceipt::parse(&sealed.receipt).unwrap();
        claims.check_against(device.claims(), &device.payload_sha256()).unwrap();
        assert_eq!(claims.sha256, Some(sha256(&sealed.plain)));
        assert_eq!(claims.wrap_key_id, self.upload_key().key_id());
    }
}

pub(crate) struct Upload {
    pub(crate) http: Client,
    pub(crate) url: String,
    pub(crate) capability: String,
}

impl Upload {
    pub(crate) fn request(&self, method: Method) -> RequestBuilder {
        self.http.request(method, &self.url).bearer_auth(&self.capability).header("tus-resumable", "1.0.0")
    }

    pub(crate) fn patch_request(&self, offset: u64) -> RequestBuilder {
        self.request(Method::PATCH)
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", offset)
    }

    pub(crate) async fn patch(&self, offset: u64, bytes: Vec<u8>) -> Response {
        self.patch_request(offset).body(bytes).send().await.unwrap()
    }

    pub(crate) async fn offset(&self) -> u64 {
        let answer = self.request(Method::HEAD).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        header(&answer, "upload-offset").parse().unwrap()
    }
}

pub(crate) async fn send_json(
    http: &Client,
    method: Method,
    url: &str,
    access: Option<&str>,
    body: &Value,
) -> Response {
    let mut request = http.request(method, url).header("content-type", "application/json").body(body.to_string());
    if let Some(access) = access {
        request = request.bearer_auth(access);
    }
    request.send().await.unwrap()
}

pub(crate) async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// Status and code of an error.
pub(crate) async fn error_of(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    (status, text(&json_of(response).await["code"]))
}

pub(crate) fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap().to_owned()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}")).to_owned()
}

pub(crate) fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A server whose clock the test moves.
pub(crate) struct Timed {
    pub(crate) server: snaptrak_server::RunningServer,
    pub(crate) now_ms: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

impl Timed {
    pub(crate) fn start(folder: &std::path::Path) -> Self {
        let now_ms = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(NOW.0));
        let shared = now_ms.clone();
        let time: snaptrak_server::TimeSource =
            std::sync::Arc::new(move || UnixMs(shared.load(std::sync::atomic::Ordering::SeqCst)));
        let config = snaptrak_server::ServerConfig { time, ..snaptrak_server::ServerConfig::loopback(folder) };
        Self { server: snaptrak_server::Server::start(config).unwrap(), now_ms }
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }
}
