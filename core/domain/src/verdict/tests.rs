#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Conditions, ExitReason, conditions::Overruled};
use proptest::prelude::*;

const NOW: UnixMs = UnixMs(1_795_000_000_000);
const DAY_MS: i64 = 86_400_000;
const RIGHT: Event = Event::Tried(TrialEnd::Right { run_ms: 8.0, cpu_ms: 10.0, difference: 1e-5 });

fn verdict() -> Verdict {
    let candidate = Candidate {
        engine: "ort".into(),
        accelerator: Accelerator::Gpu,
        model_id: "faces".into(),
        place: Place::Foreground,
    };
    let circumstances = Circumstances {
        library: "onnxruntime 1.31.1".into(),
        device: "Adreno".into(),
        driver: "512".into(),
        model_sha256: Sha256Digest([7; 32]),
    };
    Verdict::untried(candidate, circumstances, NOW)
}

fn after(events: &[Event]) -> Verdict {
    events.iter().fold(verdict(), |verdict, event| verdict.after(event, NOW))
}

fn died(id: u32, reason: ExitReason) -> Event {
    Event::Died(Death { id: id.to_string(), reason })
}

fn decision(verdict: &Verdict, now: UnixMs) -> Decision {
    decide(Some(verdict), None, false, &Conditions::default(), now)
}

fn later(days: i64) -> UnixMs {
    UnixMs(NOW.0 + days * DAY_MS)
}

#[test]
fn what_is_right_and_quicker_is_used_and_what_is_not_quicker_is_not() {
    assert_eq!(decide(None, None, false, &Conditions::default(), NOW), Decision::Try);
    let usable = after(&[RIGHT]);
    assert_eq!((usable.code, usable.run_ms, usable.cpu_ms), (VerdictCode::Usable, Some(8.0), Some(10.0)));
    assert_eq!(decision(&usable, later(1000)), Decision::Use);
    for run_ms in [8.1, 10.0, 400.0, f64::NAN] {
        let slow = after(&[Event::Tried(TrialEnd::Right { run_ms, cpu_ms: 10.0, difference: 0.0 })]);
        assert_eq!(slow.code, VerdictCode::Slow, "{run_ms}");
        assert_eq!(decision(&slow, later(6)), Decision::Avoid(Avoid::Verdict(VerdictCode::Slow)));
        assert_eq!(decision(&slow, later(7)), Decision::Try);
    }
}

#[test]
fn a_wrong_answer_condemns_at_once_and_until_something_changes() {
    let wrong = Fault::WrongAnswer { difference: Some(0.5) };
    for event in [Event::Tried(TrialEnd::Fault(wrong)), Event::Faulted(wrong), Event::Faulted(Fault::NotANumber)] {
        for before in [&[][..], &[RIGHT]] {
            let condemned = after(&[before, std::slice::from_ref(&event)].concat());
            assert_eq!(condemned.code.standing(), Standing::Condemned);
            assert!(matches!(decision(&condemned, later(10_000)), Decision::Avoid(_)));
            assert_eq!(condemned.retry_at_ms(), None);
        }
    }
    assert_eq!(after(&[RIGHT, Event::Faulted(wrong)]).difference, Some(0.5));
}

#[test]
fn two_deaths_condemn_and_one_that_the_system_calls_a_crash() {
    let once = after(&[RIGHT, died(1, ExitReason::Unknown)]);
    assert_eq!((once.code, once.strikes, decision(&once, NOW)), (VerdictCode::Usable, 1, Decision::Use));
    let twice = after(&[died(1, ExitReason::Unknown), died(2, ExitReason::Unknown)]);
    assert_eq!((twice.code, twice.strikes), (VerdictCode::Died, 2));
    let proven = after(&[RIGHT, died(1, ExitReason::NativeCrash)]);
    assert_eq!((proven.code, proven.retry_at_ms()), (VerdictCode::Crashed, None));
}

#[test]
fn the_same_death_counts_once() {
    let twice = after(&[died(1, ExitReason::Unknown), died(1, ExitReason::Unknown)]);
    assert_eq!((twice.code, twice.strikes), (VerdictCode::Untried, 1));
}

#[test]
fn a_process_that_was_ended_for_another_reason_is_no_strike_unless_memory_runs_out_again_and_again() {
    for reason in [ExitReason::User, ExitReason::System] {
        let many: Vec<_> = (0..20).map(|id| died(id, reason)).collect();
        assert_eq!((after(&many).code, after(&many).strikes), (VerdictCode::Untried, 0));
    }
    let hungry: Vec<_> = (0..5).map(|id| died(id, ExitReason::LowMemory)).collect();
    let strikes: Vec<u8> = (0..=5).map(|count| after(&hungry[..count]).strikes).collect();
    assert_eq!(strikes, [0, 0, 0, 0, 1, 2]);
    assert_eq!(after(&hungry).code, VerdictCode::Died);
}

#[test]
fn errors_in_use_condemn_at_the_second_and_an_error_in_the_trial_waits() {
    let failed = Event::Faulted(Fault::Failed);
    assert_eq!(after(&[RIGHT, failed.clone()]).code, VerdictCode::Usable);
    assert_eq!(after(&[RIGHT, failed.clone(), failed]).code, VerdictCode::Failing);
    let trial = after(&[Event::Tried(TrialEnd::Fault(Fault::Failed))]);
    assert_eq!((trial.code.standing(), trial.strikes), (Standing::Unusable, 0));
}

#[test]
fn what_was_condemned_without_proof_gets_one_more_chance_and_then_waits_twice_as_long() {
    let mut verdict = after(&[Event::Faulted(Fault::Hung)]);
    for days in [30, 60, 120, 240, 240] {
        let (since, due) = (verdict.since_ms.0, verdict.since_ms.0 + days * DAY_MS);
        assert!(matches!(decision(&verdict, UnixMs(due - 1)), Decision::Avoid(_)), "{days}");
        assert_eq!(decision(&verdict, UnixMs(due)), Decision::Try, "{days}");
        assert_eq!(verdict.retry_at_ms(), Some(UnixMs(since + days * DAY_MS)));
        let back = verdict.after(&RIGHT, UnixMs(due));
        assert_eq!((back.code, back.strikes), (VerdictCode::Usable, 1), "on trial");
        verdict = back.after(&died(u32::try_from(days).unwrap(), ExitReason::Unknown), UnixMs(due));
        // The last two times are the same number of days: the same death, counted once.
        verdict.last_death = None;
        assert_eq!(verdict.code, VerdictCode::Died, "one strike is enough now");
    }
}

#[test]
fn an_accelerator_that_killed_with_one_model_is_not_tried_with_another() {
    let dead = after(&[died(1, ExitReason::Unknown), died(2, ExitReason::Unknown)]);
    let other_model = Circumstances { model_sha256: Sha256Digest([8; 32]), ..dead.circumstances.clone() };
    assert!(dead.endangers(&other_model, NOW));
    assert!(!dead.endangers(&other_model, later(30)), "it gets its chance again");
    let other_driver = Circumstances { driver: "513".into(), ..other_model.clone() };
    assert!(!dead.endangers(&other_driver, NOW));
    assert!(!after(&[Event::Faulted(Fault::NotANumber)]).endangers(&other_model, NOW), "wrong for this model");
    let conditions = Conditions::default();
    assert_eq!(decide(None, None, true, &conditions, NOW), Decision::Avoid(Avoid::Endangered));
    assert_eq!(decide(Some(&after(&[RIGHT])), None, true, &conditions, NOW), Decision::Use, "it has proved itself");
}

#[test]
fn hints_overrule_what_was_measured_and_put_trials_off() {
    let low_power = Conditions { low_power: true, ..Conditions::default() };
    let overruled = low_power.overrule(Accelerator::Gpu, true);
    let avoid = Decision::Avoid(Avoid::Overruled(Overruled::LowPower));
    assert_eq!(decide(Some(&after(&[RIGHT])), overruled, false, &low_power, NOW), avoid);
    // An NPU that is known to be good is used, and one that nobody knows is not measured now.
    assert_eq!(decide(Some(&after(&[RIGHT])), None, false, &low_power, NOW), Decision::Use);
    assert_eq!(decide(None, None, false, &low_power, NOW), avoid);
}

#[test]
fn whatever_changes_ends_a_verdict_and_is_named() {
    let circumstances = verdict().circumstances;
    assert!(circumstances.changed(&circumstances.clone()).is_empty());
    let other = Circumstances {
        library: "l".into(),
        device: "d".into(),
        driver: "d".into(),
        model_sha256: Sha256Digest([0; 32]),
    };
    assert_eq!(circumstances.changed(&other), ["library", "device", "driver", "model"]);
}

#[test]
fn words_are_unique_and_equal_to_serde_and_a_verdict_comes_back_as_it_was() {
    let words: std::collections::BTreeSet<_> = VerdictCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), VerdictCode::ALL.len());
    for code in VerdictCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
    let verdict = after(&[RIGHT, died(1, ExitReason::LowMemory)]);
    assert_eq!(serde_json::from_str::<Verdict>(&serde_json::to_string(&verdict).unwrap()).unwrap(), verdict);
}

fn any_event() -> impl Strategy<Value = Event> {
    let fault = prop_oneof![
        Just(Fault::WrongAnswer { difference: Some(1.0) }),
        Just(Fault::NotANumber),
        Just(Fault::Failed),
        Just(Fault::Hung),
    ];
    let reason = prop_oneof![
        Just(ExitReason::NativeCrash),
        Just(ExitReason::LowMemory),
        Just(ExitReason::User),
        Just(ExitReason::System),
        Just(ExitReason::Unknown),
    ];
    prop_oneof![
        (0.0..20.0_f64).prop_map(|run_ms| Event::Tried(TrialEnd::Right { run_ms, cpu_ms: 10.0, difference: 0.0 })),
        Just(Event::Tried(TrialEnd::NotOffered)),
        Just(Event::Tried(TrialEnd::NotPlaced)),
        fault.clone().prop_map(|fault| Event::Tried(TrialEnd::Fault(fault))),
        fault.prop_map(Event::Faulted),
        (0..1000_u32, reason).prop_map(|(id, reason)| died(id, reason)),
    ]
}

proptest! {
    #[test]
    fn no_history_lets_a_process_die_more_than_twice_before_the_processor_is_taken(
        events in prop::collection::vec(any_event(), 0..30),
    ) {
        let mut verdict = after(&events);
        let mut deaths = 0;
        // Every start uses or tries what may be used or tried, and dies of it for a reason that nobody tells.
        while decision(&verdict, NOW) != Decision::Avoid(Avoid::Verdict(verdict.code)) {
            deaths += 1;
            prop_assert!(deaths <= STRIKES_MAX);
            verdict = verdict.after(&died(10_000 + u32::from(deaths), ExitReason::Unknown), NOW);
        }
        prop_assert!(verdict.strikes <= STRIKES_MAX);
    }

    #[test]
    fn what_was_wrong_in_its_last_trial_is_never_used(events in prop::collection::vec(any_event(), 0..30)) {
        let wrong = Event::Faulted(Fault::WrongAnswer { difference: None });
        let verdict = after(&events).after(&wrong, NOW);
        prop_assert!(!matches!(decision(&verdict, later(5000)), Decision::Use | Decision::Try));
    }
}
