//! An app that signs its people in itself: the SDK gets its tokens one by one, and never a password.
#![allow(clippy::unwrap_used)]

use snaptrak::{
    Budget, CancelToken, CaptureId, CaptureOptions, Config, Enrol, Error, ErrorCode, Platform, Quiet, ReasonCode,
    Secret, SnapTrak, StoppedBecause, TokenError, TokenProvider,
};
use snaptrak_driver::{Account, EMAIL, PASSWORD, Station};
use snaptrak_testkit::FixedKeyStore;
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

/// How long a test waits for what must happen at once, on a machine that does something else too.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What the app does when it is asked.
#[derive(Clone)]
enum Mood {
    /// It signs in where it must, and keeps its token until that is refused.
    SignedIn,
    SignedOut,
    /// It says that it was asked, and answers nobody.
    Hangs(mpsc::Sender<()>),
}

/// The app: it has a session of its own at the server.
struct App {
    url: String,
    session: Mutex<Option<Account>>,
    mood: Mutex<Mood>,
    asked: Mutex<Vec<Option<String>>>,
}

impl App {
    fn of(station: &Station) -> Arc<Self> {
        Arc::new(Self {
            url: station.url(),
            session: Mutex::default(),
            mood: Mutex::new(Mood::SignedIn),
            asked: Mutex::default(),
        })
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn token(&self) -> String {
        self.session.lock().unwrap().as_ref().unwrap().access_token().to_owned()
    }

    fn asked(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl TokenProvider for App {
    fn token(&self, refused: Option<&Secret>) -> Result<Secret, TokenError> {
        let refused = refused.map(|token| String::from_utf8(token.expose().to_vec()).unwrap());
        self.asked.lock().unwrap().push(refused.clone());
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::SignedIn => {}
            Mood::SignedOut => return Err(TokenError::SignedOut),
            Mood::Hangs(telling) => {
                telling.send(()).unwrap();
                loop {
                    std::thread::park();
                }
            }
        }
        let mut session = self.session.lock().unwrap();
        if session.as_ref().is_none_or(|session| refused.as_deref() == Some(session.access_token())) {
            *session = Some(Account::sign_in(&self.url, EMAIL, PASSWORD).map_err(|_| TokenError::NotNow)?);
        }
        Ok(Secret::new(session.as_ref().unwrap().access_token().as_bytes().to_vec()))
    }
}

fn platform(app: Option<&Arc<App>>) -> Platform {
    let token_provider = app.map(|app| Arc::clone(app) as Arc<dyn TokenProvider>);
    Platform { token_provider, ..Platform::system(Arc::new(FixedKeyStore::new([1; 32]))) }
}

fn config(station: &Station) -> Config {
    Config { ballast_bytes: 0, ..Config::new(station.path("the app's store")) }
}

fn note(instance: &SnapTrak) -> CaptureId {
    instance.note("third window", CaptureOptions::default()).unwrap().capture_id
}

fn enrol(station: &Station) -> Enrol {
    Enrol { server: station.url(), trust_root: None }
}

/// Windows until nothing waits; how many captures the server signed for.
fn bring(instance: &SnapTrak) -> u64 {
    let mut verified = 0;
    for _ in 0..12 {
        let report = instance.sync(Budget::default(), &Quiet).unwrap();
        verified += report.verified;
        if report.left == 0 {
            break;
        }
    }
    verified
}

fn why(instance: &SnapTrak, id: CaptureId) -> ReasonCode {
    instance.why(id).unwrap().reason.code
}

#[test]
fn an_app_enrols_with_its_own_token_and_gives_another_when_one_is_refused() {
    let station = Station::enrolled(&[]).unwrap();
    let app = App::of(&station);
    let instance = SnapTrak::create(config(&station), platform(Some(&app))).unwrap();
    note(&instance);
    let enrolled = instance.enrol(enrol(&station)).unwrap();
    assert!(!enrolled.trust_root_given, "trusted on first use, and said");
    assert_eq!(bring(&instance), 1);
    assert!(app.asked().iter().all(Option::is_none), "nothing was refused");

    // The token ends, for example because it was revoked.
    let ended = app.token();
    app.session.lock().unwrap().as_ref().unwrap().sign_out().unwrap();
    note(&instance);
    assert_eq!(bring(&instance), 1);
    let asked = app.asked();
    assert_eq!(asked[..2], [None, Some(ended.clone())]);
    assert_ne!(app.token(), ended);

    // It is the app's to give tokens after a restart too.
    instance.close().unwrap();
    let instance = SnapTrak::open(config(&station), platform(Some(&app))).unwrap();
    note(&instance);
    assert_eq!(bring(&instance), 1);
    instance.close().unwrap();
    let account = station.account().unwrap();
    assert_eq!(account.captures().unwrap().len(), 3, "asked without our client");
}

#[test]
fn who_is_signed_out_waits_with_that_reason() {
    let station = Station::enrolled(&[]).unwrap();
    let app = App::of(&station);
    let instance = SnapTrak::create(config(&station), platform(Some(&app))).unwrap();
    app.is(Mood::SignedOut);
    let told = instance.enrol(enrol(&station)).unwrap_err();
    assert!(matches!(&told, Error::SignIn(cause) if cause.code == ErrorCode::SignedOut), "{told}");
    app.is(Mood::SignedIn);
    instance.enrol(enrol(&station)).unwrap();
    let waits = note(&instance);

    app.is(Mood::SignedOut);
    let report = instance.sync(Budget::default(), &Quiet).unwrap();
    assert_eq!((report.stopped_because, why(&instance, waits)), (StoppedBecause::SignedOut, ReasonCode::SignedOut));
    app.is(Mood::SignedIn);
    assert_eq!(bring(&instance), 1);

    // Signed out here, the app is not even asked.
    instance.sign_out().unwrap();
    app.asked();
    let waits = note(&instance);
    let report = instance.sync(Budget::default(), &Quiet).unwrap();
    assert_eq!((report.stopped_because, why(&instance, waits)), (StoppedBecause::SignedOut, ReasonCode::SignedOut));
    assert!(app.asked().is_empty());
    instance.close().unwrap();

    // So it is without an app that could be.
    let instance = SnapTrak::open(config(&station), platform(None)).unwrap();
    let told = instance.enrol(enrol(&station)).unwrap_err();
    assert_eq!(told.code(), ErrorCode::InvalidArgument);
    assert_eq!(instance.sync(Budget::default(), &Quiet).unwrap().stopped_because, StoppedBecause::SignedOut);
    instance.close().unwrap();
}

#[test]
fn an_app_that_never_answers_stops_neither_the_window_nor_its_caller_nor_the_end() {
    let station = Station::enrolled(&[]).unwrap();
    let app = App::of(&station);
    let instance = SnapTrak::create(config(&station), platform(Some(&app))).unwrap();
    instance.enrol(enrol(&station)).unwrap();
    note(&instance);
    let (telling, asked) = mpsc::channel();
    app.is(Mood::Hangs(telling));

    // On time: the question stays open, and nobody waits for it.
    let budget = Budget { time_ms: Some(50), bytes: None };
    assert_eq!(instance.sync(budget, &Quiet).unwrap().stopped_because, StoppedBecause::BudgetTime);
    asked.recv_timeout(AT_ONCE).unwrap();

    // By its caller, while captures go on.
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        let window = scope.spawn(|| instance.sync_until(Budget::default(), &Quiet, &cancel).unwrap());
        note(&instance);
        cancel.cancel();
        assert_eq!(window.join().unwrap().stopped_because, StoppedBecause::Cancelled);
    });

    // By the end of the instance.
    let (closing, closed) = mpsc::channel();
    std::thread::scope(|scope| {
        let window = scope.spawn(|| instance.clone().sync(Budget::default(), &Quiet));
        scope.spawn(|| closing.send(instance.clone().close()).unwrap());
        closed.recv_timeout(AT_ONCE).expect("closing waits for no app").unwrap();
        match window.join().unwrap() {
            Ok(report) => assert_eq!(report.stopped_because, StoppedBecause::Cancelled),
            Err(error) => assert_eq!(error.code(), ErrorCode::Cancelled),
        }
    });
    assert!(asked.try_recv().is_err(), "one question at a time");
    let again = SnapTrak::open(config(&station), platform(None)).unwrap();
    assert_eq!(again.status().unwrap().waiting, 2);
    again.close().unwrap();
}
