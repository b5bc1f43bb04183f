//! The loop against a queue in memory, a server in memory and a clock that moves only when the loop waits.

mod let_out;
mod provided;
mod server;
mod unsigned;
mod world;

use std::sync::{Arc, Mutex};

use serde_json::json;
use snaptrak_domain::queue_store::{QueueStore, SavedSession};
use snaptrak_domain::transport::Method;
use snaptrak_domain::{AssetState, CancelToken, Clock, ReasonCode, StepKind, StepState, limits};

use crate::observer::Quiet;
use crate::report::{Budget, StoppedBecause};
use crate::testing::Organisation;

use server::Fault;
use world::World;

#[test]
fn everything_is_verified_once() {
    let world = World::new();
    let captures = world.add_many(120);
    let report = world.run();
    assert_eq!(report.stopped_because, StoppedBecause::Done, "{report:?}");
    assert_eq!((report.verified, report.received, report.left, report.parked), (120, 120, 0, 0));
    assert_eq!(report.bytes_resent, 0);
    assert_eq!(world.count(AssetState::Verified, &captures), 120);
    assert!(world.server.state().records.values().all(|times| *times == 1));
    assert_eq!(world.times("POST /v1/records"), 2);
    assert_eq!(world.server.state().bodies_bytes, 120_000);
    assert_eq!(world.queue.block(), None);
    let again = world.run();
    assert_eq!(
        (again.stopped_because, again.requests),
        (StoppedBecause::Done, 1),
        "only the trust bundle is asked for"
    );
}

#[test]
fn one_that_is_refused_parks_alone_with_the_servers_reason() {
    let world = World::new();
    let captures = world.add_many(100);
    let bad = captures[37].0;
    world.server.state().refuse_record = Some(bad.to_string());
    let report = world.run();
    assert_eq!((report.verified, report.parked, report.left), (99, 1, 0));
    assert_eq!(report.stopped_because, StoppedBecause::Parked);
    let reason = world.queue.reason(bad, StepKind::SendRecord).unwrap().0.unwrap();
    assert_eq!((reason.code, reason.parameters["server_code"].as_str()), (ReasonCode::ServerRefused, "record_invalid"));
    assert_eq!(world.run().parked, 0, "parked in an earlier window");
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_halved() {
    let world = World::new();
    let captures = world.add_many(16);
    let bad = captures[5].0.to_string();
    let queue = world.queue.clone();
    // This server refuses a whole batch for one record: told by the number of halvings that are needed.
    let mut refusals = 0;
    world.faults(move |_, path, _| {
        let poisoned =
            path == "/v1/records" && queue.reason(bad.parse().unwrap(), StepKind::SendRecord).unwrap().1 == 0;
        (poisoned && {
            refusals += 1;
            refusals <= 3
        })
        .then(|| Fault::Status(422, json!({"code": "batch_invalid"})))
    });
    let report = world.run();
    assert_eq!((report.verified, report.parked), (16, 0));
    assert!(world.times("POST /v1/records") > 3);
}

#[test]
fn a_broken_upload_resumes_where_the_server_stands() {
    let world = World::new();
    let (capture, asset) = world.queue.add(&[10_000]);
    let mut broken = 0;
    world.faults(move |method, _, _| {
        (method == Method::Patch && {
            broken += 1;
            broken <= 3
        })
        .then_some(Fault::Break(3_000))
    });
    let report = world.run();
    assert_eq!(world.queue.state(capture), Some(AssetState::Verified), "{report:?}");
    assert!(world.server.holds(&world.server.state(), asset));
    assert_eq!((world.server.state().bodies_bytes, report.bytes_resent), (10_000, 0));
    assert_eq!(world.times("HEAD /v1/uploads/0"), 3);
}

#[test]
fn offline_stops_at_once_and_costs_nothing() {
    let world = World::new();
    let captures = world.add_many(30);
    world.faults(|_, path, number| (number > 4 || path == "/healthz").then_some(Fault::Break(0)));
    let report = world.run();
    assert_eq!(report.stopped_because, StoppedBecause::Offline);
    assert_eq!(world.times("GET /healthz"), 1, "one probe decides for all");
    let counted = |kind| {
        let attempts = captures.iter().map(|(capture, _)| world.queue.reason(*capture, kind).unwrap().1);
        attempts.sum::<u32>()
    };
    let done = |kind| {
        let states = captures.iter().flat_map(|(capture, _)| world.queue.steps(*capture));
        states.filter(|(of, _, state)| *of == kind && *state == StepState::Done).count()
    };
    for kind in [StepKind::SendEnvelope, StepKind::SendPiece] {
        assert_eq!(counted(kind) as usize, done(kind), "only what was done counts");
    }
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::Offline);
    world.server.state().faults = None;
    assert_eq!(world.run().verified, 30);
}

#[test]
fn many_401s_cost_one_refresh_and_the_pair_is_saved_first() {
    let world = World::new();
    world.add_many(40);
    world.server.state().good_access = Some("another".to_owned());
    let report = world.run();
    assert_eq!((report.verified, report.stopped_because), (40, StoppedBecause::Done));
    assert_eq!(world.server.state().refreshes, 1);
    let Some(SavedSession::Tokens(tokens)) = world.queue.session().unwrap() else { panic!("no tokens are saved") };
    assert_eq!(tokens.refresh.expose(), b"refresh-1");
}

#[test]
fn tokens_that_expire_all_the_time_do_not_stop_the_window() {
    let world = World::new();
    let captures = world.add_many(20);
    world.faults(|_, path, number| {
        (number % 7 == 0 && path == "/v1/uploads").then(|| Fault::Status(401, json!({"code": "access_expired"})))
    });
    assert_eq!(world.run().verified, 20);
    assert_eq!(world.count(AssetState::Verified, &captures), 20);
}

#[test]
fn a_session_that_is_over_blocks_without_a_storm() {
    let world = World::new();
    let captures = world.add_many(30);
    {
        let mut state = world.server.state();
        state.good_access = Some("another".to_owned());
        state.refresh_works = false;
    }
    let report = world.run();
    assert_eq!((report.stopped_because, report.left), (StoppedBecause::SignedOut, 30));
    assert_eq!(world.server.state().refreshes, 1);
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::SignedOut);
    assert_eq!(world.queue.reason(captures[0].0, StepKind::SendRecord).unwrap().1, 0);
    assert_eq!(world.run().requests, 0, "dead tokens are not tried again");
}

#[test]
fn a_bundle_that_does_not_chain_stops_sending_and_nothing_else() {
    for (seed, version, word) in [(2, 1, "untrusted_root"), (1, 1, "")] {
        let world = World::new();
        world.add_many(3);
        let other = Organisation::new(seed);
        world.server.state().bundle = other.bundle(version);
        let report = world.run();
        if word.is_empty() {
            // The same root, another upload key under the same version: rewritten.
            assert_eq!(report.stopped_because, StoppedBecause::TrustNotChained);
        }
        assert_eq!((report.stopped_because, report.left), (StoppedBecause::TrustNotChained, 3));
        assert_eq!(world.times("POST"), 0);
        let block = world.queue.block().unwrap();
        assert_eq!(block.code, ReasonCode::TrustNotChained);
        assert!(word.is_empty() || block.parameters["detail"] == word);
    }
}

#[test]
fn an_expired_bundle_stops_sending() {
    let world = World::new();
    world.add_many(3);
    world.clock.set_wall_ms(crate::testing::EXPIRES.0);
    let report = world.run();
    assert_eq!(report.stopped_because, StoppedBecause::TrustExpired);
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::TrustExpired);
}

#[test]
fn a_newer_bundle_is_kept() {
    let world = World::new();
    let newer = world.server.organisation.bundle(2);
    world.server.state().bundle.clone_from(&newer);
    world.run();
    assert_eq!(world.queue.trust_bundle().unwrap(), Some(newer));
    world.server.state().bundle = world.server.organisation.bundle(1);
    assert_eq!(world.run().stopped_because, StoppedBecause::TrustNotChained);
}

#[test]
fn without_enrolment_or_session_there_is_no_request() {
    let world = World::not_enrolled();
    world.add_many(2);
    let report = world.run();
    assert_eq!((report.stopped_because, report.requests, report.left), (StoppedBecause::NotEnrolled, 0, 2));
    assert_eq!(world.queue.block().unwrap().code, ReasonCode::NotEnrolled);
}

#[test]
fn a_server_that_fails_for_a_while_is_waited_for() {
    let world = World::new();
    let captures = world.add_many(25);
    world.faults(|_, path, number| {
        (number < 40 && path != "/v1/trust").then(|| Fault::Status(500, json!({"code": "internal"})))
    });
    // Windows that give up are run again, as a host does.
    let verified: u64 = (0..40)
        .map(|_| {
            world.clock.advance_ms(60_000);
            world.run().verified
        })
        .sum();
    assert_eq!(verified, 25);
    assert_eq!(world.count(AssetState::Verified, &captures), 25);
    assert!(world.server.state().records.values().all(|times| *times == 1));
}

#[test]
fn retry_after_is_honoured() {
    let world = World::new();
    world.add_many(1);
    world.faults(|_, path, number| {
        (number < 4 && path == "/v1/records")
            .then(|| Fault::Status(429, json!({"code": "slow_down", "retry_after_ms": 120_000})))
    });
    let before = world.clock.now();
    let report = world.run();
    assert_eq!(report.stopped_because, StoppedBecause::WaitingForRetry);
    assert!(report.next_try_ms.unwrap().0 >= before.0 + 120_000);
    assert_eq!(world.times("POST /v1/records"), 1);
}

#[test]
fn verification_is_waited_for_with_growing_distance() {
    let world = World::new();
    world.add_many(1);
    world.server.state().polls_until_verified = 5;
    let report = world.run();
    assert_eq!((report.verified, report.stopped_because), (1, StoppedBecause::Done));
    assert_eq!(world.times("POST /v1/receipts"), 6);
    let slow = World::new();
    slow.add_many(10);
    slow.server.state().polls_until_verified = 1_000;
    let report = slow.run();
    assert_eq!((report.stopped_because, report.left), (StoppedBecause::VerificationPending, 10));
    assert!(slow.times("POST /v1/receipts") < 20);
}

#[test]
fn what_the_server_says_after_opening_is_followed() {
    let cases = [
        ("plaintext_mismatch", ReasonCode::PlaintextMismatch),
        ("envelope_unreadable", ReasonCode::EnvelopeRefused),
        ("receipt_invalid", ReasonCode::ReceiptInvalid),
        ("a_word_of_later", ReasonCode::ServerRefused),
    ];
    for (code, expected) in cases {
        let world = World::new();
        let captures = world.add_many(3);
        world.server.state().receipt_failure = Some((captures[1].1.to_string(), code.to_owned()));
        let report = world.run();
        assert_eq!((report.verified, report.parked), (2, 1), "{code}");
        let reason = world.queue.reason(captures[1].0, StepKind::FetchReceipt).unwrap().0.unwrap();
        assert_eq!(reason.code, expected);
    }
}

#[test]
fn sealed_bytes_that_differ_are_sent_again_and_parked_in_the_end() {
    let world = World::new();
    let captures = world.add_many(3);
    world.server.state().receipt_failure = Some((captures[1].1.to_string(), "sealed_mismatch".to_owned()));
    for _ in 0..200 {
        world.clock.advance_ms(limits::BACKOFF_CAP_MS);
        world.queue.add(&[10]);
        world.run();
        if world.queue.state(captures[1].0) == Some(AssetState::Parked) {
            break;
        }
    }
    assert_eq!(world.queue.state(captures[1].0), Some(AssetState::Parked));
    assert!(world.times("HEAD") + world.times("POST /v1/uploads") > 8, "it was offered again");
}

#[test]
fn a_large_piece_never_blocks_a_small_one() {
    let world = World::new();
    let large: Vec<_> = (0..4).map(|_| world.queue.add(&[5_000_000])).collect();
    let (queue, small) = (world.queue.clone(), Arc::new(Mutex::new(Vec::new())));
    let taken = small.clone();
    // The first two take their lanes and never end; photos are taken meanwhile.
    world.faults(move |method, path, _| {
        let index = path.trim_start_matches("/v1/uploads/").parse::<u32>().ok()?;
        if method != Method::Patch || index > 1 {
            return None;
        }
        taken.lock().unwrap().extend((0..10).map(|_| queue.add(&[1_000])));
        Some(Fault::Hang)
    });
    let report = world.run_with(&Budget { time_ms: Some(60_000), ..Budget::default() });
    let small = small.lock().unwrap().clone();
    assert_eq!(report.stopped_because, StoppedBecause::BudgetTime);
    assert_eq!(world.count(AssetState::Verified, &small), 20);
    assert_eq!(world.count(AssetState::Verified, &large), 0);
    for (capture, _) in &large {
        assert_eq!(world.queue.reason(*capture, StepKind::SendRecord).unwrap().1, 1);
        let steps = world.queue.steps(*capture);
        assert!(steps.iter().all(|(_, _, state)| *state != StepState::Running), "leases are given back");
    }
}

#[test]
fn the_end_of_the_time_costs_no_attempt() {
    let world = World::new();
    let (capture, _) = world.queue.add(&[1_000]);
    world.faults(|method, _, _| (method == Method::Patch).then_some(Fault::Hang));
    let report = world.run_with(&Budget { time_ms: Some(5_000), ..Budget::default() });
    assert_eq!((report.stopped_because, report.left), (StoppedBecause::BudgetTime, 1));
    let (reason, attempts) = world.queue.reason(capture, StepKind::SendPiece).unwrap();
    assert_eq!((reason.unwrap().code, attempts), (ReasonCode::WindowEnded, 0));
}

#[test]
fn a_byte_budget_is_kept_and_nothing_of_it_is_wasted() {
    let world = World::new();
    let (capture, _) = world.queue.add(&[100_000]);
    let mut windows = 0;
    let mut resent = 0;
    while world.queue.state(capture) != Some(AssetState::Verified) {
        let report = world.run_with(&Budget { bytes: Some(20_000), ..Budget::default() });
        assert!(report.bytes_sent <= 21_000, "{report:?}");
        resent += report.bytes_resent;
        windows += 1;
        assert!(windows < 20);
    }
    assert_eq!((world.server.state().bodies_bytes, resent), (100_000, 0));
    assert!(windows >= 5);
}

#[test]
fn cancelling_ends_the_window_cleanly() {
    let world = World::new();
    world.add_many(5);
    let cancel = CancelToken::new();
    let from_inside = cancel.clone();
    world.faults(move |_, path, _| {
        if path.starts_with("/v1/uploads") {
            from_inside.cancel();
        }
        None
    });
    let report = world.client.run_window(&Budget::default(), &cancel, &Quiet).unwrap();
    assert_eq!(report.stopped_because, StoppedBecause::Cancelled);
    world.server.state().faults = None;
    let rest = world.run();
    assert_eq!(report.verified + rest.verified, 5);
}

#[test]
fn a_kill_at_any_request_loses_nothing_and_sends_nothing_twice() {
    for killed_at in 1..30 {
        let world = World::new();
        let captures = world.add_many(3);
        // From this request on nothing comes back, and what the loop still writes is what a dying process cannot.
        world.faults(move |_, _, number| (number >= killed_at).then_some(Fault::Hang));
        world.run_with(&Budget { time_ms: Some(1_000), ..Budget::default() });
        world.queue.die_and_reopen();
        world.server.state().faults = None;
        let report = world.run();
        assert_eq!(world.count(AssetState::Verified, &captures), 3, "{killed_at}: {report:?}");
        assert_eq!(world.server.state().bodies_bytes, 3_000, "{killed_at}");
    }
}

#[test]
fn findings_follow() {
    let world = World::new();
    let (capture, _) = world.queue.add(&[10]);
    let finding = snaptrak_domain::Finding {
        task: snaptrak_domain::Task::Detect,
        model_id: "m".to_owned(),
        model_sha256: snaptrak_domain::Sha256Digest([1; 32]),
        engine: "e".to_owned(),
        accelerator_asked: "cpu".to_owned(),
        accelerator_ran: "cpu".to_owned(),
        ms: snaptrak_domain::StageMs::default(),
        boxes: Vec::new(),
        text: None,
    };
    world.queue.add_findings(capture, vec![finding]);
    assert_eq!(world.run().verified, 1);
    assert!(world.server.state().findings.contains(&capture.to_string()));
}
