//! The end of an instance, at every wrong moment.
#![allow(clippy::unwrap_used)]

use snaptrak::{
    AnalyseOptions, Budget, CancelToken, CaptureOptions, Config, EndedBecause, Enrol, Error, ErrorCode, Kind, Platform,
    Progress, ProgressEvent, PurgeOptions, Quiet, RecordOptions, Rendition, RotateKeys, Secret, SignIn, SignUp,
    SnapTrak,
};
use snaptrak_testkit::FixedKeyStore;
use std::{io::Read, net::TcpListener, path::Path, sync::Arc, sync::mpsc, thread, time::Duration};

/// "Well under a second", with room for a machine that does something else too.
const AT_ONCE: Duration = Duration::from_millis(900);

fn platform() -> Platform {
    Platform::system(Arc::new(FixedKeyStore::new([1; 32])))
}

fn create(folder: &Path) -> SnapTrak {
    SnapTrak::create(Config::new(folder), platform()).unwrap()
}

fn open(folder: &Path) -> SnapTrak {
    SnapTrak::open(Config::new(folder), platform()).unwrap()
}

fn sign_up(server: String) -> SignUp {
    let password = Secret::new(b"a long enough password".to_vec());
    SignUp { server, email: "a@example.org".to_owned(), password, name: None, trust_root: None }
}

fn sign_in(server: String) -> SignIn {
    let SignUp { server, email, password, .. } = sign_up(server);
    SignIn { server, email, password, trust_root: None }
}

fn code<T>(result: Result<T, Error>) -> ErrorCode {
    result.err().unwrap().code()
}

/// Closes on another thread; fails if that takes its time.
fn close_at_once(instance: &SnapTrak) {
    let (closing, closed) = mpsc::channel();
    let clone = instance.clone();
    let closer = thread::spawn(move || closing.send(clone.close()));
    closed.recv_timeout(AT_ONCE).expect("closing waits for nobody").unwrap();
    closer.join().unwrap().unwrap();
}

#[test]
fn calls_that_wait_for_a_server_that_never_answers_end_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let instance = create(&path);
    // It takes the connection and the request, and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", server.local_addr().unwrap());
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| code(instance.sign_up(sign_up(origin.clone()))));
        let (mut connection, _) = server.accept().unwrap();
        connection.read_exact(&mut [0]).unwrap();
        // It waits behind the first, for its turn.
        let second = scope.spawn(|| code(instance.sign_in(sign_in(origin.clone()))));
        close_at_once(&instance);
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!([first, second], [ErrorCode::Cancelled; 2]);
    open(&path).close().unwrap();
}

#[test]
fn a_sign_in_that_nobody_waits_for_is_broken_off_and_the_next_call_has_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", server.local_addr().unwrap());
    let (first, second) = (CancelToken::new(), CancelToken::new());
    let answers = thread::scope(|scope| {
        let signing_up = scope.spawn(|| code(instance.sign_up_until(sign_up(origin.clone()), &first)));
        let (mut connection, _) = server.accept().unwrap();
        connection.read_exact(&mut [0]).unwrap();
        let signing_in = scope.spawn(|| code(instance.sign_in_until(sign_in(origin.clone()), &second)));
        first.cancel();
        let signing_up = signing_up.join().unwrap();
        // The second has its turn now, which the server sees, and keeps waiting: a connection that it let go would be offline.
        let (mut next, _) = server.accept().unwrap();
        next.read_exact(&mut [0]).unwrap();
        second.cancel();
        [signing_up, signing_in.join().unwrap()]
    });
    assert_eq!(answers, [ErrorCode::Cancelled; 2]);
    instance.close().unwrap();
}

#[test]
fn a_recording_that_goes_on_ends_with_what_it_has_and_lets_go_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let instance = create(&path);
    let options = RecordOptions { piece_bytes: 100_000, ..RecordOptions::default() };
    let bytes: Vec<u8> = (0..62_751_u32).flat_map(u32::to_le_bytes).collect();
    let mut recording = instance.record_with(Kind::Video, CaptureOptions::default(), options).unwrap();
    assert_eq!(recording.write(&bytes).unwrap().len(), 2);
    let empty = instance.record(Kind::Audio, CaptureOptions::default()).unwrap();
    close_at_once(&instance);

    // Before the handles go: they hold nothing.
    let again = open(&path);
    assert_eq!(code(recording.write(b"later")), ErrorCode::Cancelled);
    assert_eq!(code(recording.tick()), ErrorCode::Cancelled);
    assert_eq!(code(recording.pause()), ErrorCode::Cancelled);
    recording.resume();
    assert_eq!((recording.next_tick_ms(), recording.bytes()), (None, bytes.len() as u64));
    assert_eq!(recording.ended_because(), None);
    let id = recording.capture_id();
    assert_eq!(code(recording.finish()), ErrorCode::Cancelled);
    assert_eq!(code(empty.cancel()), ErrorCode::Cancelled);
    assert_eq!(code(instance.record(Kind::Audio, CaptureOptions::default())), ErrorCode::Cancelled);

    let captures = again.list(None, 10, None).unwrap().captures;
    assert_eq!(captures.iter().map(|capture| capture.id).collect::<Vec<_>>(), [id], "the empty one left nothing");
    let mut read = Vec::new();
    again.view(id, &mut read).unwrap();
    assert!(read == bytes, "to the last byte that was taken");
    assert_eq!(again.show(id).unwrap().metadata.ended_because, Some(EndedBecause::InputEnded));
    again.close().unwrap();
}

#[test]
fn every_call_after_the_end_is_told_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let id = instance.note("a note", CaptureOptions::default()).unwrap().capture_id;
    let closed = instance.clone();
    instance.close().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"late").unwrap();
    let (options, out) = (CaptureOptions::default, &mut Vec::new());
    let server = || "http://127.0.0.1:9".to_owned();
    let told = [
        ("note", code(closed.note("late", options()))),
        ("capture_reader", code(closed.capture_reader(&mut &b"late"[..], options()))),
        ("capture_file", code(closed.capture_file(&file, options()))),
        ("record", code(closed.record(Kind::Audio, options()))),
        ("analyse", code(closed.analyse(&AnalyseOptions::default(), &Quiet))),
        ("sign_up", code(closed.sign_up(sign_up(server())))),
        ("sign_in", code(closed.sign_in(sign_in(server())))),
        ("enrol", code(closed.enrol(Enrol { server: server(), trust_root: None }))),
        ("sign_out", code(closed.sign_out())),
        ("sync", code(closed.sync(Budget::default(), &Quiet))),
        ("fetch", code(closed.fetch(id, &Quiet))),
        ("list", code(closed.list(None, 10, None))),
        ("show", code(closed.show(id))),
        ("view", code(closed.view(id, out))),
        ("view_range", code(closed.view_range(id, 0..1, out))),
        ("reader", code(closed.reader(id))),
        ("annotate", code(closed.annotate(id, snaptrak::PictureFormat::Jpeg))),
        ("thumbnail", code(closed.thumbnail(id))),
        ("status", code(closed.status())),
        ("why", code(closed.why(id))),
        ("verify", code(closed.verify())),
        ("export_key", code(closed.export_key(id, Rendition::Original))),
        ("purge", code(closed.purge(PurgeOptions::default()))),
        ("pin", code(closed.pin(id))),
        ("forecast", code(closed.forecast())),
        ("unlock", code(closed.unlock())),
        ("rotate media", code(closed.rotate_keys(RotateKeys { database: false, media: true }))),
        ("rotate database", code(closed.rotate_keys(RotateKeys { database: true, media: false }))),
        ("trim_memory", code(closed.trim_memory())),
    ];
    for (call, code) in told {
        assert_eq!(code, ErrorCode::Cancelled, "{call}");
    }
    closed.lock();
    closed.close().unwrap();
}

#[test]
fn analysis_and_recovery_are_broken_off_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("store"), folder.path().join("new"));
    let instance = create(&path);
    for number in 0..3_u8 {
        instance.capture_reader(&mut &[number; 10][..], CaptureOptions::default()).unwrap();
    }
    // Nine bytes that say they are a picture: there is something to analyse.
    instance.capture_reader(&mut &b"\xff\xd8\xff\xe0 no"[..], CaptureOptions::default()).unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    assert_eq!(code(instance.analyse_until(&AnalyseOptions::default(), &Quiet, &cancel)), ErrorCode::Cancelled);
    assert_eq!(code(instance.analyse(&AnalyseOptions::default(), &Quiet)), ErrorCode::EngineMissing, "it goes on");
    instance.close().unwrap();

    let config = Config::new(&new);
    let recover = |cancel: &CancelToken, progress: &dyn Progress| {
        SnapTrak::recover_until(&path, &config, &platform(), None, progress, cancel)
    };
    assert_eq!(code(recover(&cancel, &Quiet)), ErrorCode::Cancelled);
    let midway = Cancelling(CancelToken::new());
    assert_eq!(code(recover(&midway.0, &midway)), ErrorCode::Cancelled);
    let in_place = SnapTrak::quarantine_and_recover_until(&Config::new(&path), &platform(), None, &Quiet, &cancel);
    assert_eq!(code(in_place), ErrorCode::Cancelled);
    assert_eq!(recover(&CancelToken::new(), &Quiet).unwrap().recovered, 4);
    open(&path).close().unwrap();
}

/// Cancels with the first step that it is told of.
struct Cancelling(CancelToken);

impl Progress for Cancelling {
    fn update(&self, _event: ProgressEvent) {
        self.0.cancel();
    }
}
