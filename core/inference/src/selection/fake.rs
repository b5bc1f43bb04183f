//! An engine whose accelerators go wrong as they are told, on a clock that goes by what is run.

use snaptrak_domain::{
    BootId, Clock, MonotonicMs, UnixMs, WallTime,
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session, Tensor},
};
use std::path::PathBuf;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    mpsc,
};

/// Milliseconds of a run on the processor.
pub(super) const CPU_MS: u64 = 10;

/// What an accelerator does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    Wrong,
    NotANumber,
    AnotherShape,
    Error,
    Panic,
    Hang,
}

/// What one accelerator is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    pub(super) load: Result<Accelerator, Refusal>,
    pub(super) run_ms: u64,
    pub(super) flaw: Flaw,
    /// Runs, from the first one of the process on, that go well.
    pub(super) good_runs: usize,
    /// Runs after these that go wrong; all that follow otherwise.
    pub(super) bad_runs: usize,
}

/// How a load fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotOffered,
    NotPlaced,
    Error,
    Hang,
}

impl Nature {
    pub(super) fn good(accelerator: Accelerator) -> Self {
        Self { load: Ok(accelerator), run_ms: 1, flaw: Flaw::None, good_runs: 0, bad_runs: usize::MAX }
    }

    pub(super) fn absent() -> Self {
        Self { load: Err(Refusal::NotOffered), ..Self::good(Accelerator::Npu) }
    }
}

/// The engine, and what was asked of it.
pub(super) struct Fake {
    pub(super) npu: Nature,
    pub(super) gpu: Nature,
    pub(super) version: String,
    pub(super) time: Arc<FakeTime>,
    /// Loads on an accelerator, and on the processor.
    pub(super) loads: AtomicUsize,
    pub(super) cpu_loads: AtomicUsize,
    /// Runs on accelerators.
    pub(super) runs: Arc<AtomicUsize>,
    pub(super) cpu_runs: Arc<AtomicUsize>,
    /// Keeps those who hang waiting.
    never: Arc<Mutex<Vec<mpsc::Sender<()>>>>,
    pub(super) witness: Arc<Witness>,
}

/// Looks at the marker whenever an accelerator is at work.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) marker: Mutex<Option<PathBuf>>,
    pub(super) letters: Mutex<String>,
}

impl Witness {
    fn look(&self) {
        if let Some(path) = &*self.marker.lock().unwrap() {
            self.letters.lock().unwrap().push(char::from(std::fs::read(path).unwrap()[0]));
        }
    }
}

impl Fake {
    /// Without an NPU, with a GPU of this nature.
    pub(super) fn with_gpu(gpu: Nature) -> Self {
        Self {
            npu: Nature::absent(),
            gpu,
            version: "fake 1".into(),
            time: Arc::default(),
            loads: AtomicUsize::new(0),
            cpu_loads: AtomicUsize::new(0),
            runs: Arc::default(),
            cpu_runs: Arc::default(),
            never: Arc::default(),
            witness: Arc::default(),
        }
    }

    pub(super) fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }

    fn hang(never: &Mutex<Vec<mpsc::Sender<()>>>) {
        let (kept, wait) = mpsc::channel();
        never.lock().unwrap().push(kept);
        let _ = wait.recv();
    }
}

/// The right answer.
pub(super) fn right(inputs: &[Tensor]) -> Vec<Tensor> {
    let data = &inputs[0].data;
    let data = vec![data[0] * 2.0, data[data.len() - 1] + 1.0, data.len() as f32];
    vec![Tensor { name: "answer".into(), shape: vec![1, 3], data }]
}

impl Engine for Fake {
    fn id(&self) -> &'static str {
        "ort"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        panic!("asking for all of them may load drivers that were condemned")
    }

    fn device(&self, accelerator: Accelerator) -> Option<String> {
        Some(format!("fake {}", accelerator.as_str()))
    }

    fn load(&self, _model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let accelerator = options.accelerator;
        let nature = match accelerator {
            Accelerator::Cpu => {
                self.cpu_loads.fetch_add(1, Ordering::SeqCst);
                let good = Nature { run_ms: CPU_MS, ..Nature::good(accelerator) };
                return Ok(self.session(good, Arc::clone(&self.cpu_runs), accelerator, Arc::default()));
            }
            Accelerator::Gpu => self.gpu,
            Accelerator::Npu => self.npu,
        };
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.witness.look();
        let detail = String::new();
        match nature.load {
            Ok(ran) => Ok(self.session(nature, Arc::clone(&self.runs), ran, Arc::clone(&self.witness))),
            Err(Refusal::NotOffered) => Err(EngineError::NoAccelerator { accelerator }),
            Err(Refusal::NotPlaced) => Err(EngineError::NotPlaced { model_id: String::new(), accelerator, detail }),
            Err(Refusal::Error) => Err(EngineError::Model { model_id: String::new(), detail }),
            Err(Refusal::Hang) => {
                Self::hang(&self.never);
                Err(EngineError::NoAccelerator { accelerator })
            }
        }
    }
}

impl Fake {
    fn session(
        &self,
        nature: Nature,
        runs: Arc<AtomicUsize>,
        ran: Accelerator,
        witness: Arc<Witness>,
    ) -> Box<dyn Session> {
        let (time, never) = (Arc::clone(&self.time), Arc::clone(&self.never));
        Box::new(FakeSession { nature, runs, ran, time, never, witness })
    }
}

struct FakeSession {
    nature: Nature,
    runs: Arc<AtomicUsize>,
    ran: Accelerator,
    time: Arc<FakeTime>,
    never: Arc<Mutex<Vec<mpsc::Sender<()>>>>,
    witness: Arc<Witness>,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.witness.look();
    }
}

impl Session for FakeSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        self.witness.look();
        let before = self.runs.fetch_add(1, Ordering::SeqCst);
        self.time.pass(self.nature.run_ms);
        let mut outputs = right(inputs);
        let bad = self.nature.good_runs..self.nature.good_runs.saturating_add(self.nature.bad_runs);
        match self.nature.flaw {
            _ if !bad.contains(&before) => {}
            Flaw::None => {}
            Flaw::Wrong => outputs[0].data[1] += 0.5,
            Flaw::NotANumber => outputs[0].data[1] = f32::NAN,
            Flaw::AnotherShape => outputs[0].shape = vec![3, 1],
            Flaw::Error => return Err(EngineError::Run { model_id: String::new(), detail: "device lost".into() }),
            Flaw::Panic => panic!("as a wrapper around a driver may"),
            Flaw::Hang => Fake::hang(&self.never),
        }
        Ok(outputs)
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.ran
    }
}

/// Time that passes when something is run, and a calendar that a test turns.
#[derive(Debug, Default)]
pub(super) struct FakeTime {
    ms: AtomicU64,
    pub(super) calendar_ms: AtomicI64,
}

impl FakeTime {
    fn pass(&self, ms: u64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) fn stopwatch_ms(&self) -> f64 {
        self.ms.load(Ordering::SeqCst) as f64
    }
}

impl Clock for FakeTime {
    fn wall(&self) -> WallTime {
        WallTime { unix_ms: UnixMs(self.calendar_ms.load(Ordering::SeqCst)), offset_minutes: 0, zone: None }
    }

    fn monotonic(&self) -> MonotonicMs {
        MonotonicMs(1)
    }

    fn boot_id(&self) -> BootId {
        BootId("boot".into())
    }
}
