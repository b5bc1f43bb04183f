//! A thread of its own for one model on one accelerator, and the patience of whoever waits for it.
//!
//! Foreign code that never returns can't be ended, only left behind: the thread keeps what it has for as long as the process lives,
//! and everybody else goes on. Loading, running and giving back happen on the same thread, which drivers like. So many threads
//! may be left behind in a process and no more; then the processor is taken.

use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session, Tensor};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

/// Threads that one instance leaves behind at most: each holds a model's memory and perhaps a processor.
const ABANDONED_MAX: usize = 4;
/// Waiting goes in pieces of this: a process that was stopped for a while, as systems do with apps behind, loses one piece and not
/// all of its patience.
const PIECE: Duration = Duration::from_millis(250);

/// How long a thing may take before it counts as hung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Loading: makers' compilers take tens of seconds for a large model.
    pub load: Duration,
    /// One run.
    pub run: Duration,
    /// Giving back.
    pub release: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { load: Duration::from_secs(60), run: Duration::from_secs(10), release: Duration::from_secs(10) }
    }
}

/// The threads that were left behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Abandoned(Arc<AtomicUsize>);

impl Abandoned {
    /// Whether another thread may be risked.
    pub(super) fn has_room(&self) -> bool {
        self.0.load(Ordering::Relaxed) < ABANDONED_MAX
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The engine said so.
    Refused(EngineError),
    /// It did not answer in time; its thread was left behind.
    Hung,
    /// It was not asked: no marker could be set.
    Unmarked,
}

/// The tensors of one run, which go to the thread and come back.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    pub(super) inputs: Vec<Tensor>,
    pub(super) outputs: Vec<Tensor>,
}

enum Job {
    Load(ModelFile, LoadOptions),
    Run(Tensors),
}

enum Answer {
    Loaded(Result<Accelerator, EngineError>),
    Ran(Tensors, Result<(), EngineError>),
    Released,
}

/// The thread as its owner sees it.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    answers: Receiver<Answer>,
    is_abandoned: Arc<AtomicBool>,
    abandoned: Abandoned,
    patience: Patience,
    model_id: String,
}

impl Worker {
    /// Starts the thread and loads the model on it; answers with where the engine says that it runs.
    pub(super) fn load(
        engine: &Arc<dyn Engine>,
        model: &ModelFile,
        options: LoadOptions,
        patience: Patience,
        abandoned: &Abandoned,
    ) -> Result<(Self, Accelerator), Trouble> {
        let (jobs, to_do) = mpsc::channel();
        let (done, answers) = mpsc::channel();
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let (engine, forsaken) = (Arc::clone(engine), Arc::clone(&is_abandoned));
        let started = thread::Builder::new()
            .name("snaptrak-accelerator".to_owned())
            .spawn(move || work(engine.as_ref(), &to_do, &done, &forsaken));
        let model_id = model.model_id.clone();
        started.map_err(|error| {
            Trouble::Refused(EngineError::Run { model_id: model_id.clone(), detail: format!("no thread: {error}") })
        })?;
        let abandoned = abandoned.clone();
        let mut worker = Self { jobs: Some(jobs), answers, is_abandoned, abandoned, patience, model_id };
        match worker.ask(Job::Load(model.clone(), options), patience.load)? {
            Answer::Loaded(Ok(accelerator)) => Ok((worker, accelerator)),
            Answer::Loaded(Err(error)) => Err(Trouble::Refused(error)),
            Answer::Ran(..) | Answer::Released => Err(worker.broken()),
        }
    }

    /// Runs once. With trouble the tensors are gone.
    pub(super) fn run(&mut self, tensors: Tensors) -> Result<Tensors, Trouble> {
        match self.ask(Job::Run(tensors), self.patience.run)? {
            Answer::Ran(tensors, Ok(())) => Ok(tensors),
            Answer::Ran(_, Err(error)) => Err(Trouble::Refused(error)),
            Answer::Loaded(_) | Answer::Released => Err(self.broken()),
        }
    }

    /// Gives back what the accelerator holds, and waits for it; `false` when that hung.
    pub(super) fn release(mut self) -> bool {
        self.jobs = None;
        self.wait(self.patience.release).is_ok_and(|answer| matches!(answer, Some(Answer::Released) | None))
    }

    fn ask(&mut self, job: Job, patience: Duration) -> Result<Answer, Trouble> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(self.broken());
        }
        self.wait(patience)?.ok_or_else(|| self.broken())
    }

    /// `None`: the thread ended without an answer.
    fn wait(&self, patience: Duration) -> Result<Option<Answer>, Trouble> {
        let mut left = patience;
        loop {
            let piece = left.min(PIECE);
            match self.answers.recv_timeout(piece) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => left -= piece,
            }
            if left.is_zero() {
                self.is_abandoned.store(true, Ordering::Release);
                self.abandoned.0.fetch_add(1, Ordering::Relaxed);
                return Err(Trouble::Hung);
            }
        }
    }

    /// The thread ended by itself, by a panic.
    fn broken(&self) -> Trouble {
        let detail = "the thread of the accelerator ended".to_owned();
        Trouble::Refused(EngineError::Run { model_id: self.model_id.clone(), detail })
    }
}

fn work(engine: &dyn Engine, jobs: &Receiver<Job>, answers: &Sender<Answer>, is_abandoned: &AtomicBool) {
    let mut session: Option<Box<dyn Session>> = None;
    for job in jobs {
        let answer = match job {
            Job::Load(model, options) => Answer::Loaded(engine.load(&model, options).map(|loaded| {
                let accelerator = loaded.accelerator_ran();
                session = Some(loaded);
                accelerator
            })),
            Job::Run(mut tensors) => {
                let ran = match &mut session {
                    Some(session) => session.run_into(&tensors.inputs, &mut tensors.outputs),
                    None => Err(EngineError::Run { model_id: String::new(), detail: "nothing is loaded".to_owned() }),
                };
                Answer::Ran(tensors, ran)
            }
        };
        // Whoever stopped waiting took the other end along, and the next look at the jobs ends the loop.
        let _ = answers.send(answer);
    }
    if is_abandoned.load(Ordering::Acquire) {
        // It came back after all. Nobody waits, no marker stands, and giving back may be what it cannot do: it is left as it is.
        std::mem::forget(session);
        return;
    }
    drop(session);
    let _ = answers.send(Answer::Released);
}
