//! Events without commits, at a steady rate, and what the process spends on telling them.

use crate::bare;
use rustix::time::{ClockId, clock_gettime};
use snaptrak::{AssetId, AssetState, CaptureId, EventKind, Rendition, StoreEvent};
use snaptrak_ffi::{SnapTrak, SnapTrakError, window};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// As many as a busy store commits together.
const TOGETHER: u64 = 8;

/// An asynchronous call of the SDK that does nothing: what each of them costs at least.
#[uniffi::export]
pub async fn idle(instance: Arc<SnapTrak>) -> Result<(), SnapTrakError> {
    window::idle(&instance).await
}

/// Threads that wait for calls of instances or of their peer, and have not ended.
#[uniffi::export]
pub fn call_threads() -> Result<u64, SnapTrakError> {
    Ok((window::call_threads() + bare::running()) as u64)
}

/// Processor time that this process has had, in nanoseconds.
#[uniffi::export]
pub fn processor_time() -> Result<u64, SnapTrakError> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(u64::try_from(Duration::try_from(time).map_or(0, |time| time.as_nanos())).unwrap_or(u64::MAX))
}

/// Tells watchers of `events` events of as many assets, `per_second` a second, eight together, as commits would. Nothing is written.
#[uniffi::export]
pub async fn rehearse(instance: Arc<SnapTrak>, events: u64, per_second: u64) -> Result<(), SnapTrakError> {
    let (tell, told) = oneshot::channel();
    let pace = Duration::from_secs(TOGETHER) / u32::try_from(per_second.max(1)).unwrap_or(u32::MAX);
    #[expect(clippy::disallowed_methods, reason = "a pace is what is rehearsed, and nothing is asserted of it")]
    std::thread::spawn(move || {
        let mut next = Instant::now();
        for first in (0..events).step_by(TOGETHER as usize) {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += pace;
            window::rehearse(&instance, (first..events.min(first + TOGETHER)).map(event).collect());
        }
        // Nobody waits any more: the caller was cancelled.
        let _ = tell.send(());
    });
    told.await.map_err(|_| SnapTrakError::Report {
        code: "internal".to_owned(),
        detail: "the rehearsal broke off".to_owned(),
    })
}

fn event(number: u64) -> StoreEvent {
    let mut id = [0_u8; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    StoreEvent {
        kind: EventKind::StateChanged,
        capture_id: CaptureId::from_bytes(id),
        asset_id: AssetId::from_bytes(id),
        rendition: Rendition::Original,
        state: AssetState::Sending,
    }
}
