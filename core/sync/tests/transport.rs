//! The reqwest transport against sockets that answer what they are told.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use snaptrak_domain::transport::{
    Body, IntoFile, Method, Plan, Response, TransferError, TransferEvent, TransferEvents, TransferId, Transport,
};
use snaptrak_sync::{ReqwestTransport, TransportError, TransportSettings};

struct Inbox(Sender<TransferEvent>);

impl TransferEvents for Inbox {
    fn on_event(&self, event: TransferEvent) {
        let _ = self.0.send(event);
    }
}

fn plan(method: Method, url: String, body: Body) -> Plan {
    Plan {
        id: TransferId(1),
        method,
        url,
        headers: Vec::new(),
        body,
        timeout_ms: 5_000,
        response_bytes_max: 1_000,
        into_file: None,
    }
}

fn transport() -> ReqwestTransport {
    ReqwestTransport::new(TransportSettings::default()).unwrap()
}

fn start(transport: &ReqwestTransport, plan: Plan) -> Receiver<TransferEvent> {
    let (sender, events) = channel();
    transport.start(plan, Arc::new(Inbox(sender)));
    events
}

/// The end of a transfer, and the last progress before it. Exactly one end comes.
fn end(events: &Receiver<TransferEvent>) -> (Result<Response, TransferError>, u64) {
    let mut progress = 0;
    loop {
        match events.recv_timeout(Duration::from_secs(20)).unwrap() {
            TransferEvent::Progress { sent_bytes, .. } => {
                assert!(sent_bytes >= progress);
                progress = sent_bytes;
            }
            TransferEvent::Finished { result, .. } => {
                assert!(events.recv().is_err(), "one end");
                return (result, progress);
            }
        }
    }
}

fn run(plan: Plan) -> Result<Response, TransferError> {
    let transport = transport();
    end(&start(&transport, plan)).0
}

/// Reads one request to its end: head, and as many bytes of body as the head says.
fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let Some(head_end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap().to_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
        if bytes.len() >= head_end + 4 + length || read == 0 {
            return (head, bytes[head_end + 4..].to_vec());
        }
    }
}

/// Answers each connection's first request; gives what it got.
fn serve(answer: &'static str) -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let request = read_request(&mut stream);
            if sender.send(request).is_err() {
                return;
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, requests)
}

#[test]
fn a_file_range_arrives_whole_with_its_length() {
    let (url, requests) = serve("HTTP/1.1 204 No Content\r\nTus-Resumable: 1.0.0\r\n\r\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("piece");
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let transport = transport();
    let body = Body::File { path, offset: 17, length: 4_000_000 };
    let (result, progress) = end(&start(&transport, plan(Method::Patch, url, body)));
    assert_eq!(result.unwrap().header("tus-resumable"), Some("1.0.0"));
    let (head, received) = requests.recv().unwrap();
    assert!(head.contains("content-length: 4000000") && !head.contains("transfer-encoding"), "{head}");
    assert!(received == bytes[17..4_000_017]);
    assert!(progress >= 1 << 20, "progress was told on the way");
}

#[test]
fn a_post_without_a_body_says_so() {
    let (url, requests) = serve("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(run(plan(Method::Post, url, Body::Empty)).unwrap().status, 201);
    assert!(requests.recv().unwrap().0.contains("content-length: 0"));
}

#[test]
fn redirects_are_answers() {
    let (url, _requests) =
        serve("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    let response = run(plan(Method::Get, url, Body::Empty)).unwrap();
    assert_eq!((response.status, response.header("location")), (307, Some("http://127.0.0.1:1/")));
}

#[test]
fn a_longer_answer_than_allowed_is_cut_off() {
    const LONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n";
    let answer: &'static str = Box::leak(format!("{LONG}{}", "x".repeat(1_001)).into_boxed_str());
    let (url, _requests) = serve(answer);
    assert_eq!(run(plan(Method::Get, url, Body::Empty)), Err(TransferError::Malformed));
}

#[test]
fn an_answer_goes_into_a_file_and_on_where_it_broke_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("piece");
    let fetch = |answer: &'static str, held_bytes: u64| {
        let (url, _requests) = serve(answer);
        let into = IntoFile { path: path.clone(), held_bytes, bytes_max: 10 };
        let result = run(Plan { into_file: Some(into), ..plan(Method::Get, url, Body::Empty) });
        (result.map(|response| (response.status, response.body)), std::fs::read(&path).unwrap_or_default())
    };
    assert_eq!(fetch("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 0).0, Err(TransferError::Destination));
    std::fs::write(&path, "from before").unwrap();
    let whole = fetch("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", 11);
    assert_eq!(whole, (Ok((200, vec![])), b"abcd".to_vec()), "the whole replaces what was there");
    let broken = fetch("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\nef", 4);
    assert_eq!(broken, (Err(TransferError::Offline), b"abcdef".to_vec()), "what has arrived counts");
    let rest = fetch("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 6-9/10\r\nContent-Length: 4\r\n\r\nghij", 6);
    assert_eq!(rest, (Ok((206, vec![])), b"abcdefghij".to_vec()));
    let other = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nxxxxx";
    assert_eq!(fetch(other, 6), (Err(TransferError::Malformed), b"abcdefghij".to_vec()), "not what was asked for");
    let refused = fetch("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", 6);
    assert_eq!(refused, (Ok((404, b"{}".to_vec())), b"abcdefghij".to_vec()), "an error is no content");
    let long = fetch("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890", 0);
    assert_eq!(long.0, Err(TransferError::Malformed));
}

#[test]
fn plain_http_stays_on_this_machine() {
    for url in ["http://192.0.2.1/", "http://api.example/", "http://127.0.0.1.nip.example/"] {
        assert_eq!(run(plan(Method::Get, url.to_owned(), Body::Empty)), Err(TransferError::PlainHttp), "{url}");
    }
    assert_eq!(run(plan(Method::Get, "file:///etc/passwd".to_owned(), Body::Empty)), Err(TransferError::Malformed));
}

#[test]
fn no_listener_is_offline_and_silence_times_out() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(run(plan(Method::Get, format!("http://{closed}/"), Body::Empty)), Err(TransferError::Offline));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let impatient = Plan { timeout_ms: 200, ..plan(Method::Get, url, Body::Empty) };
    assert_eq!(run(impatient), Err(TransferError::TimedOut));
}

#[test]
fn a_cancelled_transfer_says_so() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let transport = transport();
    let events = start(&transport, plan(Method::Get, url, Body::Empty));
    transport.cancel(TransferId(1));
    assert_eq!(end(&events).0, Err(TransferError::Cancelled));
}

#[test]
fn a_file_that_is_not_there_or_too_short_is_the_sources_fault() {
    let (url, _requests) = serve("HTTP/1.1 204 No Content\r\n\r\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("piece");
    let body = Body::File { path: path.clone(), offset: 0, length: 10 };
    assert_eq!(run(plan(Method::Patch, url.clone(), body.clone())), Err(TransferError::Source));
    std::fs::write(&path, b"short").unwrap();
    assert_eq!(run(plan(Method::Patch, url, body)), Err(TransferError::Source));
}

#[test]
fn only_pem_is_taken_as_roots() {
    let settings = TransportSettings { trusted_roots_pem: b"not pem".to_vec(), ..TransportSettings::default() };
    assert!(matches!(ReqwestTransport::new(settings), Err(TransportError::Roots)));
}

/// Serves TLS with a fresh certificate for `localhost`; gives its PEM.
fn serve_tls() -> (String, Vec<u8>) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = certified.cert.pem().into_bytes();
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let config = Arc::new(config);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut connection = tokio_rustls::rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = tokio_rustls::rustls::Stream::new(&mut connection, &mut stream);
            let mut buffer = [0; 4_096];
            if tls.read(&mut buffer).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    (url, pem)
}

#[test]
fn a_given_root_is_trusted_and_no_other() {
    let (url, pem) = serve_tls();
    let settings = TransportSettings { trusted_roots_pem: pem, ..TransportSettings::default() };
    let trusting = ReqwestTransport::new(settings).unwrap();
    assert_eq!(end(&start(&trusting, plan(Method::Get, url.clone(), Body::Empty))).0.unwrap().body, b"ok");
    assert_eq!(run(plan(Method::Get, url.clone(), Body::Empty)), Err(TransferError::Tls));
    let (_, other_pem) = serve_tls();
    let settings = TransportSettings { trusted_roots_pem: other_pem, ..TransportSettings::default() };
    let other = ReqwestTransport::new(settings).unwrap();
    assert_eq!(end(&start(&other, plan(Method::Get, url, Body::Empty))).0, Err(TransferError::Tls));
}
