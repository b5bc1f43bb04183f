//! Waiting for what another process does. The one place where this crate sleeps.

use std::time::{Duration, Instant};

/// A process that has not done in this time what it was to do will not do it: far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `is_so`; false when patience ends.
#[expect(clippy::disallowed_methods, reason = "another process gives no other sign than what can be seen from outside")]
pub fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if is_so() {
            return true;
        }
        std::thread::sleep(PAUSE);
    }
    is_so()
}
