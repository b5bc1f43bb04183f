//! Performs plans inside this process with reqwest: HTTP/1.1, rustls with ring, TLS 1.2 or later, the platform's roots and
//! those that the organisation configures. Redirects are answers, not followed. Plain HTTP goes to this machine only.
//!
//! All async of the crate is in this folder, on a runtime of one worker that sleeps while nothing is under way. Files are
//! read in chunks of 1 MiB, so that memory does not grow with them. A failure of one transfer is its `Finished` event; the
//! transport itself cannot fail once it is built.

mod body;
mod failure;
mod perform;
mod sink;
mod tls;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::Client;
use snaptrak_domain::transport::{
    Capabilities, Plan, TransferError, TransferEvent, TransferEvents, TransferId, Transport,
};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Reading files for at most the few uploads that a planner starts at once.
const BLOCKING_THREADS_MAX: usize = 4;
/// A blocking thread without work ends after this.
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(5);
/// A connection without work is closed after this: a phone's radio should not be woken for it.
const CONNECTION_IDLE: Duration = Duration::from_secs(30);
/// Connections kept without work.
const CONNECTIONS_IDLE_MAX: usize = 4;
/// A handshake takes seconds even on a bad network; without one for this long there is none.
const CONNECT_TIMEOUT_MS: u64 = 20_000;

/// How the transport is set up.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// Further roots, concatenated PEM; may be empty.
    pub trusted_roots_pem: Vec<u8>,
    /// For a connection with its handshake.
    pub connect_timeout_ms: u64,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self { trusted_roots_pem: Vec::new(), connect_timeout_ms: CONNECT_TIMEOUT_MS }
    }
}

/// Why the transport could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The configured roots are not PEM certificates.
    #[error("the configured roots are not PEM certificates")]
    Roots,
    /// The operating system gave no threads.
    #[error("the transport's thread could not be started")]
    Runtime {
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

/// See the module.
pub struct ReqwestTransport {
    shared: Arc<Shared>,
    /// Taken when dropped, so that its end never blocks.
    runtime: Option<Runtime>,
}

struct Shared {
    settings: TransportSettings,
    roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    // Two clients, built when first used: reading the platform's roots takes time that loopback does not need, and what
    // goes to this machine must not go through a proxy.
    remote: OnceLock<Option<Client>>,
    local: OnceLock<Option<Client>>,
    running: Mutex<HashMap<TransferId, oneshot::Sender<()>>>,
}

impl ReqwestTransport {
    /// Starts the runtime; connects to nothing.
    pub fn new(settings: TransportSettings) -> Result<Self, TransportError> {
        let roots = tls::read_roots(&settings.trusted_roots_pem)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_keep_alive(BLOCKING_THREAD_IDLE)
            .thread_name("snaptrak-sync")
            .enable_all()
            .build()
            .map_err(|source| TransportError::Runtime { source })?;
        let shared = Shared {
            settings,
            roots,
            remote: OnceLock::new(),
            local: OnceLock::new(),
            running: Mutex::new(HashMap::new()),
        };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }
}

impl Drop for ReqwestTransport {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Transport for ReqwestTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { ranges: true, redirect_control: true, bodyless_requests: true }
    }

    fn start(&self, plan: Plan, events: Arc<dyn TransferEvents>) {
        let id = plan.id;
        let Some(runtime) = &self.runtime else {
            events.on_event(TransferEvent::Finished { id, result: Err(TransferError::Cancelled) });
            return;
        };
        let (cancel, cancelled) = oneshot::channel();
        self.shared.running().insert(id, cancel);
        let shared = self.shared.clone();
        runtime.spawn(async move {
            let timeout = Duration::from_millis(plan.timeout_ms);
            let result = tokio::select! {
                result = perform::perform(&shared, plan, events.clone()) => result,
                () = tokio::time::sleep(timeout) => Err(TransferError::TimedOut),
                // A sender that is dropped without a word means that the id was taken by another transfer: that one ends.
                _ = cancelled => Err(TransferError::Cancelled),
            };
            shared.running().remove(&id);
            events.on_event(TransferEvent::Finished { id, result });
        });
    }

    fn cancel(&self, id: TransferId) {
        if let Some(cancel) = self.shared.running().remove(&id) {
            // A transfer that has just ended does not listen any more.
            let _ = cancel.send(());
        }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<TransferId, oneshot::Sender<()>>> {
        // Insertions and removals leave the map whole whatever happens between them.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client for this machine or for everything else.
    fn client(&self, local: bool) -> Result<Client, TransferError> {
        let slot = if local { &self.local } else { &self.remote };
        slot.get_or_init(|| self.build(local)).clone().ok_or(TransferError::Tls)
    }

    fn build(&self, local: bool) -> Option<Client> {
        let tls = tls::configuration(&self.roots, local)?;
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("snaptrak-sdk/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(Duration::from_millis(self.settings.connect_timeout_ms))
            .pool_idle_timeout(CONNECTION_IDLE)
            .pool_max_idle_per_host(CONNECTIONS_IDLE_MAX);
        let builder = if local {
            // The name must not be resolved to anything else than this machine.
            let loopback = [([127, 0, 0, 1], 0).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()];
            builder.no_proxy().resolve_to_addrs("localhost", &loopback)
        } else {
            builder.https_only(true)
        };
        match builder.build() {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::error!(%error, "the HTTP client could not be built");
                None
            }
        }
    }
}
