//! Calls that do nothing: what the crossing itself costs, measured beside the SDK's calls in the same run.

use snaptrak_ffi::SnapTrakError;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::runtime::{Builder, Runtime};

/// A handle to nothing.
#[derive(uniffi::Object)]
pub struct BareHandle;

#[uniffi::export]
impl BareHandle {
    /// A new one.
    #[uniffi::constructor]
    pub fn new() -> Result<Arc<Self>, SnapTrakError> {
        Ok(Arc::new(Self))
    }
}

#[uniffi::export]
impl BareHandle {
    /// A number in, a number out.
    pub fn number(&self, number: u64) -> Result<u64, SnapTrakError> {
        Ok(number)
    }
}

/// Threads of every [`Bare`] that have not ended.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn running() -> usize {
    RUNNING.load(Relaxed)
}

/// The threads that a hop goes to.
#[derive(uniffi::Object)]
pub struct Bare(Option<Runtime>);

#[uniffi::export]
impl Bare {
    /// One with threads like those of an instance.
    #[uniffi::constructor]
    pub fn new() -> Result<Arc<Self>, SnapTrakError> {
        let threads = Builder::new_current_thread()
            .max_blocking_threads(16)
            .thread_keep_alive(std::time::Duration::from_secs(2))
            .thread_name("bare-call")
            .on_thread_start(|| {
                RUNNING.fetch_add(1, Relaxed);
            })
            .on_thread_stop(|| {
                RUNNING.fetch_sub(1, Relaxed);
            })
            .build()
            .map_err(|_| no_threads())?;
        Ok(Arc::new(Self(Some(threads))))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// What an app answers instead; an error of this crate, since the generated Kotlin cannot throw another's out of a callback.
#[derive(Debug, uniffi::Error)]
pub enum BareFailure {
    /// It failed.
    Failed {
        /// For a developer.
        detail: String,
    },
}

impl std::fmt::Display for BareFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Failed { detail } = self;
        f.write_str(detail)
    }
}

impl std::error::Error for BareFailure {}

impl From<uniffi::UnexpectedUniFFICallbackError> for BareFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { detail: error.reason }
    }
}

/// What the library asks of an app.
#[uniffi::export(with_foreign)]
pub trait BareCallback: Send + Sync {
    /// Answers bytes like a key store's.
    fn answer(&self, bytes: Vec<u8>) -> Result<Vec<u8>, BareFailure>;
}

/// A number in and out, on another thread.
#[uniffi::export]
pub async fn bare_hop(on: Arc<Bare>, number: u64) -> Result<u64, SnapTrakError> {
    let threads = on.0.as_ref().ok_or_else(no_threads)?;
    threads.spawn_blocking(move || number).await.map_err(|_| no_threads())
}

/// On another thread, and from there to the app and back.
#[uniffi::export]
pub async fn bare_callback(
    on: Arc<Bare>,
    callback: Arc<dyn BareCallback>,
    bytes: Vec<u8>,
) -> Result<Vec<u8>, SnapTrakError> {
    let threads = on.0.as_ref().ok_or_else(no_threads)?;
    let answer = threads.spawn_blocking(move || callback.answer(bytes)).await.map_err(|_| no_threads())?;
    answer.map_err(|BareFailure::Failed { detail }| SnapTrakError::Report { code: "internal".to_owned(), detail })
}

/// Where the bytes lie that were lent: at the app's own address, if nobody copied them.
#[uniffi::export]
pub fn bare_borrow(bytes: &[u8]) -> Result<u64, SnapTrakError> {
    Ok(bytes.as_ptr().addr() as u64)
}

fn no_threads() -> SnapTrakError {
    SnapTrakError::Report { code: "internal".to_owned(), detail: "the system gave no threads".to_owned() }
}
