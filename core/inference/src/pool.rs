//! Loaded models, kept for whoever needs them next.
//!
//! Owns: sessions that nobody uses at the moment, and what may be loaded at all. A model is loaded when it is first asked for;
//! one that is given back waits for the next call, until memory is short or others need its place. Every instance of the SDK has
//! a pool of its own: they share the libraries and nothing else. Refuses to know what a model is for.
//!
//! A session that failed is not kept, and neither is one whose file has changed since. What waits here holds the tensors of its
//! last run: an app that locks trims. Only the processor's sessions wait: a driver's are given back where whoever loaded them
//! watches over it, since that too can bring the process down.

use crate::cores;
use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Placement, Session, Tensor};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

/// Sessions that wait at most: each model of a busy app once.
const IDLE_MAX: usize = 8;

/// What a pool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Bytes of the largest file that is loaded at all. A loaded model takes two to three times as much: the file, its weights as
    /// the kernels want them, and what it computes.
    pub model_bytes_max: Option<u64>,
    /// Bytes of the files of all sessions that wait. More than this is let go, the oldest first.
    pub idle_bytes_max: u64,
}

impl Default for PoolOptions {
    /// Any file, and what the shipped models take several times.
    fn default() -> Self {
        Self { model_bytes_max: None, idle_bytes_max: 128 << 20 }
    }
}

/// Sessions that wait. A copy is the same pool.
#[derive(Clone)]
pub struct SessionPool {
    shared: Arc<Shared>,
}

struct Shared {
    options: PoolOptions,
    threads_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The oldest first.
    sessions: Vec<Idle>,
    /// How often the pool was trimmed: what was taken before is not taken back.
    trims: u64,
}

struct Idle {
    key: Key,
    session: Box<dyn Session>,
}

/// What makes two sessions one and the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    engine: (&'static str, String),
    path: PathBuf,
    /// Of the file: another file under the same name is another model.
    bytes: u64,
    modified: Option<SystemTime>,
    threads: usize,
}

impl SessionPool {
    /// An empty one.
    pub fn new(options: PoolOptions) -> Self {
        Self { shared: Arc::new(Shared { options, threads_max: cores::threads_max(), waiting: Mutex::default() }) }
    }

    /// The engine, whose sessions come from this pool and go back to it when they are dropped.
    pub fn over(&self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(Pooled { engine, pool: self.clone() })
    }

    /// Lets go of every session that waits, and of each that is in use as soon as it is given back. Answers how many waited.
    pub fn trim(&self) -> usize {
        // Sessions are dropped, which takes a while, when nobody waits for the lock any more.
        let dropped = self.shared.with(|waiting| {
            waiting.trims += 1;
            std::mem::take(&mut waiting.sessions)
        });
        dropped.len()
    }
}

impl std::fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.shared.with(|waiting| waiting.sessions.len());
        f.debug_struct("SessionPool").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Shared {
    /// What is inside is whole between any two lines here, so a panic elsewhere cannot have left it half done.
    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_back(&self, idle: Idle, trims: u64) {
        let dropped: Vec<Idle> = self.with(|waiting| {
            if waiting.trims != trims {
                return vec![idle];
            }
            waiting.sessions.push(idle);
            let mut bytes: u64 = waiting.sessions.iter().map(|idle| idle.key.bytes).sum();
            let mut count = 0;
            while waiting.sessions.len() - count > IDLE_MAX || bytes > self.options.idle_bytes_max {
                let Some(oldest) = waiting.sessions.get(count) else { break };
                bytes -= oldest.key.bytes;
                count += 1;
            }
            waiting.sessions.drain(..count).collect()
        });
        drop(dropped);
    }
}

/// An engine over a pool.
struct Pooled {
    engine: Arc<dyn Engine>,
    pool: SessionPool,
}

impl Engine for Pooled {
    fn id(&self) -> &'static str {
        self.engine.id()
    }

    fn version(&self) -> String {
        self.engine.version()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        self.engine.accelerators()
    }

    fn device(&self, accelerator: Accelerator) -> Option<String> {
        self.engine.device(accelerator)
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let shared = &self.pool.shared;
        let failed = |error: std::io::Error| EngineError::Model {
            model_id: model.model_id.clone(),
            detail: error.kind().to_string(),
        };
        let metadata = model.path.metadata().map_err(failed)?;
        if let Some(bytes_max) = shared.options.model_bytes_max.filter(|most| metadata.len() > *most) {
            return Err(EngineError::TooLarge { model_id: model.model_id.clone(), bytes: metadata.len(), bytes_max });
        }
        let threads = options.threads.clamp(1, shared.threads_max);
        let options = LoadOptions { threads, ..options };
        if options.accelerator != Accelerator::Cpu {
            return self.engine.load(model, options);
        }
        let key = Key {
            engine: (self.engine.id(), self.engine.version()),
            path: model.path.clone(),
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            threads,
        };
        let (waiting, trims) = shared.with(|waiting| {
            let place = waiting.sessions.iter().position(|idle| idle.key == key);
            (place.map(|place| waiting.sessions.remove(place)), waiting.trims)
        });
        let session = match waiting {
            Some(idle) => idle.session,
            None => self.engine.load(model, options)?,
        };
        Ok(Box::new(Lent { session: Some(session), key, trims, pool: Arc::downgrade(shared) }))
    }
}

/// A session that goes back to its pool.
struct Lent {
    /// There until it is dropped, or has failed.
    session: Option<Box<dyn Session>>,
    key: Key,
    trims: u64,
    pool: Weak<Shared>,
}

impl Lent {
    fn with<T>(&mut self, work: impl FnOnce(&mut dyn Session) -> Result<T, EngineError>) -> Result<T, EngineError> {
        // Outside its place while it runs: if it panics, nobody gets it again.
        let mut session = self.session.take().ok_or_else(|| EngineError::Run {
            model_id: String::new(),
            detail: "an earlier run ended in a panic".to_owned(),
        })?;
        let answer = work(session.as_mut());
        self.session = Some(session);
        if answer.is_err() {
            // It may go on, for whoever has it; the next one gets a new session.
            self.pool = Weak::new();
        }
        answer
    }
}

impl Session for Lent {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        self.with(|session| session.run(inputs))
    }

    fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        self.with(|session| session.run_into(inputs, outputs))
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.session.as_ref().map_or(Accelerator::Cpu, |session| session.accelerator_ran())
    }

    fn placement(&self) -> Placement {
        self.session.as_ref().map_or(Placement::Unknown, |session| session.placement())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(session), Some(pool)) = (self.session.take(), self.pool.upgrade()) {
            pool.give_back(Idle { key: self.key.clone(), session }, self.trims);
        }
    }
}

#[cfg(test)]
mod tests;
