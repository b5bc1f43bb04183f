//! What tests look through, and no app: nothing of it is exported.

use crate::{SnapTrak, SnapTrakError, threads};
use snaptrak::StoreEvent;

/// Takes the way of every asynchronous call, to a thread of the instance and back, and does nothing there.
pub async fn idle(instance: &SnapTrak) -> Result<(), SnapTrakError> {
    instance.run(|_| Ok(())).await
}

/// Tells watchers of `events` as a commit would.
pub fn rehearse(instance: &SnapTrak, events: Vec<StoreEvent>) {
    instance.core().rehearse(events);
}

/// Threads of instances that have not ended.
pub fn call_threads() -> usize {
    threads::running()
}
