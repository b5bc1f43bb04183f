//! What a trial finds.

use super::*;

#[test]
fn of_two_the_quicker_is_taken_and_of_two_alike_the_npu() {
    for (npu_ms, gpu_ms, taken) in [(5, 1, Accelerator::Gpu), (1, 5, Accelerator::Npu), (2, 2, Accelerator::Npu)] {
        let mut fake = Fake::with_gpu(Nature { run_ms: gpu_ms, ..Nature::good(Accelerator::Gpu) });
        fake.npu = Nature { run_ms: npu_ms, ..Nature::good(Accelerator::Npu) };
        let device = Device::new(fake);
        let selection = device.instance();
        for _ in 0..2 {
            let mut session = device.load(&selection);
            answer_rightly(session.as_mut(), 3);
            assert_eq!(session.accelerator_ran(), taken);
        }
        let codes: Vec<_> = selection.verdicts().iter().map(|verdict| verdict.code).collect();
        assert_eq!(codes, [VerdictCode::Usable; 2]);
    }
}

#[test]
fn a_device_with_a_processor_alone_asks_once_and_measures_nothing() {
    let device = Device::with_gpu(Nature::absent());
    for _ in 0..3 {
        assert_eq!(device.start(5).code, VerdictCode::NotOffered);
    }
    let fake = &device.fake;
    assert_eq!(Fake::count(&fake.loads), 2, "an NPU and a GPU, once each");
    assert_eq!((Fake::count(&fake.cpu_loads), Fake::count(&fake.cpu_runs)), (3, 15), "what was asked and no more");
    fake.time.calendar_ms.fetch_add(DAY_MS, Ordering::SeqCst);
    device.start(1);
    assert_eq!(Fake::count(&fake.loads), 4, "an update may have brought one");
}

#[test]
fn what_goes_wrong_in_its_trial_is_not_used_whenever_it_begins_to() {
    for good_runs in [0, 1, 4, TRIAL_RUNS - 1] {
        for (flaw, code) in [
            (Flaw::Wrong, VerdictCode::WrongAnswer),
            (Flaw::NotANumber, VerdictCode::NotANumber),
            (Flaw::AnotherShape, VerdictCode::WrongAnswer),
            (Flaw::Error, VerdictCode::Failed),
            (Flaw::Panic, VerdictCode::Failed),
        ] {
            let device = Device::with_gpu(Nature { flaw, good_runs, ..Nature::good(Accelerator::Gpu) });
            assert_eq!(device.start(3).code, code, "{flaw:?} from {good_runs}");
            let runs = Fake::count(&device.fake.runs);
            assert_eq!(runs, good_runs + 1, "{flaw:?}");
            assert_eq!(device.start(3).code, code);
            assert_eq!(Fake::count(&device.fake.runs), runs, "it is left alone");
        }
    }
}

#[test]
fn what_is_slow_is_left_alone_and_what_is_hopeless_soon() {
    for (run_ms, runs) in [(CPU_MS, TRIAL_RUNS), (CPU_MS * 3, TRIAL_RUNS), (CPU_MS * 300, 4)] {
        let device = Device::with_gpu(Nature { run_ms, ..Nature::good(Accelerator::Gpu) });
        let verdict = device.start(20);
        assert_eq!((verdict.code, verdict.run_ms), (VerdictCode::Slow, Some(run_ms as f64)));
        assert_eq!(Fake::count(&device.fake.runs), runs);
        assert_eq!(Fake::count(&device.fake.cpu_loads), 1, "the session of the trial answers");
    }
}

#[test]
fn what_does_not_load_is_not_used() {
    for (load, code) in [
        (Err(Refusal::NotOffered), VerdictCode::NotOffered),
        (Err(Refusal::NotPlaced), VerdictCode::NotPlaced),
        (Err(Refusal::Error), VerdictCode::Failed),
        // Asked for a GPU, it says that it runs elsewhere.
        (Ok(Accelerator::Cpu), VerdictCode::NotPlaced),
    ] {
        let device = Device::with_gpu(Nature { load, ..Nature::good(Accelerator::Gpu) });
        assert_eq!(device.start(3).code, code);
        assert_eq!(Fake::count(&device.fake.runs), 0);
    }
}

#[test]
fn what_hangs_is_left_behind_and_condemned_and_the_next_start_does_not_wait() {
    let while_loading = Nature { load: Err(Refusal::Hang), ..Nature::good(Accelerator::Gpu) };
    let running = Nature { flaw: Flaw::Hang, good_runs: 3, ..Nature::good(Accelerator::Gpu) };
    let in_use = Nature { flaw: Flaw::Hang, good_runs: TRIAL_RUNS + 20, ..Nature::good(Accelerator::Gpu) };
    for nature in [while_loading, running, in_use] {
        let mut device = Device::with_gpu(nature);
        device.options.patience = IMPATIENT;
        let verdict = device.start(30);
        assert_eq!((verdict.code.standing(), verdict.code), (Standing::Condemned, VerdictCode::Hung));
        let loads = Fake::count(&device.fake.loads);
        assert_eq!(device.start(5).code, VerdictCode::Hung);
        assert_eq!(Fake::count(&device.fake.loads), loads);
    }
}

#[test]
fn so_many_threads_are_left_behind_and_no_more() {
    let mut device = Device::with_gpu(Nature { load: Err(Refusal::Hang), ..Nature::good(Accelerator::Gpu) });
    device.options.patience = IMPATIENT;
    let selection = device.instance();
    for _ in 0..6 {
        answer_rightly(device.load(&selection).as_mut(), 1);
        selection.forget().unwrap();
    }
    // Each time one for the NPU, which is not there, until none is asked any more.
    assert_eq!(Fake::count(&device.fake.loads), 2 * 4);
}

#[test]
fn an_accelerator_that_hung_with_one_model_is_not_tried_with_another() {
    let mut fake = Fake::with_gpu(Nature { load: Err(Refusal::Hang), ..Nature::good(Accelerator::Gpu) });
    fake.npu = Nature::good(Accelerator::Npu);
    let mut device = Device::new(fake);
    device.options.patience = IMPATIENT;
    let selection = device.instance();
    let fake = Arc::clone(&device.fake) as Arc<dyn Engine>;
    let engine = SelectingEngine::new(fake, selection, device.models.clone(), device.conditions);
    for model in [MODEL, "ssd_mobilenetv2_oidv4"] {
        let mut session = load_on(&engine, model);
        answer_rightly(session.as_mut(), 3);
        assert_eq!(session.accelerator_ran(), Accelerator::Npu, "another accelerator is none the worse for it");
    }
    assert_eq!(Fake::count(&device.fake.loads), 3, "the GPU once, the NPU with each");
}
