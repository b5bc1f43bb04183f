//! Where work of an instance runs: threads that block, since the core does, and that end when nothing is to be done.
//!
//! A call's future may be polled by anyone and dropped at any time: what was begun runs to its end on its thread, unless it can
//! be broken off. A panic of the core ends its call with an error; the thread and the instance go on.

use crate::SnapTrakError;
use std::time::Duration;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};

/// Calls of one instance that run at once; more wait for their turn. Captures share their syncs, so that more threads than cores
/// help, and phones have eight.
const CALLS_AT_ONCE: usize = 16;

/// A thread without a call ends after this.
const IDLE_THREAD: Duration = Duration::from_secs(2);

/// The threads of one instance.
pub(crate) struct Threads {
    /// Taken when the instance goes: whatever still runs ends by itself, and nobody waits for it.
    runtime: Option<Runtime>,
    turns: Semaphore,
}

impl Threads {
    /// No thread runs before the first call.
    pub(crate) fn new() -> Result<Self, SnapTrakError> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(CALLS_AT_ONCE)
            .thread_keep_alive(IDLE_THREAD)
            .thread_name("snaptrak-call")
            .build()
            .map_err(|_| SnapTrakError::internal("the system gave no threads"))?;
        Ok(Self { runtime: Some(runtime), turns: Semaphore::new(CALLS_AT_ONCE) })
    }

    /// Runs `work` on a thread of the instance.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> Result<T, SnapTrakError> {
        let _turn = self.turns.acquire().await.map_err(|_| SnapTrakError::internal("the instance is gone"))?;
        let runtime = self.runtime.as_ref().ok_or_else(|| SnapTrakError::internal("the instance is gone"))?;
        match runtime.spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => Err(SnapTrakError::internal("the core panicked; this call alone failed")),
            Err(_) => Err(SnapTrakError::internal("the instance was closed before the call began")),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last handle may be dropped on one of these threads, which cannot wait for itself.
            runtime.shutdown_background();
        }
    }
}
