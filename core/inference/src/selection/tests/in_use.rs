//! What goes wrong after a trial went well, and what ends a verdict.

use super::*;

#[test]
fn what_is_right_and_quicker_is_used_and_known_at_the_next_start() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let selection = device.instance();
    let mut session = device.load(&selection);
    answer_rightly(session.as_mut(), 40);
    assert_eq!(session.accelerator_ran(), Accelerator::Gpu);
    let verdict = gpu(&selection);
    assert_eq!((verdict.code, verdict.run_ms, verdict.cpu_ms), (VerdictCode::Usable, Some(1.0), Some(CPU_MS as f64)));
    assert_eq!((verdict.difference, verdict.strikes), (Some(0.0), 0));
    assert_eq!(
        (verdict.circumstances.device.as_str(), verdict.circumstances.driver.as_str()),
        ("fake gpu", "driver 1")
    );
    drop((session, selection));

    let before = (Fake::count(&device.fake.loads), Fake::count(&device.fake.cpu_runs));
    assert_eq!(device.start(1), verdict, "nothing was measured again");
    // One load on the GPU and one comparison.
    let after = (Fake::count(&device.fake.loads), Fake::count(&device.fake.cpu_runs));
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
}

#[test]
fn a_driver_that_fails_on_the_fiftieth_run_is_answered_for_by_the_processor() {
    for (flaw, code, strikes) in [
        (Flaw::Error, VerdictCode::Usable, 1),
        (Flaw::Panic, VerdictCode::Usable, 1),
        (Flaw::NotANumber, VerdictCode::NotANumber, 1),
        (Flaw::AnotherShape, VerdictCode::WrongAnswer, 1),
        // Wrong from then on.
        (Flaw::Wrong, VerdictCode::WrongAnswer, 1),
    ] {
        let good_runs = TRIAL_RUNS + 49;
        let device = Device::with_gpu(Nature { flaw, good_runs, ..Nature::good(Accelerator::Gpu) });
        // Every answer that was relied on is right: `start` compares each.
        let verdict = device.start(80);
        assert_eq!((verdict.code, verdict.strikes), (code, strikes), "{flaw:?}");
        let second = device.start(80);
        assert_eq!(second.code.standing(), Standing::Condemned, "{flaw:?}");
        let runs = Fake::count(&device.fake.runs);
        device.start(80);
        assert_eq!(Fake::count(&device.fake.runs), runs, "{flaw:?}: it is left alone");
    }
}

#[test]
fn one_bad_run_that_leaves_a_trace_is_not_relied_on() {
    for flaw in [Flaw::Error, Flaw::NotANumber] {
        let good_runs = TRIAL_RUNS + 49;
        let nature = Nature { flaw, good_runs, bad_runs: 1, ..Nature::good(Accelerator::Gpu) };
        assert_eq!(Device::with_gpu(nature).start(80).strikes, 1);
    }
}

#[test]
fn what_was_said_before_a_fault_is_asked_again() {
    let nature = Nature { flaw: Flaw::Wrong, good_runs: TRIAL_RUNS + 33, ..Nature::good(Accelerator::Gpu) };
    let device = Device::with_gpu(nature);
    let selection = device.instance();
    let mut session = device.load(&selection);
    let wrong = (0..40).filter(|at| session.run(&input(*at)).unwrap() != right(&input(*at))).count();
    assert!(wrong > 0 && session.is_unconfirmed(), "{wrong}");
    assert!(!session.confirm());
    assert!(session.confirm(), "told once");
    assert_eq!(session.run(&input(1)).unwrap(), right(&input(1)));
    assert_eq!(session.accelerator_ran(), Accelerator::Cpu);
}

#[test]
fn whatever_changes_brings_a_new_trial() {
    let wrong = || Nature { flaw: Flaw::Wrong, ..Nature::good(Accelerator::Gpu) };
    let condemned = || {
        let device = Device::with_gpu(wrong());
        assert_eq!(device.start(1).code, VerdictCode::WrongAnswer);
        device
    };
    let good = || Fake::with_gpu(Nature::good(Accelerator::Gpu));
    let same = condemned().changed(good());
    assert_eq!(same.start(1).code, VerdictCode::WrongAnswer);

    let mut library = good();
    library.version = "fake 2".into();
    assert_eq!(condemned().changed(library).start(1).code, VerdictCode::Usable);

    let mut driver = condemned().changed(good());
    driver.options.driver = "driver 2".into();
    assert_eq!(driver.start(1).code, VerdictCode::Usable);

    let mut model = condemned().changed(good());
    for variant in model.models.manifest.models.iter_mut().flat_map(|model| &mut model.variants) {
        variant.sha256.0[0] ^= 1;
    }
    assert_eq!(model.start(1).code, VerdictCode::Usable);

    let place = condemned().changed(good());
    let selection = place.instance();
    let behind = Conditions { place: Place::Background, ..Conditions::default() };
    answer_rightly(place.load_as(&selection, behind).as_mut(), 1);
    let codes: Vec<_> = selection.verdicts().iter().map(|verdict| (verdict.candidate.place, verdict.code)).collect();
    assert!(codes.contains(&(Place::Foreground, VerdictCode::WrongAnswer)), "{codes:?}");
    assert!(codes.contains(&(Place::Background, VerdictCode::Usable)), "{codes:?}");
}

#[test]
fn hints_overrule_and_change_no_verdict() {
    let mut device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let low_power = Conditions { low_power: true, ..Conditions::default() };
    let behind = Conditions { place: Place::Background, ..Conditions::default() };
    device.options.gpu_in_background = false;
    let selection = device.instance();
    assert_eq!(device.load_as(&selection, low_power).accelerator_ran(), Accelerator::Cpu);
    assert_eq!(device.load_as(&selection, behind).accelerator_ran(), Accelerator::Cpu);
    assert_eq!(Fake::count(&device.fake.runs), 0, "no time to measure");
    assert_eq!(device.load(&selection).accelerator_ran(), Accelerator::Gpu);
    assert_eq!(device.load_as(&selection, low_power).accelerator_ran(), Accelerator::Cpu);
    assert_eq!(gpu(&selection).code, VerdictCode::Usable);
}

#[test]
fn an_accelerator_that_is_asked_for_by_name_is_not_replaced() {
    let device = Device::with_gpu(Nature { flaw: Flaw::Wrong, ..Nature::good(Accelerator::Gpu) });
    let selection = device.instance();
    let engine = Arc::clone(&device.fake) as Arc<dyn Engine>;
    let engine = SelectingEngine::new(engine, selection, device.models.clone(), Conditions::default());
    let file = ModelFile { path: PathBuf::new(), model_id: MODEL.into() };
    let session = engine.load(&file, LoadOptions { accelerator: Accelerator::Gpu, threads: 1 }).unwrap();
    assert_eq!(session.accelerator_ran(), Accelerator::Gpu);
}

#[test]
fn who_never_asks_for_a_comparison_gets_one_after_sixteen_answers_at_the_latest() {
    let good = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let selection = good.instance();
    let mut session = good.load(&selection);
    let before = Fake::count(&good.fake.cpu_runs);
    for at in 0..100 {
        assert_eq!(session.run(&input(at)).unwrap(), right(&input(at)));
    }
    // After 1, 3, 7, 15, 31 answers, and every sixteen from then on.
    assert_eq!(Fake::count(&good.fake.cpu_runs) - before, 9);

    for good_runs in 0..70 {
        let good_runs = TRIAL_RUNS + good_runs;
        let device = Device::with_gpu(Nature { flaw: Flaw::Wrong, good_runs, ..Nature::good(Accelerator::Gpu) });
        let selection = device.instance();
        let mut session = device.load(&selection);
        let wrong = (0..90).filter(|at| session.run(&input(*at)).unwrap() != right(&input(*at))).count();
        assert!(wrong < 16, "{wrong} from {good_runs} on");
        assert_eq!(gpu(&selection).code, VerdictCode::WrongAnswer);
    }
}
