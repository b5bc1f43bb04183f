//! Tokens of the app: asked for when they are needed, told when they were refused, never waited for beyond the window.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::json;
use snaptrak_domain::queue_store::{QueueStore, SavedSession};
use snaptrak_domain::{
    CancelToken, Clock, DeviceId, ReasonCode, Secret, Sha256Digest, StepKind, TokenError, TokenProvider,
};

use super::World;
use super::server::Fault;
use crate::api::devices::Device;
use crate::enrol::EnrolRequest;
use crate::error::SyncError;
use crate::observer::Quiet;
use crate::report::{Budget, StoppedBecause};

type Answer = Result<&'static str, TokenError>;
/// Is told the number of the question.
type Before = Box<dyn Fn(usize) + Send>;

/// Gives what it was told to, the last of it again and again, and remembers what it was asked.
struct App {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Option<String>>>,
    before: Mutex<Option<Before>>,
}

impl App {
    fn giving(answers: &[Answer]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            asked: Mutex::default(),
            before: Mutex::default(),
        })
    }

    fn before_answering(&self, before: impl Fn(usize) + Send + 'static) {
        *self.before.lock().unwrap() = Some(Box::new(before));
    }

    fn give(&self, answer: Answer) {
        *self.answers.lock().unwrap() = VecDeque::from([answer]);
    }

    /// What it was told of refused tokens, one entry a question.
    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().clone()
    }
}

impl TokenProvider for App {
    fn token(&self, refused: Option<&Secret>) -> Result<Secret, TokenError> {
        let refused = refused.map(|token| String::from_utf8(token.expose().to_vec()).unwrap());
        self.asked.lock().unwrap().push(refused);
        if let Some(before) = self.before.lock().unwrap().as_ref() {
            before(self.asked().len());
        }
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0] };
        answer.map(|text| Secret::new(text.as_bytes().to_vec()))
    }
}

fn refused(token: &str) -> Option<String> {
    Some(token.to_owned())
}

/// Enrolled with an app whose server takes `good` alone.
fn world(app: &Arc<App>, good: &str) -> World {
    let world = World::enrolled(Some(app.clone()));
    world.queue.save_session(Some(&SavedSession::Provided)).unwrap();
    world.server.state().good_access = Some(good.to_owned());
    world
}

fn request(world: &World) -> EnrolRequest {
    EnrolRequest {
        server: "https://api.example".to_owned(),
        trust_root: Some(world.server.organisation.root.fingerprint()),
        device: Device {
            device_id: DeviceId::from_bytes([8; 16]),
            name: "a phone".to_owned(),
            signing_public: [4; 65],
            media_key_id: Sha256Digest([5; 32]),
            platform: "test".to_owned(),
        },
    }
}

#[test]
fn a_window_asks_once_and_keeps_nothing() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.add_many(40);
    assert_eq!(world.run().verified, 40);
    assert_eq!(app.asked(), [None]);
    assert_eq!(world.server.state().refreshes, 0);
    assert_eq!(world.queue.session().unwrap(), Some(SavedSession::Provided));
    world.add_many(1);
    assert_eq!(world.run().verified, 1);
    assert_eq!(app.asked(), [None, None], "the app may have signed out in between");
    assert_eq!(world.times("GET /v1/sessions"), 1, "for whom a token speaks does not change");
}

#[test]
fn a_refused_token_is_told_and_the_next_one_is_used() {
    let app = App::giving(&[Ok("old"), Ok("new")]);
    let world = world(&app, "new");
    world.add_many(3);
    assert_eq!(world.run().verified, 3);
    assert_eq!(app.asked(), [None, refused("old")]);
}

#[test]
fn many_requests_refused_at_once_cost_one_question() {
    let app = App::giving(&[Ok("app-1"), Ok("app-2")]);
    let world = world(&app, "app-1");
    world.add_many(40);
    // It ends while a full lane of envelopes is under way.
    let mut envelopes = 0;
    world.faults(move |_, path, _| {
        envelopes += u32::from(path.ends_with("/envelope"));
        let ended = path.ends_with("/envelope") && envelopes <= 4;
        ended.then(|| Fault::Status(401, json!({"code": "access_expired"})))
    });
    let (server, good) = (world.server.clone(), "app-2");
    app.before_answering(move |question| {
        if question == 2 {
            server.state().good_access = Some(good.to_owned());
        }
    });
    assert_eq!(world.run().verified, 40);
    assert_eq!(app.asked(), [None, refused("app-1")]);
}

#[test]
fn what_the_app_cannot_give_now_waits_and_costs_nothing() {
    let app = App::giving(&[Err(TokenError::NotNow)]);
    let world = world(&app, "app-1");
    let captures = world.add_many(3);
    let report = world.run();
    assert_eq!((report.stopped_because, report.left, report.requests), (StoppedBecause::NoToken, 3, 0));
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::NoToken);
    assert_eq!(world.queue.reason(captures[0].0, StepKind::SendRecord).unwrap().1, 0);
    app.give(Ok("app-1"));
    assert_eq!(world.run().verified, 3);
    assert_eq!(world.queue.block(), None);
}

#[test]
fn a_token_that_runs_out_halfway_puts_everything_back_with_the_reason() {
    let app = App::giving(&[Ok("app-1"), Err(TokenError::NotNow)]);
    let world = world(&app, "app-1");
    let captures = world.add_many(2);
    world.faults(|_, path, _| (path == "/v1/records").then(|| Fault::Status(401, json!({"code": "access_expired"}))));
    assert_eq!(world.run().stopped_because, StoppedBecause::NoToken);
    let (reason, attempts) = world.queue.reason(captures[0].0, StepKind::SendRecord).unwrap();
    assert_eq!((reason.unwrap().code, attempts), (ReasonCode::NoToken, 0));
}

#[test]
fn who_is_signed_out_of_the_app_is_signed_out_here_until_the_app_says_otherwise() {
    let app = App::giving(&[Err(TokenError::SignedOut)]);
    let world = world(&app, "app-1");
    world.add_many(1);
    let report = world.run();
    assert_eq!((report.stopped_because, report.requests), (StoppedBecause::SignedOut, 0));
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::SignedOut);
    app.give(Ok("app-1"));
    assert_eq!(world.run().verified, 1);
}

#[test]
fn tokens_that_the_server_refuses_are_not_asked_for_without_end() {
    let app = App::giving(&[Ok("revoked")]);
    let world = world(&app, "app-1");
    world.add_many(30);
    let report = world.run();
    assert_eq!((report.stopped_because, report.left), (StoppedBecause::SignedOut, 30));
    assert_eq!(app.asked(), [None, refused("revoked")]);
}

#[test]
fn a_token_that_was_good_once_is_not_believed_after_its_refusal() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.add_many(1);
    assert_eq!(world.run().verified, 1);
    let sent = world.times("POST /v1/records");
    world.server.state().good_access = Some("another".to_owned());
    world.add_many(1);
    assert_eq!(world.run().stopped_because, StoppedBecause::SignedOut);
    assert_eq!(world.times("POST /v1/records") - sent, 1, "nothing more is sent with it");
    assert_eq!(app.asked(), [None, None, refused("app-1"), refused("app-1")]);
}

#[test]
fn a_token_of_another_account_sends_nothing() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.server.state().of_another_account = true;
    world.add_many(1);
    assert_eq!(world.run().stopped_because, StoppedBecause::SignedOut);
    assert_eq!(world.server.state().log, ["GET /v1/sessions"]);
    let block = world.queue.block().unwrap();
    assert_eq!((block.code, block.parameters["detail"].as_str()), (ReasonCode::SignedOut, "other_account"));
}

#[test]
fn what_cannot_stand_in_a_header_is_no_token() {
    for text in ["", "a b", "a\r\nx: y", "ä"] {
        let app = App::giving(&[Ok(text)]);
        let world = world(&app, text);
        world.add_many(1);
        let report = world.run();
        assert_eq!((report.stopped_because, report.requests), (StoppedBecause::NoToken, 0), "{text:?}");
    }
}

#[test]
fn an_app_that_panics_has_no_token_now() {
    struct Panics;
    impl TokenProvider for Panics {
        fn token(&self, _refused: Option<&Secret>) -> Result<Secret, TokenError> {
            panic!("a defect of the app")
        }
    }
    let world = World::enrolled(Some(Arc::new(Panics)));
    world.queue.save_session(Some(&SavedSession::Provided)).unwrap();
    world.add_many(1);
    assert_eq!(world.run().stopped_because, StoppedBecause::NoToken);
}

#[test]
fn an_app_that_never_answers_holds_up_no_window_and_is_asked_once() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.add_many(2);
    *world.pace.held.lock().unwrap() = Some(Vec::new());
    let began = world.clock.monotonic().0;
    let report = world.run_with(&Budget { time_ms: Some(5_000), ..Budget::default() });
    assert_eq!((report.stopped_because, report.left), (StoppedBecause::BudgetTime, 2));
    assert_eq!(world.clock.monotonic().0 - began, 5_000);
    let report = world.run();
    assert_eq!(report.stopped_because, StoppedBecause::NoToken, "without a budget patience ends");
    assert_eq!(world.clock.monotonic().0 - began, 65_000);
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::NoToken);
    let open = world.pace.held.lock().unwrap().take().unwrap();
    assert_eq!(open.len(), 1, "a second question waits for the first");
    // Its answer comes when nobody waits any more.
    open.into_iter().for_each(|question| question());
    assert_eq!(world.run().verified, 2);
    assert_eq!(app.asked(), [None, None]);
}

#[test]
fn a_thread_that_cannot_be_had_is_no_open_question() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.add_many(1);
    *world.pace.held.lock().unwrap() = Some(Vec::new());
    world.run_with(&Budget { time_ms: Some(5_000), ..Budget::default() });
    drop(world.pace.held.lock().unwrap().take());
    assert_eq!(world.run().verified, 1);
}

#[test]
fn whoever_waits_for_the_app_can_be_cancelled() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.add_many(1);
    let cancel = CancelToken::new();
    let cancelling = cancel.clone();
    app.before_answering(move |_| cancelling.cancel());
    let before = world.clock.monotonic();
    let report = world.client.run_window(&Budget::default(), &cancel, &Quiet).unwrap();
    assert_eq!((report.stopped_because, report.requests), (StoppedBecause::Cancelled, 0));
    assert_eq!(world.clock.monotonic(), before);
}

#[test]
fn a_device_enrols_with_the_apps_token_and_no_password() {
    let app = App::giving(&[Ok("old"), Ok("app-1")]);
    let world = World::with_provider(Some(app.clone()));
    world.server.state().good_access = Some("app-1".to_owned());
    world.add_many(2);
    let enrolled = world.client.enrol(&request(&world), &CancelToken::new()).unwrap();
    assert_eq!(enrolled.organisation_id, world.server.organisation.id);
    assert!(enrolled.trust_root_given);
    assert_eq!(world.server.state().log[0], "GET /v1/trust", "no token goes to a server that is not trusted");
    assert_eq!(app.asked(), [None, refused("old")]);
    assert_eq!(world.queue.session().unwrap(), Some(SavedSession::Provided));
    assert_eq!(world.run().verified, 2);
    assert_eq!(app.asked().len(), 3);
}

#[test]
fn a_server_with_another_root_gets_no_token() {
    let app = App::giving(&[Ok("app-1")]);
    let world = World::with_provider(Some(app.clone()));
    let request = EnrolRequest { trust_root: Some(Sha256Digest([1; 32])), ..request(&world) };
    let told = world.client.enrol(&request, &CancelToken::new()).unwrap_err();
    assert!(matches!(told, SyncError::OtherRoot { .. }), "{told}");
    assert_eq!((app.asked().len(), world.server.state().log.len()), (0, 1));
}

#[test]
fn enrolling_says_what_the_app_said() {
    let cases = [
        (Err(TokenError::NotNow), SyncError::NoToken),
        (Err(TokenError::SignedOut), SyncError::SignedOut),
        (Ok("revoked"), SyncError::SignedOut),
    ];
    for (answer, expected) in cases {
        let app = App::giving(&[answer]);
        let world = World::with_provider(Some(app.clone()));
        world.server.state().good_access = Some("app-1".to_owned());
        assert_eq!(world.client.enrol(&request(&world), &CancelToken::new()), Err(expected));
        assert_eq!(world.queue.enrolment().unwrap(), None);
    }
    let without = World::not_enrolled();
    assert_eq!(without.client.enrol(&request(&without), &CancelToken::new()), Err(SyncError::NoProvider));
    assert!(without.server.state().log.is_empty());
}

#[test]
fn a_store_of_one_account_is_not_enrolled_with_the_token_of_another() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.server.state().of_another_account = true;
    assert_eq!(world.client.enrol(&request(&world), &CancelToken::new()), Err(SyncError::OtherAccount));
    assert_eq!(world.times("PUT /v1/devices"), 0);
}

#[test]
fn who_signs_out_here_is_asked_for_no_token_until_the_app_enrols_again() {
    let app = App::giving(&[Ok("app-1")]);
    let world = world(&app, "app-1");
    world.add_many(1);
    world.client.sign_out(&CancelToken::new()).unwrap();
    let report = world.run();
    assert_eq!((report.stopped_because, report.requests), (StoppedBecause::SignedOut, 0));
    assert!(app.asked().is_empty() && world.server.state().log.is_empty(), "the app's session is the app's to end");
    world.client.enrol(&request(&world), &CancelToken::new()).unwrap();
    assert_eq!(world.run().verified, 1);
}

#[test]
fn an_instance_without_a_provider_takes_a_session_of_the_app_for_signed_out() {
    let world = World::enrolled(None);
    world.queue.save_session(Some(&SavedSession::Provided)).unwrap();
    world.add_many(1);
    assert_eq!(world.run().stopped_because, StoppedBecause::SignedOut);
}
