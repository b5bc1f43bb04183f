//! Starting: TLS, refusals, the data key, what an organisation takes away, and the document of the API.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::Value;
use snaptrak_seal::{RecipientPrivateKey, UntrustedEnvelope};
use snaptrak_server::{DataKeySource, Encryption, Error, Server, ServerConfig, export_upload_key, trust_root};
use std::net::SocketAddr;
use support::{Phone, json_of};

#[tokio::test]
async fn a_made_certificate_chains_to_the_root_that_clients_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let config = ServerConfig { encryption: Encryption::Made, ..ServerConfig::loopback(folder.path()) };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = Vec::new();
    // The second start draws another leaf under the same root.
    for _ in 0..2 {
        let server = Server::start(config.clone()).unwrap();
        assert!(server.url.starts_with("https://127.0.0.1:"));
        roots.push(std::fs::read(server.made_root.clone().unwrap()).unwrap());
        let root = Certificate::from_pem(&roots[0]).unwrap();
        let trusting = Client::builder().tls_certs_only([root]).build().unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let url = format!("https://{host}:{}/healthz", server.addr.port());
            assert_eq!(trusting.get(url).send().await.unwrap().status(), StatusCode::OK);
        }
        assert!(Client::new().get(format!("{}/healthz", server.url)).send().await.is_err(), "nobody else trusts it");
        server.stop();
    }
    assert_eq!(roots[0], roots[1]);
}

#[test]
fn plain_http_is_for_loopback_and_a_folder_for_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Server::start(ServerConfig { listen, ..ServerConfig::loopback(folder.path()) });
    assert!(matches!(refused.err(), Some(Error::PlainHttp { .. })));
    let server = Server::start(ServerConfig::loopback(folder.path())).unwrap();
    let second = Server::start(ServerConfig::loopback(folder.path()));
    assert!(matches!(second.err(), Some(Error::InUse { .. })));
    server.stop();
    Server::start(ServerConfig::loopback(folder.path())).unwrap();
}

#[test]
fn a_wrong_data_key_is_its_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let given = |digit: &str| DataKeySource::Given(zeroize::Zeroizing::new(digit.repeat(64)));
    let config = |data_key| ServerConfig { data_key, ..ServerConfig::loopback(folder.path()) };
    let server = Server::start(config(given("1"))).unwrap();
    let fingerprint = server.root_fingerprint;
    server.stop();
    assert!(!folder.path().join("data.key").exists());
    assert!(matches!(Server::start(config(given("2"))).err(), Some(Error::WrongDataKey)));
    assert!(matches!(Server::start(config(given("z"))).err(), Some(Error::MalformedDataKey { .. })));
    assert!(matches!(Server::start(config(DataKeySource::Folder)).err(), Some(Error::MissingDataKey)));
    assert_eq!(trust_root(folder.path(), &given("1")).unwrap().fingerprint, fingerprint);
    assert!(matches!(trust_root(folder.path(), &given("2")), Err(Error::WrongDataKey)));
    let nowhere = folder.path().join("nowhere");
    assert!(matches!(trust_root(&nowhere, &given("1")), Err(Error::NotAServer { .. })));
}

#[tokio::test]
async fn the_organisation_opens_its_evidence_without_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(ServerConfig::loopback(folder.path())).unwrap();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let sealed = phone.seal(&[b"evidence"]);
    let to = folder.path().join("upload.key");
    // Beside the running server.
    export_upload_key(folder.path(), &DataKeySource::Folder, &to).unwrap();
    assert!(export_upload_key(folder.path(), &DataKeySource::Folder, &to).is_err(), "never over an existing file");
    let key = RecipientPrivateKey::from_file(&std::fs::read_to_string(&to).unwrap()).unwrap();
    assert_eq!(key.public_key(), phone.upload_key());
    let untrusted = UntrustedEnvelope::parse(&sealed.envelope.to_bytes(&sealed.data_key).unwrap()).unwrap();
    let claims = untrusted.claims();
    let wrap = claims.wrap_for(&key.public_key().key_id()).unwrap();
    let data_key = wrap.open(&key, claims.organisation_id, claims.asset_id).unwrap();
    assert_eq!(data_key.expose(), sealed.data_key.expose());
}

#[tokio::test]
async fn the_document_lists_exactly_what_the_server_knows() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(ServerConfig::loopback(folder.path())).unwrap();
    let http = support::client();
    let document = json_of(http.get(format!("{}/openapi.json", server.url)).send().await.unwrap()).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    let id = "01890000-0000-7000-8000-000000000000";
    let methods =
        [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH, Method::HEAD, Method::OPTIONS];
    for (path, operations) in paths {
        let mut asked = path.replace("{index}", "0");
        while let (Some(from), Some(to)) = (asked.find('{'), asked.find('}')) {
            asked.replace_range(from..=to, id);
        }
        for method in &methods {
            let request = http.request(method.clone(), format!("{}{asked}", server.url));
            let answer = request.header("tus-resumable", "1.0.0").send().await.unwrap();
            let word = method.as_str().to_lowercase();
            // Whoever may GET may ask for its head: HTTP has it so.
            let known = operations.get(&word).is_some() || (word == "head" && operations.get("get").is_some());
            let refused = answer.status() == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(refused, !known, "{method} {path} is documented: {known}; answered {}", answer.status());
            if word != "head" && answer.status().is_client_error() {
                let body: Value = json_of(answer).await;
                assert!(body["code"].is_string() && body["message"].is_string(), "{method} {path}: {body}");
                assert_ne!(body["code"], "unknown_path", "{method} {path}");
            }
        }
    }
    // Every path of the router is documented: none is written anywhere else than in `routes.rs`.
    let routes = include_str!("../src/http/routes.rs");
    let in_router: Vec<&str> = routes.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/')).collect();
    for path in &in_router {
        assert!(paths.contains_key(*path), "{path} is not documented");
    }
    assert_eq!(in_router.len(), paths.len());
}
