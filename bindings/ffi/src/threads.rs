//! Where work of an instance runs: threads that block, since the core does, and that end when nothing is to be done.
//!
//! A call waits for its turn until one of those that run has ended, its token is cancelled or the instance is shut down. Its future
//! may be polled by anyone and dropped at any time: what was begun runs to its end on its thread, and keeps its turn until then,
//! unless it can be broken off. A panic of the core ends its call with an error; the thread and the instance go on.

use crate::SnapTrakError;
use snaptrak::{CancelToken, ErrorCode};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
};

/// Calls of one instance that run at once; more wait for their turn. Captures share their syncs, so that more threads than cores
/// help, and phones have eight.
const CALLS_AT_ONCE: usize = 16;

/// The shutdown waits for no turn: it is what ends calls that do not end by themselves.
const SHUTDOWN_THREADS: usize = 1;

/// A thread without a call ends after this.
const IDLE_THREAD: Duration = Duration::from_secs(2);

/// Threads of every instance that have not ended. The system's list does not tell: a thread that an app begins from one of them
/// inherits its name.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many threads of instances there are.
pub(crate) fn running() -> usize {
    RUNNING.load(Ordering::Relaxed)
}

/// Whether an instance was shut down, for what may outlive it.
pub(crate) struct Ended(Arc<Semaphore>);

impl Ended {
    /// Refuses what comes after the shutdown.
    pub(crate) fn go_on(&self) -> Result<(), SnapTrakError> {
        if self.0.is_closed() { Err(shut_down()) } else { Ok(()) }
    }
}

/// The threads of one instance.
pub(crate) struct Threads {
    /// Taken when the instance goes: whatever still runs ends by itself, and nobody waits for it.
    runtime: Option<Runtime>,
    /// Closed by the shutdown.
    turns: Arc<Semaphore>,
}

impl Threads {
    /// No thread runs before the first call.
    pub(crate) fn new() -> Result<Self, SnapTrakError> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(CALLS_AT_ONCE + SHUTDOWN_THREADS)
            .thread_keep_alive(IDLE_THREAD)
            .thread_name("snaptrak-call")
            .on_thread_start(|| {
                RUNNING.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(|| {
                RUNNING.fetch_sub(1, Ordering::Relaxed);
            })
            .build()
            .map_err(|_| SnapTrakError::internal("the system gave no threads"))?;
        Ok(Self { runtime: Some(runtime), turns: Arc::new(Semaphore::new(CALLS_AT_ONCE)) })
    }

    /// For what may outlive the instance.
    pub(crate) fn ended(&self) -> Ended {
        Ended(Arc::clone(&self.turns))
    }

    /// Runs `work` on a thread of the instance, once it has a turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> Result<T, SnapTrakError> {
        self.run_until(&CancelToken::new(), work).await
    }

    /// The same for work that can be broken off: a cancelled token ends the wait for a turn too.
    pub(crate) async fn run_until<T: Send + 'static>(
        &self,
        cancel: &CancelToken,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> Result<T, SnapTrakError> {
        let turn = self.turn(cancel).await?;
        let with_turn = move || {
            let _turn = turn;
            work()
        };
        self.on_a_thread(with_turn).await
    }

    /// Refuses every other call from now on, those that wait for a turn too, and runs `work`, which ends those that run.
    pub(crate) async fn run_last<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> Result<T, SnapTrakError> {
        self.turns.close();
        self.on_a_thread(work).await
    }

    async fn turn(&self, cancel: &CancelToken) -> Result<OwnedSemaphorePermit, SnapTrakError> {
        let cancelled = Arc::new(Notify::new());
        let waking = Arc::clone(&cancelled);
        let _woken = cancel.on_cancel(move || waking.notify_one());
        tokio::select! {
            // A call that has its turn says itself what became of it.
            biased;
            turn = Arc::clone(&self.turns).acquire_owned() => turn.map_err(|_| shut_down()),
            () = cancelled.notified() => {
                Err(SnapTrakError::new(ErrorCode::Cancelled, "the call was broken off before its turn"))
            }
        }
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> Result<T, SnapTrakError> {
        let answer = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&answer);
        self.begin(Box::new(move || keep(&kept, work()))).await?;
        let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.take().unwrap_or_else(|| Err(panicked()))
    }

    /// One kind of task for every call: a kind for each would be three kilobytes of the library for each.
    async fn begin(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), SnapTrakError> {
        let runtime = self.runtime.as_ref().ok_or_else(shut_down)?;
        match runtime.spawn_blocking(work).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_panic() => Err(panicked()),
            Err(_) => Err(shut_down()),
        }
    }
}

fn keep<T>(answer: &Mutex<Option<T>>, value: T) {
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
}

/// Runs `work` on the caller's thread. A panic of the core ends the call with the same error as on a thread of the instance.
pub(crate) fn here<T>(work: impl FnOnce() -> Result<T, SnapTrakError>) -> Result<T, SnapTrakError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> SnapTrakError {
    SnapTrakError::internal("the core panicked; this call alone failed")
}

fn shut_down() -> SnapTrakError {
    SnapTrakError::new(ErrorCode::Cancelled, "the instance was shut down")
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last handle may be dropped on one of these threads, which cannot wait for itself.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    fn code<T>(result: Result<T, SnapTrakError>) -> String {
        let said = result.err().unwrap().to_string();
        said.split(':').next().unwrap().to_owned()
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn a_panic_is_an_error_on_every_thread() {
        let threads = Threads::new().unwrap();
        assert_eq!(code::<()>(block_on(threads.run(|| panic!("on a thread")))), "internal");
        assert_eq!(code::<()>(here(|| panic!("here"))), "internal");
        assert_eq!(block_on(threads.run(|| Ok(7))).unwrap(), 7);
    }

    /// As many calls as run at once, each until its sender is dropped.
    fn fill(threads: &Threads) -> Vec<mpsc::Sender<()>> {
        let begin = |_| {
            let (running, until_then) = mpsc::channel::<()>();
            let mut call = pin!(threads.run(move || {
                let _ = until_then.recv();
                Ok(())
            }));
            let begun = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(begun.is_pending());
            running
        };
        (0..CALLS_AT_ONCE).map(begin).collect()
    }

    #[test]
    fn a_call_that_nobody_waits_for_keeps_its_turn_and_a_token_ends_the_wait_for_one() {
        let threads = Threads::new().unwrap();
        let running = fill(&threads);
        let cancel = CancelToken::new();
        let mut waiting = pin!(threads.run_until(&cancel, || Ok(())));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        cancel.cancel();
        let Poll::Ready(told) = waiting.as_mut().poll(&mut context) else { panic!("it still waits") };
        assert_eq!(code(told), "cancelled");
        drop(running);
        block_on(threads.run(|| Ok(()))).unwrap();
    }

    #[test]
    fn what_outlives_the_threads_is_refused_after_the_shutdown() {
        let threads = Threads::new().unwrap();
        let ended = threads.ended();
        ended.go_on().unwrap();
        block_on(threads.run_last(|| Ok(()))).unwrap();
        drop(threads);
        assert_eq!(code(ended.go_on()), "cancelled");
    }

    #[test]
    fn the_shutdown_waits_for_no_turn_and_refuses_who_does() {
        let threads = Threads::new().unwrap();
        let running = fill(&threads);
        let mut waiting = pin!(threads.run(|| Ok(())));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        block_on(threads.run_last(|| Ok(()))).unwrap();
        assert_eq!(code(block_on(waiting)), "cancelled");
        assert_eq!(code(block_on(threads.run(|| Ok(())))), "cancelled");
        block_on(threads.run_last(|| Ok(()))).unwrap();
        drop(running);
    }
}
