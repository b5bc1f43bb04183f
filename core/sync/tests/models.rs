//! Files of models from a server that answers what it is told: whatever it says, the file is the one that was promised, or there
//! is none.
#![allow(clippy::unwrap_used)]

use snaptrak_domain::fetch_store::{ArrivingFile, FetchTarget};
use snaptrak_domain::queue_store::{Enrolment, QueueError, QueueStore, SavedSession, Tokens};
use snaptrak_domain::transport::TransferError;
use snaptrak_domain::{AccountId, CancelToken, Clock, DeviceId, OrganisationId, Secret, Sha256Digest, UnixMs};
use snaptrak_seal::sha256;
use snaptrak_sync::{
    ModelsErrand, ModelsFile, NewestModels, ReqwestTransport, SyncClient, SyncError, SyncParts, TransportSettings,
};
use snaptrak_testkit::memory_queue::MemoryQueue;
use snaptrak_testkit::{FakeClock, SeededRandom};
use std::cell::Cell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

const WEIGHTS: &[u8] = b"weights of a model that is long enough to come in two parts";

/// Answers one request a connection, in this order, and tells the heads of what it was asked.
fn serve(answers: Vec<Vec<u8>>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, heads) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                head.push(byte[0]);
            }
            sender.send(String::from_utf8(head).unwrap().to_lowercase()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    (url, heads)
}

/// An answer that says it has `length` bytes.
fn saying(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    saying(status, headers, body.len(), body)
}

fn rest(from: usize) -> Vec<u8> {
    let range = format!("content-range: bytes {from}-{}/{}\r\n", WEIGHTS.len() - 1, WEIGHTS.len());
    answer("206 Partial Content", &range, &WEIGHTS[from..])
}

fn client(server: String) -> SyncClient {
    let clock = Arc::new(FakeClock::new());
    let store = MemoryQueue::new(clock.clone());
    let enrolment = Enrolment {
        server,
        account_id: AccountId::from_bytes([1; 16]),
        organisation_id: OrganisationId::from_bytes([4; 16]),
        device_id: DeviceId::from_bytes([2; 16]),
        trust_root: Sha256Digest([3; 32]),
        trust_root_given: true,
    };
    store.save_enrolment(&enrolment, b"a bundle").unwrap();
    let access_expires = UnixMs(clock.now().0 + 3_600_000);
    let token = || Secret::new(b"token".to_vec());
    let tokens = Tokens { access: token(), access_expires, refresh: token() };
    store.save_session(Some(&SavedSession::Tokens(tokens))).unwrap();
    SyncClient::new(SyncParts {
        store: Arc::new(store),
        transport: Arc::new(ReqwestTransport::new(TransportSettings::default()).unwrap()),
        clock,
        random: Arc::new(SeededRandom::new(1)),
        token_provider: None,
    })
}

/// A file's place, which remembers the most that was ever in it.
struct Place {
    folder: tempfile::TempDir,
    most_bytes: Cell<u64>,
}

impl Place {
    fn holding(bytes: &[u8]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), most_bytes: Cell::new(0) };
        fs::write(place.path(), bytes).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("part")
    }

    fn bytes(&self) -> Vec<u8> {
        let bytes = fs::read(self.path()).unwrap();
        self.most_bytes.set(self.most_bytes.get().max(bytes.len() as u64));
        bytes
    }

    fn is_whole(&self) -> bool {
        self.folder.path().join("whole").exists()
    }
}

impl ArrivingFile for Place {
    fn target(&self) -> Result<Option<FetchTarget>, QueueError> {
        let held_bytes = self.bytes().len() as u64;
        Ok((!self.is_whole()).then(|| FetchTarget { path: self.path(), held_bytes }))
    }

    fn accept(&self) -> Result<bool, QueueError> {
        let is_it = self.bytes() == WEIGHTS;
        if is_it {
            fs::write(self.folder.path().join("whole"), WEIGHTS).unwrap();
        } else {
            self.discard()?;
        }
        Ok(is_it)
    }

    fn discard(&self) -> Result<(), QueueError> {
        self.bytes();
        fs::write(self.path(), b"").unwrap();
        Ok(())
    }
}

/// Brings the file, of which `held` is there, from a server that gives these answers; what came of it, the heads of the requests.
fn bring(held: &[u8], answers: Vec<Vec<u8>>) -> (Result<Option<u64>, SyncError>, Vec<String>, Place) {
    let (url, heads) = serve(answers);
    let (client, cancel, place) = (client(url), CancelToken::new(), Place::holding(held));
    let mut errand = client.models(&cancel, None).unwrap();
    let file = ModelsFile { file: &place, sha256: sha256(WEIGHTS), bytes: WEIGHTS.len() as u64 };
    let brought = errand.bring(&file);
    place.bytes();
    assert!(place.most_bytes.get() <= WEIGHTS.len() as u64, "never more than was promised");
    assert_eq!(place.is_whole(), brought.is_ok());
    drop(errand);
    (brought, heads.try_iter().collect(), place)
}

fn ranges(heads: &[String]) -> Vec<Option<&str>> {
    fn range(head: &str) -> Option<&str> {
        head.lines().find_map(|line| line.strip_prefix("range: bytes="))
    }
    heads.iter().map(|head| range(head)).collect()
}

#[test]
fn a_part_is_gone_on_with_as_long_as_it_is_a_part_of_the_same_file() {
    let (brought, heads, _) = bring(&WEIGHTS[..10], vec![rest(10)]);
    assert_eq!((brought.unwrap(), ranges(&heads)), (Some(WEIGHTS.len() as u64 - 10), vec![Some("10-")]));
    assert!(heads[0].contains(&format!("if-range: \"{}\"", sha256(WEIGHTS))), "{}", heads[0]);
    assert!(heads[0].starts_with(&format!("get /v1/models/files/{} ", sha256(WEIGHTS))), "{}", heads[0]);
}

#[test]
fn a_server_that_knows_no_ranges_gives_the_whole_and_it_replaces_the_part() {
    let (brought, heads, _) = bring(b"of an other file", vec![answer("200 OK", "", WEIGHTS)]);
    assert_eq!(ranges(&heads), [Some("16-")]);
    brought.unwrap();
}

#[test]
fn a_connection_that_breaks_is_made_again_while_it_brings_something() {
    let broken = saying("200 OK", "", WEIGHTS.len(), &WEIGHTS[..20]);
    let (brought, heads, _) = bring(b"", vec![broken.clone(), rest(20)]);
    assert_eq!((brought.unwrap(), ranges(&heads)), (Some(WEIGHTS.len() as u64), vec![None, Some("20-")]));
    let range = format!("content-range: bytes 20-{}/{}\r\n", WEIGHTS.len() - 1, WEIGHTS.len());
    let nothing = saying("206 Partial Content", &range, WEIGHTS.len() - 20, b"");
    let (brought, _, place) = bring(b"", vec![broken, nothing]);
    assert_eq!(brought, Err(SyncError::Transfer(TransferError::Offline)));
    assert_eq!(place.bytes(), &WEIGHTS[..20], "what arrived waits");
}

#[test]
fn what_cannot_be_a_part_of_the_file_is_thrown_away_and_fetched_from_the_beginning() {
    let refused = answer("416 Range Not Satisfiable", "", br#"{"code":"range_not_satisfiable"}"#);
    let whole = || answer("200 OK", "", WEIGHTS);
    // The server says that the file is not that long.
    let (brought, heads, _) = bring(&WEIGHTS[..10], vec![refused.clone(), whole()]);
    assert_eq!((brought.is_ok(), ranges(&heads)), (true, vec![Some("10-"), None]));
    // The rest of it is, and the part was another one's: the digest tells.
    let (brought, heads, _) = bring(b"0123456789", vec![rest(10), whole()]);
    assert_eq!((brought.is_ok(), ranges(&heads)), (true, vec![Some("10-"), None]));
    // It goes on elsewhere than it was asked to.
    let (brought, heads, _) = bring(&WEIGHTS[..10], vec![rest(20), whole()]);
    assert_eq!((brought.is_ok(), ranges(&heads)), (true, vec![Some("10-"), None]));
    // A server that refuses the beginning refuses the file.
    let (brought, ..) = bring(b"", vec![refused]);
    assert!(matches!(brought, Err(SyncError::Api(error)) if error.status == 416));
}

#[test]
fn other_bytes_replace_nothing_and_more_bytes_than_promised_are_not_taken() {
    let mut other = WEIGHTS.to_vec();
    other[7] ^= 1;
    let (brought, _, place) = bring(b"", vec![answer("200 OK", "", &other)]);
    assert_eq!((brought, place.bytes()), (Err(SyncError::OtherBytes), Vec::new()));
    let (brought, heads, _) = bring(b"0123", vec![answer("200 OK", "", &other), answer("200 OK", "", &other)]);
    assert_eq!((brought, ranges(&heads)), (Err(SyncError::OtherBytes), vec![Some("4-"), None]), "twice, no more");
    let (brought, _, place) = bring(b"", vec![answer("200 OK", "", &WEIGHTS[1..])]);
    assert_eq!((brought, place.bytes()), (Err(SyncError::OtherBytes), Vec::new()), "too short");
    let longer = [WEIGHTS, &[b'x'; 100_000]].concat();
    let (brought, _, place) = bring(b"", vec![answer("200 OK", "", &longer)]);
    assert_eq!((brought, place.bytes()), (Err(SyncError::Transfer(TransferError::Malformed)), Vec::new()));
    let endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    let (brought, _, place) = bring(b"", vec![[endless, longer].concat()]);
    assert_eq!((brought, place.bytes()), (Err(SyncError::Transfer(TransferError::Malformed)), Vec::new()));
}

#[test]
fn a_server_without_keys_leaves_those_that_are_stored_and_one_without_models_is_no_error() {
    let busy = answer("503 Service Unavailable", "", b"");
    let none = answer("404 Not Found", "", br#"{"code":"no_models"}"#);
    let known = answer("304 Not Modified", "", b"");
    let (url, heads) = serve(vec![busy, none, known, answer("200 OK", "", b"signed")]);
    let (client, cancel) = (client(url), CancelToken::new());
    let mut errand: ModelsErrand<'_> = client.models(&cancel, None).unwrap();
    errand.renew_trust().unwrap();
    assert!(!heads.recv().unwrap().contains("authorization"), "keys vouch for themselves");
    assert_eq!(errand.newest(None).unwrap(), NewestModels::NothingNew);
    assert!(!heads.recv().unwrap().contains("if-none-match"));
    assert_eq!(errand.newest(Some(&Sha256Digest([0xab; 32]))).unwrap(), NewestModels::NothingNew);
    assert!(heads.recv().unwrap().contains(&format!("if-none-match: \"{}\"", "ab".repeat(32))));
    assert_eq!(errand.newest(None).unwrap(), NewestModels::Signed(b"signed".to_vec()));
}

#[test]
fn a_deadline_and_a_cancellation_end_the_errand_and_others_are_refused_meanwhile() {
    // It takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (client, cancel) = (client(url), CancelToken::new());
    let mut errand = client.models(&cancel, None).unwrap();
    assert!(matches!(client.models(&CancelToken::new(), None).err(), Some(SyncError::AlreadyRunning)));
    cancel.cancel();
    assert_eq!(errand.newest(None), Err(SyncError::Transfer(TransferError::Cancelled)));
    drop(errand);
    let (cancel, now) = (CancelToken::new(), FakeClock::new().monotonic());
    let mut errand = client.models(&cancel, Some(now)).unwrap();
    assert_eq!(errand.newest(None), Err(SyncError::Transfer(TransferError::Cancelled)));
}
