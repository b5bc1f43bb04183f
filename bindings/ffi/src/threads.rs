//! Where work of an instance runs: threads that block, since the core does, and that end when nothing is to be done.
//!
//! A call waits for its turn until one of those that run has ended, its token is cancelled or the instance is shut down. Its future
//! may be polled by anyone and dropped at any time: what was begun runs to its end on its thread, and keeps its turn until then,
//! unless it can be broken off. A panic of the core ends its call with an error; the thread and the instance go on.

use crate::{SnapTrakError, cancellation::Waiting};
use snaptrak::{CancelToken, ErrorCode};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        self.run_until(CancelToken::new(), work)
    }

    /// The same for work that can be broken off: a cancelled token ends the wait for a turn too.
    pub(crate) fn run_until<T: Send + 'static>(
        &self,
        cancel: CancelToken,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        let (task, answer) = task(work);
        answered(self.with_turn(cancel, None, task), answer)
    }

    /// The same for work that ends when nobody waits for its answer: `waiting` goes with the future.
    pub(crate) fn run_while<T: Send + 'static>(
        &self,
        waiting: Waiting,
        work: impl FnOnce(&CancelToken) -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        let token = waiting.token();
        let (task, answer) = task(move || work(&token));
        answered(self.with_turn(waiting.token(), Some(waiting), task), answer)
    }

    /// Refuses every other call from now on, those that wait for a turn too, and runs `work`, which ends those that run.
    pub(crate) fn run_last<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        self.turns.close();
        let (task, answer) = task(work);
        answered(Box::pin(self.begin(task)), answer)
    }

    /// One kind of future for every call, as there is one kind of task: each kind would be some kilobytes of the library.
    fn with_turn(&self, cancel: CancelToken, waiting: Option<Waiting>, work: Task) -> Done<'_> {
        Box::pin(async move {
            let mut waiting = waiting;
            let done = match self.turn(&cancel).await {
                Err(error) => Err(error),
                Ok(turn) => {
                    let with_turn = move || {
                        let _turn = turn;
                        work();
                    };
                    self.begin(Box::new(with_turn)).await
                }
            };
            if let Some(waiting) = &mut waiting {
                waiting.answered();
            }
            done
        })
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

    async fn begin(&self, work: Task) -> Result<(), SnapTrakError> {
        let runtime = self.runtime.as_ref().ok_or_else(shut_down)?;
        match runtime.spawn_blocking(work).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_panic() => Err(panicked()),
            Err(_) => Err(shut_down()),
        }
    }
}

/// What runs on a thread; it keeps its answer where its caller looks for it.
type Task = Box<dyn FnOnce() + Send>;
/// A task that will have ended.
type Done<'a> = Pin<Box<dyn Future<Output = Result<(), SnapTrakError>> + Send + 'a>>;

/// Where a task's caller looks for its answer.
type Answer<T> = Arc<Mutex<Option<Result<T, SnapTrakError>>>>;

fn task<T: Send + 'static>(work: impl FnOnce() -> Result<T, SnapTrakError> + Send + 'static) -> (Task, Answer<T>) {
    let answer = Answer::default();
    let kept = Arc::clone(&answer);
    (Box::new(move || *answer_in(&kept) = Some(work())), answer)
}

/// What a task answered, once it is done.
async fn answered<T>(done: Done<'_>, answer: Answer<T>) -> Result<T, SnapTrakError> {
    done.await?;
    answer_in(&answer).take().unwrap_or_else(|| Err(panicked()))
}

fn answer_in<T>(answer: &Mutex<T>) -> MutexGuard<'_, T> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut waiting = pin!(threads.run_until(cancel.clone(), || Ok(())));
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
