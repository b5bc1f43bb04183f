//! Time as an argument. Wall time can jump, monotonic time cannot, and neither crosses a reboot: what must survive both is
//! written down as (boot id, monotonic milliseconds).

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z by the device's own clock, which may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

/// Milliseconds since the device booted, counting sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MonotonicMs(pub i64);

/// Names one run of the operating system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// A point in time that neither a reboot nor a clock change can strand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instant {
    /// The run of the operating system.
    pub boot_id: BootId,
    /// Monotonic milliseconds within it.
    pub monotonic_ms: MonotonicMs,
}

impl Instant {
    /// Whether `self`, a moment written down earlier, has been reached at `now`. A reboot since then counts as reached.
    pub fn reached(&self, now: &Instant) -> bool {
        self.boot_id != now.boot_id || self.monotonic_ms <= now.monotonic_ms
    }
}

/// Wall time together with where the device believed itself to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallTime {
    /// The instant.
    pub unix_ms: UnixMs,
    /// Offset of local time from UTC, minutes east.
    pub offset_minutes: i32,
    /// IANA zone name, if the platform tells one.
    pub zone: Option<String>,
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Wall time now.
    fn wall(&self) -> WallTime;
    /// Monotonic time of this boot now.
    fn monotonic(&self) -> MonotonicMs;
    /// This boot.
    fn boot_id(&self) -> BootId;

    /// Wall time in milliseconds now.
    fn now(&self) -> UnixMs {
        self.wall().unix_ms
    }
    /// (boot, monotonic) now.
    fn instant(&self) -> Instant {
        Instant { boot_id: self.boot_id(), monotonic_ms: self.monotonic() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: &str, monotonic_ms: i64) -> Instant {
        Instant { boot_id: BootId(boot.into()), monotonic_ms: MonotonicMs(monotonic_ms) }
    }

    #[test]
    fn a_reboot_strands_nothing() {
        assert!(!at("a", 100).reached(&at("a", 99)));
        assert!(at("a", 100).reached(&at("a", 100)));
        assert!(at("a", 100_000).reached(&at("b", 1)));
    }
}
