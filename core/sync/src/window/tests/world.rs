//! A device in memory beside a server in memory, and a clock that moves only when the loop waits.

use std::sync::{Arc, Mutex};

use crossbeam_channel::Receiver;
use snaptrak_domain::queue_store::{Enrolment, QueueStore, SavedSession, Tokens};
use snaptrak_domain::transport::Method;
use snaptrak_domain::{
    AccountId, AssetId, AssetState, CancelToken, CaptureId, Clock, DeviceId, Secret, TokenProvider, UnixMs,
};
use snaptrak_testkit::{FakeClock, SeededRandom, memory_queue::MemoryQueue};

use crate::client::{SyncClient, SyncParts};
use crate::line::{Pace, Signal};
use crate::observer::Quiet;
use crate::report::{Budget, SyncReport};
use crate::testing::Organisation;

use super::server::{FakeServer, Fault};

pub(super) type Work = Box<dyn FnOnce() + Send>;

/// Waiting moves the clock. Work apart is done at once, or held for as long as a test wants it to hang.
pub(super) struct FakePace {
    clock: Arc<FakeClock>,
    pub(super) held: Mutex<Option<Vec<Work>>>,
}

impl Pace for FakePace {
    fn wait(&self, signals: &Receiver<Signal>, timeout_ms: u64) -> Option<Signal> {
        let signal = signals.try_recv().ok();
        if signal.is_none() {
            self.clock.advance_ms(i64::try_from(timeout_ms).unwrap());
        }
        signal
    }

    fn apart(&self, work: Box<dyn FnOnce() + Send>) {
        match self.held.lock().unwrap().as_mut() {
            Some(held) => held.push(work),
            None => work(),
        }
    }
}

pub(super) struct World {
    pub(super) clock: Arc<FakeClock>,
    pub(super) queue: Arc<MemoryQueue>,
    pub(super) server: Arc<FakeServer>,
    pub(super) pace: Arc<FakePace>,
    pub(super) client: SyncClient,
}

impl World {
    pub(super) fn new() -> Self {
        let world = Self::enrolled(None);
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let tokens = Tokens {
            access: secret("access-0"),
            access_expires: UnixMs(world.clock.now().0 + 900_000),
            refresh: secret("refresh-0"),
        };
        world.queue.save_session(Some(&SavedSession::Tokens(tokens))).unwrap();
        world
    }

    pub(super) fn enrolled(token_provider: Option<Arc<dyn TokenProvider>>) -> Self {
        let world = Self::with_provider(token_provider);
        let organisation = &world.server.organisation;
        let enrolment = Enrolment {
            server: "https://api.example".to_owned(),
            account_id: AccountId::from_bytes([1; 16]),
            organisation_id: organisation.id,
            device_id: DeviceId::from_bytes([8; 16]),
            trust_root: organisation.root.fingerprint(),
            trust_root_given: true,
        };
        world.queue.save_enrolment(&enrolment, &organisation.bundle(1)).unwrap();
        world
    }

    pub(super) fn not_enrolled() -> Self {
        Self::with_provider(None)
    }

    pub(super) fn with_provider(token_provider: Option<Arc<dyn TokenProvider>>) -> Self {
        let clock = Arc::new(FakeClock::new());
        let queue = Arc::new(MemoryQueue::new(clock.clone()));
        let server = Arc::new(FakeServer::new(Organisation::new(1), queue.clone(), clock.clone()));
        let parts = SyncParts {
            store: queue.clone(),
            transport: server.clone(),
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(3)),
            token_provider,
        };
        let pace = Arc::new(FakePace { clock: clock.clone(), held: Mutex::new(None) });
        let client = SyncClient::with_pace(parts, pace.clone());
        Self { clock, queue, server, pace, client }
    }

    pub(super) fn add_many(&self, count: usize) -> Vec<(CaptureId, AssetId)> {
        (0..count).map(|_| self.queue.add(&[1_000])).collect()
    }

    pub(super) fn faults(&self, decide: impl FnMut(Method, &str, u64) -> Option<Fault> + Send + 'static) {
        self.server.state().faults = Some(Box::new(decide));
    }

    pub(super) fn run(&self) -> SyncReport {
        self.run_with(&Budget::default())
    }

    pub(super) fn run_with(&self, budget: &Budget) -> SyncReport {
        self.client.run_window(budget, &CancelToken::new(), &Quiet).unwrap()
    }

    pub(super) fn count(&self, state: AssetState, captures: &[(CaptureId, AssetId)]) -> usize {
        captures.iter().filter(|(id, _)| self.queue.state(*id) == Some(state)).count()
    }

    pub(super) fn times(&self, request: &str) -> usize {
        self.server.state().log.iter().filter(|line| line.starts_with(request)).count()
    }
}
