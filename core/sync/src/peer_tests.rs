//! Uploads to tus servers that this project did not write, over real connections that are cut on the way.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snaptrak_domain::queue_store::{OutgoingPiece, PieceBytes, Upload};
use snaptrak_domain::transport::{
    Body, Capabilities, Method, Plan, TransferError, TransferEvent, TransferEvents, TransferId, Transport,
};
use snaptrak_domain::{AssetId, CancelToken, Secret, UnixMs};
use snaptrak_seal::sha256;
use snaptrak_testkit::FakeClock;

use crate::api::Call;
use crate::api::uploads::{plan_append, plan_create, plan_standing, read_append, read_create, read_standing};
use crate::line::{Line, RealPace};
use crate::origin::Origin;
use crate::reqwest_transport::{ReqwestTransport, TransportSettings};
use crate::tus::{Action, Answer, Attempt};
use crate::verdict;

/// Several chunks of the transport, and more than sockets buffer.
const PIECE_BYTES: usize = 24 << 20;

/// A server process with its folder.
struct Peer {
    start: Box<dyn Fn() -> Command>,
    child: Child,
    port: u16,
}

impl Peer {
    fn start(command: impl Fn(u16) -> Command + 'static) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let start = Box::new(move || command(port));
        let child = spawn(&mut start(), port);
        Self { start, child, port }
    }

    fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&mut (self.start)(), self.port);
    }

    fn origin(&self) -> Origin {
        Origin::parse(&format!("http://127.0.0.1:{}", self.port)).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a foreign process does not say when it begins to listen")]
fn spawn(command: &mut Command, port: u16) -> Child {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("the tus server did not start")
}

/// Breaks the connection of an append once, after so many bytes were handed over.
struct Cutting {
    inner: Arc<ReqwestTransport>,
    cuts: Mutex<Vec<u64>>,
}

struct CuttingEvents {
    inner: Arc<ReqwestTransport>,
    events: Arc<dyn TransferEvents>,
    after: u64,
    cut: AtomicBool,
}

impl TransferEvents for CuttingEvents {
    fn on_event(&self, event: TransferEvent) {
        match &event {
            TransferEvent::Progress { id, sent_bytes } if *sent_bytes >= self.after => {
                self.cut.store(true, Ordering::SeqCst);
                self.inner.cancel(*id);
            }
            TransferEvent::Progress { .. } | TransferEvent::Finished { .. } => {}
        }
        self.events.on_event(match event {
            TransferEvent::Finished { id, result: Err(TransferError::Cancelled) }
                if self.cut.load(Ordering::SeqCst) =>
            {
                TransferEvent::Finished { id, result: Err(TransferError::Offline) }
            }
            other @ (TransferEvent::Finished { .. } | TransferEvent::Progress { .. }) => other,
        });
    }
}

impl Transport for Cutting {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn start(&self, plan: Plan, events: Arc<dyn TransferEvents>) {
        let after = (plan.method == Method::Patch).then(|| self.cuts.lock().unwrap().pop()).flatten();
        match after {
            Some(after) => {
                let cut = AtomicBool::new(false);
                self.inner.start(plan, Arc::new(CuttingEvents { inner: self.inner.clone(), events, after, cut }));
            }
            None => self.inner.start(plan, events),
        }
    }
    fn cancel(&self, id: TransferId) {
        self.inner.cancel(id);
    }
}

/// Uploads one piece; answers the offsets at which appends began. `between` runs after each cut.
fn upload(origin: &Origin, path: &Path, cuts: Vec<u64>, mut between: impl FnMut()) -> Vec<u64> {
    let inner = Arc::new(ReqwestTransport::new(TransportSettings::default()).unwrap());
    let transport = Cutting { inner, cuts: Mutex::new(cuts) };
    let (clock, cancel) = (FakeClock::new(), CancelToken::new());
    let mut line = Line::new(&transport, &clock, &RealPace, &cancel);
    let bytes = std::fs::read(path).unwrap();
    let piece = OutgoingPiece {
        source: PieceBytes::File(path.to_owned()),
        sealed_bytes: bytes.len() as u64,
        sealed_sha256: sha256(&bytes),
    };
    let mut place = Upload { url: String::new(), capability: Secret::new(Vec::new()), expires: UnixMs(i64::MAX) };
    let (mut attempt, mut action) = Attempt::begin(piece.sealed_bytes, false);
    let mut offsets = Vec::new();
    for _ in 0..50 {
        let id = line.next_id();
        let call = Call { origin, id, access: None };
        let plan = match action {
            Action::Create => plan_create(&call, AssetId::from_bytes([1; 16]), 0, &piece),
            Action::Ask => plan_standing(id, &place),
            Action::Append { offset } => {
                offsets.push(offset);
                plan_append(id, &place, &piece.source, offset, piece.sealed_bytes - offset)
            }
            Action::Received => return offsets,
            Action::End(outcome) => panic!("{outcome:?}"),
        };
        assert!(!matches!(plan.body, Body::Bytes(_)));
        let answer = match line.exchange(plan, None) {
            Err(error) => {
                between();
                Answer::Broken(verdict::of_transfer_error(&error))
            }
            Ok(response) => match action {
                Action::Create => match read_create(&response, origin) {
                    Ok(created) => {
                        place = created.upload;
                        Answer::Created { offset: created.offset }
                    }
                    Err(error) => Answer::Error(error),
                },
                Action::Ask => read_standing(&response).map_or_else(Answer::Error, Answer::Standing),
                Action::Append { .. } => read_append(&response)
                    .map_or_else(Answer::Error, |offset| Answer::Appended { offset, expected: piece.sealed_bytes }),
                Action::Received | Action::End(_) => unreachable!("handled above"),
            },
        };
        action = attempt.next(answer);
    }
    panic!("an upload never takes that many requests")
}

fn piece_file(folder: &Path) -> PathBuf {
    let path = folder.join("00000000.piece");
    let bytes: Vec<u8> = (0..PIECE_BYTES).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Some file of the server's folder is the piece, byte for byte, and no other file is as long.
fn assert_holds(folder: &Path, piece: &Path) {
    let wanted = std::fs::read(piece).unwrap();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let of_this_length: Vec<_> = files.filter(|path| path.metadata().unwrap().len() == wanted.len() as u64).collect();
    assert_eq!(of_this_length.len(), 1, "{of_this_length:?}");
    assert!(std::fs::read(&of_this_length[0]).unwrap() == wanted);
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn cache() -> PathBuf {
    std::env::var_os("SNAPTRAK_CACHE").map_or_else(|| repository().join(".cache"), PathBuf::from)
}

fn resumable_upload(folder: &Path) -> Peer {
    let python =
        std::env::var_os("SNAPTRAK_JUDGES_PYTHON").map_or_else(|| cache().join("judges/bin/python3"), PathBuf::from);
    assert!(
        python.is_file(),
        "the judges' Python is not there: `cargo xtask test` prepares it (or set SNAPTRAK_JUDGES_PYTHON to an interpreter \
         that has the packages of tests/interop/requirements.txt)"
    );
    let folder = folder.to_owned();
    Peer::start(move |port| {
        let mut command = Command::new(&python);
        command.args(["-m", "resumable_upload", "serve", "--host", "127.0.0.1", "--base-path", "/v1/uploads"]);
        command.args(["--port", &port.to_string(), "--log-level", "ERROR", "--upload-dir"]);
        command.arg(folder.join("uploads")).arg("--db-path").arg(folder.join("uploads.db"));
        command
    })
}

fn tus_node_server(folder: &Path) -> Peer {
    let package = cache().join("tus");
    assert!(package.join("node_modules").is_dir(), "see tests/peers/README.md for how it is fetched");
    let folder = folder.to_owned();
    std::fs::create_dir_all(folder.join("uploads")).unwrap();
    Peer::start(move |port| {
        let mut command = Command::new("node");
        command.arg(package.join("server.mjs")).arg(port.to_string()).arg(folder.join("uploads"));
        command
    })
}

#[test]
fn resumable_upload_gets_a_piece_through_cut_connections() {
    let folder = tempfile::tempdir().unwrap();
    let peer = resumable_upload(folder.path());
    let piece = piece_file(folder.path());
    upload(&peer.origin(), &piece, vec![9 << 20, 5 << 20], || {});
    assert_holds(&folder.path().join("uploads"), &piece);
}

#[test]
fn resumable_upload_gets_a_piece_although_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = resumable_upload(folder.path());
    let piece = piece_file(folder.path());
    let origin = peer.origin();
    upload(&origin, &piece, vec![7 << 20], || peer.kill_and_restart());
    assert_holds(&folder.path().join("uploads"), &piece);
}

#[test]
#[ignore = "needs npm's @tus/server: tests/peers/README.md"]
fn tus_node_server_gets_a_piece_and_resumes_it() {
    let folder = tempfile::tempdir().unwrap();
    let peer = tus_node_server(folder.path());
    let piece = piece_file(folder.path());
    let offsets = upload(&peer.origin(), &piece, vec![9 << 20, 5 << 20], || {});
    assert_holds(&folder.path().join("uploads"), &piece);
    assert!(offsets.iter().any(|offset| *offset > 0), "it resumed: {offsets:?}");
}

#[test]
#[ignore = "needs npm's @tus/server: tests/peers/README.md"]
fn tus_node_server_gets_a_piece_although_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut peer = tus_node_server(folder.path());
    let piece = piece_file(folder.path());
    let origin = peer.origin();
    upload(&origin, &piece, vec![7 << 20], || peer.kill_and_restart());
    assert_holds(&folder.path().join("uploads"), &piece);
}
