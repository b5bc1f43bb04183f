//! Watching: what happens to captures, how the queue stands, what is found.
//!
//! Who waits here holds no thread: the future is woken by whoever wrote. A state is read on a thread of the instance. The languages
//! make sequences of these objects, and stop one where cancelling a task does not reach the library (Swift).

use crate::{AssetState, EventKind, Finding, Rendition, SnapTrak, SnapTrakError, ids, threads};
use snaptrak::ErrorCode;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Semaphore;

/// One thing that happened, after it was durable. Says nothing of what a capture contains.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct StoreEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which capture, a UUID.
    pub capture_id: String,
    /// To which asset of it, a UUID.
    pub asset_id: String,
    /// Which rendition that is. A capture's state is its original's.
    pub rendition: Rendition,
    /// Where the asset stands now; `Cancelled` of one that is gone.
    pub state: AssetState,
}

/// What has happened since the last batch. An asset is in it once, with its newest state; its findings and its annotations
/// are events of their own.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct EventBatch {
    /// In the order in which they first happened.
    pub events: Vec<StoreEvent>,
    /// Look again at what you show: more happened before these events than was kept.
    pub missed: bool,
}

/// How the queue stands.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct QueueHealth {
    /// Captures by the word of their state; every state is there.
    pub by_state: HashMap<String, u64>,
    /// Captures that are still on their way.
    pub waiting: u64,
    /// Sealed bytes of theirs that the server does not hold yet.
    pub waiting_bytes: u64,
    /// When the oldest of them was captured, Unix time in milliseconds.
    pub oldest_ms: Option<i64>,
    /// When something that failed is tried again by itself, Unix time in milliseconds.
    pub next_try_ms: Option<i64>,
    /// What holds up everything, a reason code: nobody has enrolled, or what the last sync ran into.
    pub blocked_by: Option<String>,
}

impl From<snaptrak::Batch> for EventBatch {
    fn from(batch: snaptrak::Batch) -> Self {
        Self { events: batch.events.into_iter().map(Into::into).collect(), missed: batch.missed }
    }
}

impl From<snaptrak::StoreEvent> for StoreEvent {
    fn from(event: snaptrak::StoreEvent) -> Self {
        Self {
            kind: event.kind.into(),
            capture_id: event.capture_id.to_string(),
            asset_id: event.asset_id.to_string(),
            rendition: event.rendition.into(),
            state: event.state.into(),
        }
    }
}

impl From<snaptrak::QueueHealth> for QueueHealth {
    fn from(health: snaptrak::QueueHealth) -> Self {
        Self {
            by_state: health.by_state.into_iter().map(|(state, captures)| (state.to_owned(), captures)).collect(),
            waiting: health.waiting,
            waiting_bytes: health.waiting_bytes,
            oldest_ms: health.oldest.map(|oldest| oldest.0),
            next_try_ms: health.next_try.map(|next_try| next_try.0),
            blocked_by: health.blocked_by.map(|code| code.as_str().to_owned()),
        }
    }
}

/// Says to those who wait that they shall wait no longer.
struct Stop(Semaphore);

impl Stop {
    fn new() -> Self {
        Self(Semaphore::new(0))
    }

    /// What `work` gives; nothing once it was stopped.
    async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            // There is nothing to acquire: it ends when the semaphore is closed.
            _ = self.0.acquire() => None,
            given = work => Some(given),
        }
    }

    fn now(&self) -> Result<(), SnapTrakError> {
        threads::here(|| {
            self.0.close();
            Ok(())
        })
    }
}

/// Tells what happens to captures, until it is dropped. It keeps no store open.
#[derive(uniffi::Object)]
pub struct EventWatcher {
    core: snaptrak::Watcher,
    stop: Stop,
}

/// Tells how the queue stands, until it is dropped.
#[derive(uniffi::Object)]
pub struct QueueWatcher {
    instance: Arc<SnapTrak>,
    core: Arc<snaptrak::QueueWatcher>,
    stop: Stop,
}

/// Tells what was found in one capture, until it is dropped.
#[derive(uniffi::Object)]
pub struct FindingsWatcher {
    instance: Arc<SnapTrak>,
    core: Arc<snaptrak::FindingsWatcher>,
    stop: Stop,
}

#[uniffi::export]
impl SnapTrak {
    /// Watches what happens to captures, from now on. Look at what is there after this call: nothing is missed between the two.
    pub fn watch_events(&self) -> Result<Arc<EventWatcher>, SnapTrakError> {
        threads::here(|| Ok(Arc::new(EventWatcher { core: self.core().watch()?, stop: Stop::new() })))
    }

    /// Watches how the queue stands, beginning with how it stands now.
    pub fn watch_queue(self: Arc<Self>) -> Result<Arc<QueueWatcher>, SnapTrakError> {
        threads::here(|| {
            let core = Arc::new(self.core().watch_queue()?);
            Ok(Arc::new(QueueWatcher { instance: self, core, stop: Stop::new() }))
        })
    }

    /// Watches the findings of a capture, beginning with those that are there.
    pub async fn watch_findings(self: Arc<Self>, id: String) -> Result<Arc<FindingsWatcher>, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        let core = Arc::new(self.run(move |core| Ok(core.watch_findings(id)?)).await?);
        Ok(Arc::new(FindingsWatcher { instance: self, core, stop: Stop::new() }))
    }

    /// How the queue stands: few numbers, of one moment.
    pub async fn queue_health(&self) -> Result<QueueHealth, SnapTrakError> {
        self.run(|core| Ok(core.queue_health()?.into())).await
    }
}

#[uniffi::export]
impl EventWatcher {
    /// What has happened since the last batch, as soon as there is something; nothing: the store was shut down and everything was
    /// told, or it was stopped.
    pub async fn next(&self) -> Result<Option<EventBatch>, SnapTrakError> {
        Ok(self.stop.or(self.core.next()).await.flatten().map(Into::into))
    }

    /// Ends `next`, of which there may be one that waits. Twice is no error.
    pub fn stop(&self) -> Result<(), SnapTrakError> {
        self.stop.now()
    }
}

#[uniffi::export]
impl QueueWatcher {
    /// How the queue stands, as soon as that is not what was told last; nothing: the store was shut down, or it was stopped.
    pub async fn next(&self) -> Result<Option<QueueHealth>, SnapTrakError> {
        while self.stop.or(self.core.changed()).await == Some(true) {
            let core = Arc::clone(&self.core);
            if let Some(health) = of_an_open_store(self.instance.run(move |_| Ok(core.read()?)).await)? {
                return Ok(Some(health.into()));
            }
        }
        Ok(None)
    }

    /// Ends `next`, of which there may be one that waits. Twice is no error.
    pub fn stop(&self) -> Result<(), SnapTrakError> {
        self.stop.now()
    }
}

#[uniffi::export]
impl FindingsWatcher {
    /// The findings of the capture, as soon as they are not what was told last; nothing: the store was shut down, or it was stopped.
    pub async fn next(&self) -> Result<Option<Vec<Finding>>, SnapTrakError> {
        while self.stop.or(self.core.changed()).await == Some(true) {
            let core = Arc::clone(&self.core);
            if let Some(findings) = of_an_open_store(self.instance.run(move |_| Ok(core.read()?)).await)? {
                return Ok(Some(findings.into_iter().map(Into::into).collect()));
            }
        }
        Ok(None)
    }

    /// Ends `next`, of which there may be one that waits. Twice is no error.
    pub fn stop(&self) -> Result<(), SnapTrakError> {
        self.stop.now()
    }
}

/// Shut down while it was to be read: the next look says that it was the end.
fn of_an_open_store<T>(read: Result<Option<T>, SnapTrakError>) -> Result<Option<T>, SnapTrakError> {
    match read {
        Err(SnapTrakError::Refused { code, .. }) if code == ErrorCode::Cancelled.as_str() => Ok(None),
        other => other,
    }
}
