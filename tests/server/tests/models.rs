//! Models that the organisation publishes: taken in only if devices would take them, served to its own people alone, and in
//! parts to whoever has some already.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Response, StatusCode};
use serde_json::json;
use snaptrak_domain::UnixMs;
use snaptrak_seal::{ModelsClaims, RootKey, accept_models, accept_trust_bundle, sha256, sign_models};
use snaptrak_server::{
    DataKeySource, Error, PublishedModels, Server, ServerConfig, add_models_key, publish_models, system_time,
};
use std::path::Path;
use support::{Phone, error, error_of, header};

const WEIGHTS: &[u8] = b"weights that are long enough to be fetched in two parts";

struct Publisher {
    folder: tempfile::TempDir,
    key: RootKey,
}

impl Publisher {
    /// A server's folder with a key for models.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Server::start(ServerConfig::loopback(folder.path().join("server"))).unwrap().stop();
        let key = RootKey::from_seed(&[7; 32]);
        let publisher = Self { folder, key };
        add_models_key(&publisher.data(), &DataKeySource::Folder, &publisher.key.public(), false).unwrap();
        publisher
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("server")
    }

    fn serve(&self) -> snaptrak_server::RunningServer {
        Server::start(ServerConfig::loopback(self.data())).unwrap()
    }

    /// A signed manifest with one file, in a folder of its own.
    fn release(&self, version: u64, name: &str, weights: &[u8], expires_ms: i64) -> std::path::PathBuf {
        let from = self.folder.path().join(format!("release-{version}"));
        std::fs::create_dir_all(&from).unwrap();
        let variant = json!({"file": name, "bytes": WEIGHTS.len(), "sha256": sha256(WEIGHTS)});
        let manifest = json!({"schema": "snaptrak.models/1", "models": [{"variants": [variant]}]}).to_string();
        let organisation = snaptrak_server::trust_root(&self.data(), &DataKeySource::Folder).unwrap();
        let claims = ModelsClaims {
            organisation_id: organisation.organisation_id,
            version,
            issued_ms: UnixMs(0),
            expires_ms: UnixMs(expires_ms),
        };
        let signed = sign_models(&claims, manifest.as_bytes(), &self.key).unwrap();
        std::fs::write(from.join("signed.json"), signed).unwrap();
        if let Some(name) = Path::new(name).file_name() {
            std::fs::write(from.join(name), weights).unwrap();
        }
        from
    }

    fn publish(&self, from: &Path) -> Result<PublishedModels, Error> {
        publish_models(&self.data(), &DataKeySource::Folder, &from.join("signed.json"), from)
    }
}

fn later() -> i64 {
    system_time()().0 + 60_000
}

async fn ask(phone: &Phone, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = phone.http.get(format!("{}{path}", phone.url)).bearer_auth(&phone.access);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_running_server_serves_what_is_published_beside_it_and_says_when_nothing_is_new() {
    let publisher = Publisher::new();
    let server = publisher.serve();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    assert_eq!(error_of(phone.get("/v1/models").await).await, error(404, "no_models"));

    let first = publisher.release(1, "model.onnx", WEIGHTS, later());
    let published = PublishedModels { version: 1, files: 1, bytes: WEIGHTS.len() as u64 };
    assert_eq!(publisher.publish(&first).unwrap(), published);
    assert_eq!(publisher.publish(&first).unwrap(), published, "again is no error");
    let answer = phone.get("/v1/models").await;
    let etag = header(&answer, "etag");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes, std::fs::read(first.join("signed.json")).unwrap(), "as it was signed");
    // The bundle that the server serves vouches for the key.
    let bundle = phone.get("/v1/trust").await.bytes().await.unwrap();
    let trust = accept_trust_bundle(&bundle, None, UnixMs(0)).unwrap().body;
    assert_eq!(accept_models(&bytes, &trust, None, UnixMs(1)).unwrap().claims.version, 1);
    let known = ask(&phone, "/v1/models", &[("if-none-match", &etag)]).await;
    assert_eq!((known.status(), known.content_length()), (StatusCode::NOT_MODIFIED, Some(0)));

    publisher.publish(&publisher.release(2, "model.onnx", WEIGHTS, later())).unwrap();
    let newer = ask(&phone, "/v1/models", &[("if-none-match", &etag)]).await;
    assert_eq!(newer.status(), StatusCode::OK);
    assert_ne!(header(&newer, "etag"), etag);
}

#[tokio::test]
async fn a_file_comes_whole_or_from_where_a_download_broke_off() {
    let publisher = Publisher::new();
    publisher.publish(&publisher.release(1, "model.onnx", WEIGHTS, later())).unwrap();
    let server = publisher.serve();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let path = format!("/v1/models/files/{}", sha256(WEIGHTS));
    let etag = format!("\"{}\"", sha256(WEIGHTS));
    let whole = ask(&phone, &path, &[]).await;
    assert_eq!((whole.status(), header(&whole, "etag")), (StatusCode::OK, etag.clone()));
    assert_eq!(whole.bytes().await.unwrap(), WEIGHTS);
    let rest = ask(&phone, &path, &[("range", "bytes=10-"), ("if-range", &etag)]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&rest, "content-range"), format!("bytes 10-{}/{}", WEIGHTS.len() - 1, WEIGHTS.len()));
    assert_eq!(rest.bytes().await.unwrap(), WEIGHTS[10..]);
    let other = ask(&phone, &path, &[("range", "bytes=10-"), ("if-range", "\"another\"")]).await;
    assert_eq!(other.status(), StatusCode::OK, "the rest of another file is of no use");
    let beyond = ask(&phone, &path, &[("range", &format!("bytes={}-", WEIGHTS.len()))]).await;
    assert_eq!(error_of(beyond).await, error(416, "range_not_satisfiable"));

    assert_eq!(error_of(phone.get(&format!("/v1/models/files/{}", sha256(b"other"))).await).await.1, "unknown_file");
    assert_eq!(error_of(phone.get("/v1/models/files/..%2fserver.sqlite3").await).await.1, "unknown_file");
    for path in ["/v1/models", path.as_str()] {
        let nobody = phone.http.get(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(error_of(nobody).await, error(401, "unauthenticated"));
    }
}

#[test]
fn what_devices_would_refuse_is_not_published() {
    let publisher = Publisher::new();
    let refused = |from: &Path| match publisher.publish(from) {
        Err(Error::Models { what }) => what,
        other => unreachable!("{other:?}"),
    };
    assert!(refused(&publisher.release(1, "model.onnx", b"other weights", later())).contains("model.onnx"));
    assert!(refused(&publisher.release(1, "../model.onnx", WEIGHTS, later())).contains("leaves its folder"));
    assert!(refused(&publisher.release(1, "model.onnx", WEIGHTS, 1)).contains("expired"));
    publisher.publish(&publisher.release(2, "model.onnx", WEIGHTS, later())).unwrap();
    assert!(refused(&publisher.release(1, "model.onnx", WEIGHTS, later())).contains("version 2 is published"));

    let other = RootKey::from_seed(&[8; 32]);
    let unknown = Publisher { key: RootKey::from_seed(&[9; 32]), folder: tempfile::tempdir().unwrap() };
    Server::start(ServerConfig::loopback(unknown.data())).unwrap().stop();
    add_models_key(&unknown.data(), &DataKeySource::Folder, &other.public(), false).unwrap();
    let from = unknown.release(1, "model.onnx", WEIGHTS, later());
    assert!(matches!(unknown.publish(&from), Err(Error::Models { .. })), "the organisation never vouched for its key");

    // A revoked key is nobody's word any more.
    add_models_key(&publisher.data(), &DataKeySource::Folder, &other.public(), true).unwrap();
    assert!(refused(&publisher.release(3, "model.onnx", WEIGHTS, later())).contains("revoked"));
    let again = add_models_key(&publisher.data(), &DataKeySource::Folder, &other.public(), false);
    assert!(matches!(again, Err(Error::Key { .. })), "a key comes once");
    let short = add_models_key(&publisher.data(), &DataKeySource::Folder, b"short", false);
    assert!(matches!(short, Err(Error::Key { .. })));
}
