//! The queue in memory passes the suite that the real store passes.

use snaptrak_domain::{AssetState, CaptureId, StepKind, StepState, queue_store::QueueStore};
use snaptrak_testkit::{
    FakeClock,
    memory_queue::MemoryQueue,
    queue_conformance::{Added, QueueUnderTest},
};
use std::sync::Arc;

struct InMemory {
    clock: Arc<FakeClock>,
    queue: MemoryQueue,
}

impl InMemory {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::new());
        Self { queue: MemoryQueue::new(clock.clone()), clock }
    }
}

impl QueueUnderTest for InMemory {
    fn queue(&self) -> &dyn QueueStore {
        &self.queue
    }
    fn clock(&self) -> &FakeClock {
        &self.clock
    }
    fn add(&mut self, pieces: &[u64]) -> Added {
        let (capture_id, asset_id) = self.queue.add(pieces);
        Added { capture_id, asset_id }
    }
    fn state(&self, capture_id: CaptureId) -> AssetState {
        self.queue.state(capture_id).expect("it was added")
    }
    fn steps(&self, capture_id: CaptureId) -> Vec<(StepKind, Option<u32>, StepState)> {
        self.queue.steps(capture_id)
    }
    fn die_and_reopen(&mut self) {
        self.queue.die_and_reopen();
    }
}

snaptrak_testkit::queue_conformance!(InMemory::new());
