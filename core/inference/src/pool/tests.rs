//! The pool over an engine that counts.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What an engine's sessions have done.
#[derive(Default)]
struct Counts {
    loaded: AtomicUsize,
    alive: AtomicUsize,
    threads: AtomicUsize,
}

struct Counting(Arc<Counts>);

struct Counted {
    counts: Arc<Counts>,
    number: usize,
}

impl Engine for Counting {
    fn id(&self) -> &'static str {
        "counting"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        vec![Accelerator::Cpu]
    }

    fn load(&self, _model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        self.0.alive.fetch_add(1, SeqCst);
        self.0.threads.store(options.threads, SeqCst);
        let number = self.0.loaded.fetch_add(1, SeqCst);
        Ok(Box::new(Counted { counts: Arc::clone(&self.0), number }))
    }
}

impl Session for Counted {
    /// Its number; fails without an input, and panics with more than one.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        assert!(inputs.len() <= 1, "as the test wants it");
        match inputs {
            [input] => Ok(vec![Tensor { data: vec![self.number as f32], ..input.clone() }]),
            _ => Err(EngineError::Run { model_id: "model".into(), detail: "no input".into() }),
        }
    }

    fn accelerator_ran(&self) -> Accelerator {
        Accelerator::Cpu
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.alive.fetch_sub(1, SeqCst);
    }
}

struct Ground {
    folder: tempfile::TempDir,
    counts: Arc<Counts>,
    pool: SessionPool,
    engine: Arc<dyn Engine>,
}

impl Ground {
    fn new(options: PoolOptions) -> Self {
        let (folder, counts, pool) =
            (tempfile::tempdir().unwrap(), Arc::<Counts>::default(), SessionPool::new(options));
        let engine = pool.over(Arc::new(Counting(Arc::clone(&counts))));
        Self { folder, counts, pool, engine }
    }

    fn file(&self, name: &str, bytes: usize) -> ModelFile {
        let path = self.folder.path().join(name);
        std::fs::write(&path, vec![0; bytes]).unwrap();
        ModelFile { path, model_id: name.into() }
    }

    fn load(&self, file: &ModelFile) -> Box<dyn Session> {
        self.engine.load(file, OPTIONS).unwrap()
    }

    fn counts(&self) -> (usize, usize) {
        (self.counts.loaded.load(SeqCst), self.counts.alive.load(SeqCst))
    }
}

const OPTIONS: LoadOptions = LoadOptions { accelerator: Accelerator::Cpu, threads: 2 };

fn number(session: &mut dyn Session) -> f32 {
    session.run(&[Tensor { name: "x".into(), shape: vec![1], data: vec![0.0] }]).unwrap()[0].data[0]
}

#[test]
fn a_session_that_was_given_back_is_the_next_ones() {
    let ground = Ground::new(PoolOptions::default());
    let file = ground.file("a", 10);
    assert_eq!(ground.counts(), (0, 0), "nothing is loaded before it is asked for");
    let (mut first, mut second) = (ground.load(&file), ground.load(&file));
    assert_eq!((number(first.as_mut()), number(second.as_mut())), (0.0, 1.0), "two at once are two");
    drop(second);
    assert_eq!(number(ground.load(&file).as_mut()), 1.0);
    drop(first);
    assert_eq!(ground.counts(), (2, 2));
    let other = LoadOptions { accelerator: Accelerator::Gpu, ..OPTIONS };
    ground.engine.load(&file, other).unwrap();
    ground.engine.load(&file, LoadOptions { threads: 1, ..OPTIONS }).unwrap();
    assert_eq!(ground.counts().0, 4, "another accelerator, and another number of threads, are others");
}

/// Giving one back can bring the process down, which only its user watches over.
#[test]
fn an_accelerators_session_goes_when_its_user_lets_go_of_it() {
    let ground = Ground::new(PoolOptions::default());
    let file = ground.file("a", 10);
    for (times, accelerator) in (1..).zip([Accelerator::Gpu, Accelerator::Npu, Accelerator::Gpu]) {
        let session = ground.engine.load(&file, LoadOptions { accelerator, ..OPTIONS }).unwrap();
        assert_eq!(ground.counts(), (times, 1));
        drop(session);
        assert_eq!(ground.counts(), (times, 0));
    }
}

#[test]
fn trimming_lets_go_of_what_waits_and_of_what_is_in_use_once_it_is_done() {
    let ground = Ground::new(PoolOptions::default());
    let (a, b) = (ground.file("a", 10), ground.file("b", 10));
    let used = ground.load(&a);
    drop(ground.load(&b));
    assert_eq!(ground.pool.trim(), 1);
    assert_eq!(ground.counts(), (2, 1));
    drop(used);
    assert_eq!(ground.counts(), (2, 0));
    assert_eq!(ground.pool.trim(), 0);
    drop(ground.load(&a));
    assert_eq!(ground.counts(), (3, 1), "afterwards it is as it was");
}

#[test]
fn what_waits_is_bounded_in_number_and_bytes_and_the_oldest_goes() {
    let ground = Ground::new(PoolOptions { idle_bytes_max: 100, ..PoolOptions::default() });
    let (a, b, c, large) =
        (ground.file("a", 40), ground.file("b", 40), ground.file("c", 40), ground.file("large", 101));
    for file in [&a, &b, &c] {
        drop(ground.load(file));
    }
    assert_eq!(ground.counts(), (3, 2));
    drop(ground.load(&b));
    assert_eq!(ground.counts(), (3, 2), "the younger ones are still there");
    drop(ground.load(&large));
    assert_eq!(ground.counts(), (4, 0), "what is too large to wait does not, and pushes the others out");
    let many = Ground::new(PoolOptions::default());
    for index in 0..2 * IDLE_MAX {
        drop(many.load(&many.file(&index.to_string(), 1)));
    }
    assert_eq!(many.counts(), (2 * IDLE_MAX, IDLE_MAX));
}

#[test]
fn a_file_above_the_limit_is_refused_before_it_is_loaded() {
    let ground = Ground::new(PoolOptions { model_bytes_max: Some(100), ..PoolOptions::default() });
    let refused = ground.engine.load(&ground.file("large", 101), OPTIONS).err().unwrap();
    assert_eq!(refused, EngineError::TooLarge { model_id: "large".into(), bytes: 101, bytes_max: 100 });
    assert_eq!(refused.reason().parameters["bytes_max"], "100");
    assert_eq!(ground.counts().0, 0);
    ground.load(&ground.file("fits", 100));
    let missing = ModelFile { path: ground.folder.path().join("nothing"), model_id: "missing".into() };
    assert!(matches!(ground.engine.load(&missing, OPTIONS), Err(EngineError::Model { .. })));
}

#[test]
fn what_failed_and_what_changed_is_not_used_again() {
    let ground = Ground::new(PoolOptions::default());
    let file = ground.file("a", 10);
    let mut session = ground.load(&file);
    session.run(&[]).unwrap_err();
    assert_eq!(number(session.as_mut()), 0.0, "for who has it, it goes on");
    drop(session);
    assert_eq!(ground.counts(), (1, 0));
    drop(ground.load(&file));
    ground.file("a", 11);
    assert_eq!(number(ground.load(&file).as_mut()), 2.0);
    // A run that panics leaves nothing to the next.
    let two = [0, 1].map(|_| Tensor { name: "x".into(), shape: vec![1], data: vec![0.0] });
    let mut session = ground.load(&file);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| session.run(&two)));
    assert!(panicked.is_err());
    assert!(matches!(session.run(&two[..1]), Err(EngineError::Run { .. })));
    drop(session);
    assert_eq!(number(ground.load(&file).as_mut()), 3.0);
}

#[test]
fn two_pools_share_nothing_and_a_session_outlives_its_pool() {
    let (one, two) = (Ground::new(PoolOptions::default()), Ground::new(PoolOptions::default()));
    let file = one.file("a", 10);
    drop(one.load(&file));
    drop(two.load(&file));
    assert_eq!((one.counts(), two.counts()), ((1, 1), (1, 1)));
    let mut session = one.load(&file);
    let counts = Arc::clone(&one.counts);
    drop(one);
    assert_eq!(number(session.as_mut()), 0.0);
    drop(session);
    assert_eq!(counts.alive.load(SeqCst), 0);
}

#[test]
fn no_more_threads_than_the_device_has_cores_for_are_asked_for_and_never_none() {
    let ground = Ground::new(PoolOptions::default());
    let file = ground.file("a", 10);
    for (asked, most) in [(0, 1), (1, 1), (1_000, cores::threads_max().min(1_000))] {
        drop(ground.engine.load(&file, LoadOptions { threads: asked, ..OPTIONS }).unwrap());
        assert_eq!(ground.counts.threads.load(SeqCst), most);
    }
}
