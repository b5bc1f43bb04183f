//! Where time and chance enter the server; everything else takes them as arguments.

use snaptrak_domain::{Random, RandomError, UnixMs};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time in milliseconds. Tests of expiry give one that they move by hand.
pub type TimeSource = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_time() -> TimeSource {
    Arc::new(|| {
        #[expect(clippy::disallowed_methods, reason = "the server's own edge: the one place that asks for the time")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        #[expect(clippy::disallowed_methods, reason = "the server's own edge: the one place that asks for chance")]
        getrandom::fill(buffer).map_err(|_| RandomError)
    }
}
