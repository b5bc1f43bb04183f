//! Accelerators that go wrong in every way that leaves the process alive; each ends with right answers. What kills a process is in
//! `tests/native_crash.rs`.

use super::fake::{CPU_MS, Fake, Flaw, Nature, Refusal, right};
use super::*;
use crate::registry::{InUse, Manifest, Source};
use snaptrak_domain::{
    Conditions, ExitReason, Place,
    engine::{Accelerator, Engine, LoadOptions, ModelFile, Session, Tensor},
    verdict::{Standing, VerdictCode},
};
use std::{fs, path::Path, sync::atomic::Ordering, time::Duration};
use tempfile::TempDir;

const MODEL: &str = "blazeface_back";
const DAY_MS: i64 = 86_400_000;

/// A device with its folder; instances come and go.
struct Device {
    folder: TempDir,
    fake: Arc<Fake>,
    options: SelectionOptions,
    conditions: Conditions,
    models: InUse,
}

impl Device {
    fn new(fake: Fake) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::clone(&fake.time);
        let options = SelectionOptions {
            folder: folder.path().join("accelerators"),
            driver: "driver 1".into(),
            last_exit: LastExit::default(),
            gpu_in_background: true,
            patience: Patience::default(),
            clock: Arc::clone(&time) as Arc<dyn Clock>,
            stopwatch: Arc::new(move || time.stopwatch_ms()),
        };
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let manifest = Manifest::load(&repository).unwrap();
        let models = InUse { source: Source::Packaged, folder: repository, manifest };
        Self { folder, fake: Arc::new(fake), options, conditions: Conditions::default(), models }
    }

    fn with_gpu(nature: Nature) -> Self {
        Self::new(Fake::with_gpu(nature))
    }

    /// The same device with another engine: its folder stays.
    fn changed(self, fake: Fake) -> Self {
        let time = Arc::clone(&fake.time);
        time.calendar_ms.store(self.fake.time.calendar_ms.load(Ordering::SeqCst), Ordering::SeqCst);
        let clock = Arc::clone(&time) as Arc<dyn Clock>;
        let options = SelectionOptions { clock, stopwatch: Arc::new(move || time.stopwatch_ms()), ..self.options };
        Self { fake: Arc::new(fake), options, ..self }
    }

    fn instance(&self) -> Arc<Selection> {
        Arc::new(Selection::open(self.options.clone()))
    }

    fn load(&self, selection: &Arc<Selection>) -> Box<dyn Session> {
        self.load_as(selection, self.conditions)
    }

    fn load_as(&self, selection: &Arc<Selection>, conditions: Conditions) -> Box<dyn Session> {
        let fake = Arc::clone(&self.fake) as Arc<dyn Engine>;
        let engine = SelectingEngine::new(fake, Arc::clone(selection), self.models.clone(), conditions);
        let file = ModelFile { path: PathBuf::new(), model_id: MODEL.into() };
        engine.load(&file, LoadOptions { accelerator: Accelerator::Cpu, threads: 1 }).unwrap()
    }

    /// One start of the app that answers so many inputs, and what it says of the GPU then.
    fn start(&self, inputs: usize) -> Verdict {
        let selection = self.instance();
        let mut session = self.load(&selection);
        answer_rightly(session.as_mut(), inputs);
        drop(session);
        gpu(&selection)
    }
}

/// For tests of what hangs: whatever else took so long would end there in the same way.
const IMPATIENT: Patience = Patience { load: A_MOMENT, run: A_MOMENT, release: A_MOMENT };
const A_MOMENT: Duration = Duration::from_millis(300);

fn gpu(selection: &Selection) -> Verdict {
    let is_gpu = |verdict: &Verdict| verdict.candidate.accelerator == Accelerator::Gpu;
    selection.verdicts().into_iter().find(is_gpu).unwrap()
}

fn input(at: usize) -> Vec<Tensor> {
    let mut data = vec![0.25; 12];
    data[0] = at as f32;
    vec![Tensor { name: "input".into(), shape: vec![1, 2, 2, 3], data }]
}

/// As a caller does it: what was answered is relied on once it is confirmed, at the latest after sixteen; what is not confirmed is
/// asked again.
fn answer_rightly(session: &mut dyn Session, inputs: usize) {
    let mut held: Vec<(usize, Vec<Tensor>)> = Vec::new();
    for at in 0..inputs {
        held.push((at, session.run(&input(at)).unwrap()));
        if held.len() == 16 || at + 1 == inputs {
            while !session.confirm() {
                for (at, outputs) in &mut held {
                    *outputs = session.run(&input(*at)).unwrap();
                }
            }
            assert!(!session.is_unconfirmed());
            for (at, outputs) in held.drain(..) {
                assert_eq!(outputs, right(&input(at)), "{at}");
            }
        }
    }
}

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

/// Of a trial: two inputs, two warm-ups, five timed runs.
const TRIAL_RUNS: usize = 9;

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
fn the_marker_stands_whenever_an_accelerator_is_at_work_and_at_no_other_time() {
    let mut fake = Fake::with_gpu(Nature::good(Accelerator::Gpu));
    fake.npu = Nature { flaw: Flaw::Wrong, ..Nature::good(Accelerator::Npu) };
    let device = Device::new(fake);
    let marker = device.options.folder.join("marker");
    *device.fake.witness.marker.lock().unwrap() = Some(marker.clone());
    let selection = device.instance();
    let mut session = device.load(&selection);
    let runs = "R".repeat(TRIAL_RUNS);
    let letters = || device.fake.witness.letters.lock().unwrap().clone();
    assert_eq!(letters(), format!("LRUL{runs}"));
    let is_idle = || fs::read(&marker).unwrap().chunks(1024).all(|slot| slot[0] == b'-');
    assert!(is_idle());
    answer_rightly(session.as_mut(), 2);
    assert!(is_idle());
    drop(session);
    assert_eq!(letters(), format!("LRUL{runs}RRU"));
    assert!(is_idle());
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

/// What a process leaves that ends here: everything as it lies on disk, and nobody who holds the lock.
fn ended_here(device: &Device) -> SelectionOptions {
    let folder = device.folder.path().join("of the next process");
    fs::create_dir_all(&folder).unwrap();
    for name in ["marker", "verdicts.json"] {
        let _ = fs::copy(device.options.folder.join(name), folder.join(name));
    }
    SelectionOptions { folder, ..device.options.clone() }
}

#[test]
fn a_process_that_ends_at_work_leaves_a_strike_and_the_second_condemns() {
    for (reason, strikes, code) in [
        (ExitReason::Unknown, 1, VerdictCode::Usable),
        (ExitReason::NativeCrash, 1, VerdictCode::Crashed),
        (ExitReason::User, 0, VerdictCode::Usable),
        (ExitReason::LowMemory, 0, VerdictCode::Usable),
    ] {
        let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
        let selection = device.instance();
        let session = device.load(&selection);
        let owned = Owned { candidate: gpu(&selection).candidate, circumstances: gpu(&selection).circumstances };
        let slot = selection.marker.as_ref().unwrap().claim(&owned.candidate, &owned.circumstances).unwrap();
        slot.set(marker::Phase::Run).unwrap();
        let mut options = ended_here(&device);
        drop((session, slot));
        options.last_exit = LastExit { reason, process_id: Some(std::process::id()) };
        let next = Selection::open(options.clone());
        assert_eq!((gpu(&next).strikes, gpu(&next).code), (strikes, code), "{reason:?}");
        drop(next);
        let again = Selection::open(options.clone());
        assert_eq!(gpu(&again).strikes, strikes, "counted once");
        drop(again);
        // The system speaks of another process: nothing is known of this one.
        let mut other = ended_here(&device);
        other.last_exit = LastExit { reason, process_id: Some(std::process::id() + 1) };
        assert_eq!(gpu(&Selection::open(other)).strikes, 0, "the slot was given back meanwhile");
    }
}

#[test]
fn without_a_marker_no_accelerator_is_asked() {
    let mut device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    // A file where the folder should be: nothing can be written there.
    device.options.folder = device.folder.path().join("file");
    fs::write(&device.options.folder, "").unwrap();
    let selection = device.instance();
    assert!(selection.notes().contains(&Note::MarkerUnavailable));
    answer_rightly(device.load(&selection).as_mut(), 3);
    assert_eq!((Fake::count(&device.fake.loads), selection.verdicts().len()), (0, 0));
}

#[test]
fn what_a_process_died_of_stays_in_the_marker_until_it_is_written_down() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let selection = device.instance();
    let session = device.load(&selection);
    let verdict = gpu(&selection);
    let slot = selection.marker.as_ref().unwrap().claim(&verdict.candidate, &verdict.circumstances).unwrap();
    slot.set(marker::Phase::Load).unwrap();
    let options = ended_here(&device);
    drop((session, slot, selection));
    // As on a full disk: no verdict can be written.
    let obstacle = options.folder.join("verdicts.json.new");
    fs::create_dir(&obstacle).unwrap();
    let device = Device { options, ..device };
    let loads = Fake::count(&device.fake.loads);
    for _ in 0..3 {
        let selection = device.instance();
        assert_eq!((selection.notes(), gpu(&selection).strikes), (vec![Note::NotSaved], 1));
        answer_rightly(device.load(&selection).as_mut(), 1);
    }
    assert_eq!(Fake::count(&device.fake.loads), loads, "nobody is asked, or it would die again and again");
    fs::remove_dir(&obstacle).unwrap();
    let selection = device.instance();
    assert_eq!((selection.notes(), gpu(&selection).strikes), (vec![], 1));
    assert_eq!(device.load(&selection).accelerator_ran(), Accelerator::Gpu);
}

#[test]
fn an_instance_beside_a_living_one_takes_the_processor() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    let first = device.instance();
    let session = device.load(&first);
    let second = device.instance();
    assert_eq!(second.notes(), [Note::InUse]);
    let mut beside = device.load(&second);
    answer_rightly(beside.as_mut(), 3);
    assert_eq!((session.accelerator_ran(), beside.accelerator_ran()), (Accelerator::Gpu, Accelerator::Cpu));
}

#[test]
fn damaged_files_are_told_and_everything_is_tried_again() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    device.start(1);
    for name in ["marker", "verdicts.json"] {
        fs::write(device.options.folder.join(name), "L{ no JSON").unwrap();
    }
    let selection = device.instance();
    assert_eq!(selection.notes(), [Note::VerdictsDamaged, Note::MarkerDamaged]);
    let mut session = device.load(&selection);
    answer_rightly(session.as_mut(), 3);
    assert_eq!((session.accelerator_ran(), gpu(&selection).code), (Accelerator::Gpu, VerdictCode::Usable));
    drop((session, selection));
    assert_eq!(device.instance().notes(), []);
}

#[test]
fn verdicts_can_be_forgotten() {
    let device = Device::with_gpu(Nature { flaw: Flaw::Wrong, ..Nature::good(Accelerator::Gpu) });
    assert_eq!(device.start(1).code, VerdictCode::WrongAnswer);
    let runs = Fake::count(&device.fake.runs);
    device.instance().forget().unwrap();
    assert_eq!(device.start(1).code, VerdictCode::WrongAnswer);
    assert!(Fake::count(&device.fake.runs) > runs, "it was tried again");
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
