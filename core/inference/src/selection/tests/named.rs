//! An accelerator that is asked for by name.

use super::{left_behind::ended_here, *};
use snaptrak_domain::engine::EngineError;

impl Device {
    fn named(&self, selection: &Arc<Selection>) -> Result<Box<dyn Session>, EngineError> {
        let fake = Arc::clone(&self.fake) as Arc<dyn Engine>;
        let engine = SelectingEngine::new(fake, Arc::clone(selection), self.models.clone(), self.conditions);
        let file = ModelFile { path: PathBuf::new(), model_id: MODEL.into() };
        engine.load(&file, LoadOptions { accelerator: Accelerator::Gpu, threads: 1 })
    }
}

#[test]
fn the_marker_stands_whenever_it_is_at_work_and_nothing_is_measured() {
    let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    *device.fake.witness.marker.lock().unwrap() = Some(device.options.folder.join("marker"));
    let selection = device.instance();
    let mut session = device.named(&selection).unwrap();
    for at in 0..3 {
        assert_eq!(session.run(&input(at)).unwrap(), right(&input(at)));
    }
    assert_eq!((session.accelerator_ran(), session.placement()), (Accelerator::Gpu, Placement::Whole));
    assert!(!session.is_unconfirmed(), "it is what was asked for");
    drop(session);
    assert_eq!(*device.fake.witness.letters.lock().unwrap(), "LRRRU");
    assert_eq!((selection.verdicts().len(), Fake::count(&device.fake.cpu_loads)), (0, 0));
}

#[test]
fn what_a_process_died_of_counts_and_once_it_is_condemned_it_is_refused() {
    for (reason, code) in [(ExitReason::Unknown, VerdictCode::Untried), (ExitReason::NativeCrash, VerdictCode::Crashed)]
    {
        let device = Device::with_gpu(Nature::good(Accelerator::Gpu));
        let selection = device.instance();
        let session = device.named(&selection).unwrap();
        let mut options = ended_here(&device);
        drop((session, selection));
        // As it lies on disk when the process ends in a run.
        let marker = options.folder.join("marker");
        let mut standing = fs::read(&marker).unwrap();
        standing[0] = b'R';
        fs::write(marker, standing).unwrap();
        options.last_exit = LastExit { reason, process_id: None };
        let device = Device { options, ..device };
        let (selection, loads) = (device.instance(), Fake::count(&device.fake.loads));
        assert_eq!((gpu(&selection).strikes, gpu(&selection).code), (1, code));
        let asked = device.named(&selection);
        if code == VerdictCode::Untried {
            asked.unwrap();
            continue;
        }
        let (model_id, accelerator) = (MODEL.to_owned(), Accelerator::Gpu);
        let wanted = EngineError::Condemned { model_id, accelerator, code };
        assert_eq!((asked.err().unwrap(), Fake::count(&device.fake.loads)), (wanted, loads));
        assert_eq!(device.load(&selection).accelerator_ran(), Accelerator::Cpu, "nor where it would be best");
        selection.forget().unwrap();
        device.named(&selection).unwrap();
    }
}

#[test]
fn one_that_hangs_is_left_behind_and_not_asked_again() {
    let mut device = Device::with_gpu(Nature { flaw: Flaw::Hang, good_runs: 1, ..Nature::good(Accelerator::Gpu) });
    device.options.patience = IMPATIENT;
    let selection = device.instance();
    let mut session = device.named(&selection).unwrap();
    session.run(&input(0)).unwrap();
    for _ in 0..2 {
        assert!(matches!(session.run(&input(1)), Err(EngineError::Run { .. })));
    }
    let verdict = gpu(&selection);
    assert_eq!((verdict.code, Fake::count(&device.fake.runs)), (VerdictCode::Hung, 2));
    drop(session);
    let refused = device.named(&selection).err().unwrap();
    assert!(matches!(refused, EngineError::Condemned { code: VerdictCode::Hung, .. }), "{refused}");
}

#[test]
fn its_errors_and_its_wrong_answers_are_the_callers_to_judge() {
    for flaw in [Flaw::Wrong, Flaw::NotANumber, Flaw::Error] {
        let device = Device::with_gpu(Nature { flaw, good_runs: 1, bad_runs: 1, ..Nature::good(Accelerator::Gpu) });
        let selection = device.instance();
        let mut session = device.named(&selection).unwrap();
        session.run(&input(0)).unwrap();
        assert_eq!(session.run(&input(1)).is_err(), flaw == Flaw::Error);
        assert_eq!(session.run(&input(2)).unwrap(), right(&input(2)), "it goes on");
        assert_eq!(selection.verdicts(), []);
    }
}

#[test]
fn without_a_marker_it_is_refused() {
    let mut device = Device::with_gpu(Nature::good(Accelerator::Gpu));
    device.options.folder = device.folder.path().join("file");
    fs::write(&device.options.folder, "").unwrap();
    let refused = device.named(&device.instance()).err().unwrap();
    assert!(matches!(refused, EngineError::NotPlaced { .. }), "{refused}");
    assert_eq!(Fake::count(&device.fake.loads), 0);
}
