//! Accelerators that go wrong in every way that leaves the process alive; each ends with right answers. What kills a process is in
//! `tests/native_crash.rs`.

use super::fake::{CPU_MS, Fake, Flaw, Nature, Refusal, right};
use super::*;
use crate::registry::{InUse, Manifest, Source};
use snaptrak_domain::{
    Conditions, ExitReason, Place,
    engine::{Accelerator, Engine, LoadOptions, ModelFile, Placement, Session, Tensor},
    verdict::{Standing, VerdictCode},
};
use std::{fs, path::Path, sync::atomic::Ordering, time::Duration};
use tempfile::TempDir;

mod in_use;
mod left_behind;
mod named;
mod trials;

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
        load_on(&engine, MODEL)
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

fn load_on(engine: &SelectingEngine, model: &str) -> Box<dyn Session> {
    let file = ModelFile { path: PathBuf::new(), model_id: model.into() };
    engine.load(&file, LoadOptions { accelerator: Accelerator::Cpu, threads: 1 }).unwrap()
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

/// Of a trial: two inputs, two warm-ups, five timed runs.
const TRIAL_RUNS: usize = 9;
