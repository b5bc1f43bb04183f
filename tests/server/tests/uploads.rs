//! tus 1.0.0 as the protocol's text has it, and what this API adds: one upload a piece, capabilities, the check of the whole.
#![allow(clippy::unwrap_used)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use snaptrak_domain::{AssetId, Sha256Digest};
use snaptrak_server::{RunningServer, Server, ServerConfig};
use support::{Chance, NOW, Phone, Sealed, Timed, Upload, error, error_of, header};
use tokio::io::AsyncWriteExt as _;

struct Bench {
    folder: tempfile::TempDir,
    server: RunningServer,
    phone: Phone,
    sealed: Sealed,
}

/// A signed-in phone whose record is known, with one piece of some 300 KB.
async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(ServerConfig::loopback(folder.path())).unwrap();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let sealed = phone.seal(&[&[9; 300_000]]);
    phone.send_records(&[phone.record(&sealed)]).await;
    Bench { folder, server, phone, sealed }
}

#[tokio::test]
async fn the_same_piece_is_one_upload_and_another_digest_is_a_conflict() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let first = phone.create(sealed, 0).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let again = phone.create(sealed, 0).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(header(&first, "location"), header(&again, "location"));
    assert_ne!(header(&first, "snaptrak-capability"), header(&again, "snaptrak-capability"));
    assert_eq!(header(&again, "upload-offset"), "0");
    assert!(header(&again, "upload-expires").ends_with("GMT"));
    let bytes = sealed.pieces[0].sealed_bytes;
    let other = phone.create_with(sealed.asset_id, 0, bytes, &Sha256Digest([1; 32])).await;
    assert_eq!(error_of(other).await, error(409, "piece_conflict"));

    let upload = phone.upload(sealed, 0).await;
    assert_eq!(upload.patch(0, sealed.files[0].clone()).await.status(), StatusCode::NO_CONTENT);
    let finished = phone.create(sealed, 0).await;
    assert_eq!(finished.status(), StatusCode::OK);
    assert_eq!(header(&finished, "upload-offset"), bytes.to_string());
    assert!(finished.headers().get("upload-expires").is_none(), "a stored piece does not expire");
    // The answer to a completion was lost, and the transport sends the end again.
    assert_eq!(upload.patch(bytes, Vec::new()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(error_of(upload.patch(0, sealed.files[0].clone()).await).await, error(409, "offset_conflict"));
    let terminated = upload.request(Method::DELETE).send().await.unwrap();
    assert_eq!(error_of(terminated).await, error(403, "upload_finished"));
}

#[tokio::test]
async fn creation_refuses_what_cannot_be_a_piece() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let digest = sealed.pieces[0].sealed_sha256;
    let create = |asset, index, bytes| phone.create_with(asset, index, bytes, &digest);
    let stranger = AssetId::new(NOW, &Chance).unwrap();
    assert_eq!(error_of(create(stranger, 0, 100).await).await, error(404, "unknown_asset"));
    let too_large = create(sealed.asset_id, 0, 33_562_681).await;
    assert_eq!(header(&too_large, "tus-max-size"), "33562680");
    assert_eq!(error_of(too_large).await, error(413, "piece_too_large"));
    assert_eq!(error_of(create(sealed.asset_id, 0, 55).await).await, error(400, "invalid_header"));
    assert_eq!(error_of(create(sealed.asset_id, 16_384, 100).await).await, error(400, "invalid_header"));
    let no_version =
        phone.http.post(format!("{}/v1/uploads", phone.url)).bearer_auth(&phone.access).send().await.unwrap();
    assert_eq!(header(&no_version, "tus-version"), "1.0.0");
    assert_eq!(error_of(no_version).await, error(412, "tus_version"));
    // The accepted envelope lists the piece with another digest.
    let other = phone.seal(&[b"listed"]);
    phone.send_records(&[phone.record(&other)]).await;
    assert_eq!(phone.put_envelope(&other).await.status(), StatusCode::NO_CONTENT);
    let unlisted = phone.create_with(other.asset_id, 0, other.pieces[0].sealed_bytes, &digest).await;
    assert_eq!(error_of(unlisted).await, error(409, "piece_conflict"));
}

#[tokio::test]
async fn discovery_names_version_extensions_and_algorithms() {
    let bench = bench().await;
    let phone = &bench.phone;
    let answer = phone.http.request(Method::OPTIONS, format!("{}/v1/uploads", phone.url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&answer, "tus-version"), "1.0.0");
    assert_eq!(header(&answer, "tus-extension"), "creation,termination,expiration,checksum");
    assert_eq!(header(&answer, "tus-checksum-algorithm"), "sha256,sha1");
}

#[tokio::test]
async fn bytes_go_on_where_they_stopped() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    let file = &sealed.files[0];
    let first = upload.patch(0, file[..100_000].to_vec()).await;
    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&first, "upload-offset"), "100000");
    assert!(header(&first, "upload-expires").ends_with("GMT"));
    assert_eq!(header(&first, "tus-resumable"), "1.0.0");
    let head = upload.request(Method::HEAD).send().await.unwrap();
    assert_eq!(header(&head, "upload-offset"), "100000");
    assert_eq!(header(&head, "upload-length"), file.len().to_string());
    assert_eq!(header(&head, "cache-control"), "no-store");
    let wrong = upload.patch(99_999, file[99_999..].to_vec()).await;
    assert_eq!(header(&wrong, "upload-offset"), "100000");
    assert_eq!(error_of(wrong).await, error(409, "offset_conflict"));
    let media = upload.request(Method::PATCH).header("upload-offset", 100_000).body("x").send().await.unwrap();
    assert_eq!(error_of(media).await, error(415, "wrong_media_type"));
    let long = upload.patch(100_000, [&file[100_000..], b"x"].concat()).await;
    assert_eq!(error_of(long).await, error(413, "piece_too_large"));
    assert_eq!(upload.patch(100_000, file[100_000..].to_vec()).await.status(), StatusCode::NO_CONTENT);
    let stored = phone.get(&format!("/v1/assets/{}/pieces/0", sealed.asset_id)).await;
    assert_eq!(stored.bytes().await.unwrap(), file);
}

#[tokio::test]
async fn a_checksum_that_differs_drops_the_chunk() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    let (start, rest) = sealed.files[0].split_at(100_000);
    let send = |offset: u64, bytes: &[u8], checksum: String| {
        upload.patch_request(offset).header("upload-checksum", checksum).body(bytes.to_vec()).send()
    };
    let sha1 = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, start));
    let sha256 = STANDARD.encode(digest(&SHA256, rest));
    let wrong = send(0, start, format!("sha256 {sha256}")).await.unwrap();
    assert_eq!(error_of(wrong).await, error(460, "checksum_mismatch"));
    assert_eq!(upload.offset().await, 0);
    let unknown = send(0, start, "md5 AAAA".to_owned()).await.unwrap();
    assert_eq!(error_of(unknown).await, error(400, "unknown_checksum"));
    assert_eq!(send(0, start, format!("sha1 {sha1}")).await.unwrap().status(), StatusCode::NO_CONTENT);
    // A right digest of the whole does not help a chunk whose checksum is wrong.
    let wrong = send(100_000, rest, format!("sha1 {sha1}")).await.unwrap();
    assert_eq!(error_of(wrong).await, error(460, "checksum_mismatch"));
    assert_eq!(upload.offset().await, 100_000);
    assert_eq!(send(100_000, rest, format!("sha256 {sha256}")).await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(upload.offset().await, sealed.files[0].len() as u64);
}

#[tokio::test]
async fn a_whole_piece_with_a_wrong_digest_begins_again() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    let mut wrong = sealed.files[0].clone();
    wrong[200_000] ^= 1;
    let answer = upload.patch(0, wrong).await;
    assert_eq!(header(&answer, "upload-offset"), "0");
    assert_eq!(error_of(answer).await, error(460, "sealed_mismatch"));
    assert_eq!(upload.offset().await, 0);
    assert_eq!(upload.patch(0, sealed.files[0].clone()).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_arrived_before_a_broken_connection_is_kept() {
    let bench = bench().await;
    let (server, phone, sealed) = (&bench.server, &bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    let stalled = begin_patch(server, &upload, &sealed.files[0], 123_456).await;
    drop(stalled);
    let mut offset = upload.offset().await;
    for _ in 0..600 {
        if offset > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        offset = upload.offset().await;
    }
    assert_eq!(offset, 123_456);
    assert_eq!(upload.patch(offset, sealed.files[0][123_456..].to_vec()).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_body_that_falls_silent_is_ended_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let body_idle = std::time::Duration::from_millis(50);
    let server = Server::start(ServerConfig { body_idle, ..ServerConfig::loopback(folder.path()) }).unwrap();
    let phone = Phone::sign_up(&server.url, "ada@example.org").await;
    let sealed = phone.seal(&[&[9; 300_000]]);
    phone.send_records(&[phone.record(&sealed)]).await;
    let upload = phone.upload(&sealed, 0).await;
    let mut silent = begin_patch(&server, &upload, &sealed.files[0], 60_000).await;
    let mut answer = vec![0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut silent, &mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert_eq!(upload.offset().await, 60_000);
}

#[tokio::test]
async fn the_newest_request_has_the_right_of_way() {
    let bench = bench().await;
    let (server, phone, sealed) = (&bench.server, &bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    // A phone changed networks: the server still waits for bytes of the old connection.
    let mut stalled = begin_patch(server, &upload, &sealed.files[0], 50_000).await;
    let part = bench.folder.path().join("uploads").join(format!("{}.part", upload.url.rsplit('/').next().unwrap()));
    for _ in 0..600 {
        if std::fs::metadata(&part).is_ok_and(|metadata| metadata.len() == 50_000) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let answer = upload.patch(0, sealed.files[0].clone()).await;
    assert_eq!(header(&answer, "upload-offset"), "50000", "what the old one had is durable");
    assert_eq!(error_of(answer).await, error(409, "offset_conflict"));
    let answer = upload.patch(50_000, sealed.files[0][50_000..].to_vec()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let mut old = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stalled, &mut old).await;
    let old = String::from_utf8_lossy(&old);
    assert!(old.starts_with("HTTP/1.1 423"), "{old}");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    let nobody = Upload { http: phone.http.clone(), url: upload.url.clone(), capability: "nobody's".to_owned() };
    for _ in 0..5 {
        let refused = nobody.patch(0, vec![0; 30_000_000]).await;
        assert_eq!(error_of(refused).await, error(404, "unknown_upload"));
        let too_long = upload.patch(0, vec![0; 30_000_000]).await;
        assert_eq!(error_of(too_long).await, error(413, "piece_too_large"));
    }
}

#[tokio::test]
async fn an_upload_that_was_taken_back_is_gone() {
    let bench = bench().await;
    let (phone, sealed) = (&bench.phone, &bench.sealed);
    let upload = phone.upload(sealed, 0).await;
    upload.patch(0, sealed.files[0][..1_000].to_vec()).await;
    let gone = upload.request(Method::DELETE).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(upload.request(Method::HEAD).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let again = phone.create(sealed, 0).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(header(&again, "upload-offset"), "0");
}

#[tokio::test]
async fn a_capability_is_good_for_its_upload_and_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let phone = Phone::sign_up(&timed.server.url, "ada@example.org").await;
    let sealed = phone.seal(&[&[1; 1_000], &[2; 1_000]]);
    phone.send_records(&[phone.record(&sealed)]).await;
    let mut first = phone.upload(&sealed, 0).await;
    let second = phone.upload(&sealed, 1).await;
    let crossed = Upload { http: first.http.clone(), url: first.url.clone(), capability: second.capability };
    assert_eq!(error_of(crossed.patch(0, sealed.files[0].clone()).await).await, error(404, "unknown_upload"));
    let access = Upload { http: first.http.clone(), url: first.url.clone(), capability: phone.access.clone() };
    assert_eq!(error_of(access.patch(0, sealed.files[0].clone()).await).await, error(404, "unknown_upload"));

    timed.advance(3 * 24 * 60 * 60 * 1_000);
    assert_eq!(error_of(first.patch(0, sealed.files[0].clone()).await).await, error(401, "capability_expired"));
    let phone = Phone::sign_in(phone.http.clone(), &timed.server.url, "ada@example.org").await;
    first.capability = phone.upload(&sealed, 0).await.capability;
    assert_eq!(first.patch(0, sealed.files[0][..500].to_vec()).await.status(), StatusCode::NO_CONTENT);

    // The unfinished upload's own time is over at the next start, the record's never is.
    timed.advance(8 * 24 * 60 * 60 * 1_000);
    let now_ms = timed.now_ms.clone();
    timed.server.stop();
    let timed = Timed::start(folder.path());
    timed.now_ms.store(now_ms.load(std::sync::atomic::Ordering::SeqCst), std::sync::atomic::Ordering::SeqCst);
    let phone = Phone::sign_in(phone.http.clone(), &timed.server.url, "ada@example.org").await;
    let again = phone.create(&sealed, 0).await;
    assert!(again.status().is_success());
}

#[tokio::test]
async fn an_expired_upload_is_swept_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let timed = Timed::start(folder.path());
    let phone = Phone::sign_up(&timed.server.url, "ada@example.org").await;
    let sealed = phone.seal(&[&[1; 100_000]]);
    phone.send_records(&[phone.record(&sealed)]).await;
    let upload = phone.upload(&sealed, 0).await;
    upload.patch(0, sealed.files[0][..50_000].to_vec()).await;
    timed.server.stop();
    let late = snaptrak_domain::UnixMs(NOW.0 + 8 * 24 * 60 * 60 * 1_000);
    let time: snaptrak_server::TimeSource = std::sync::Arc::new(move || late);
    let server = Server::start(ServerConfig { time, ..ServerConfig::loopback(folder.path()) }).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
    let phone = Phone::sign_in(phone.http.clone(), &server.url, "ada@example.org").await;
    assert_eq!(phone.create(&sealed, 0).await.status(), StatusCode::CREATED);
}

/// Begins a PATCH of the whole file on a connection of its own and sends only some of it.
async fn begin_patch(server: &RunningServer, upload: &Upload, file: &[u8], bytes: usize) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let path = upload.url.strip_prefix(&server.url).unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n\
         content-type: application/offset+octet-stream\r\ncontent-length: {}\r\n\r\n",
        upload.capability,
        file.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&file[..bytes]).await.unwrap();
    stream.flush().await.unwrap();
    stream
}
