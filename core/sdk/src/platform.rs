//! What the SDK asks of the machine it runs on. This is the one room of the core where the real clock and the real source
//! of chance are named; everything else gets them as arguments.

use rustix::time::{ClockId, clock_gettime};
use snaptrak_domain::{
    BootId, Clock, Disk, KeyStore, MonotonicMs, Random, RandomError, Signer, TokenProvider, UnixMs, WallTime,
};
use snaptrak_store::SystemDisk;
use std::sync::Arc;

/// The parts of the platform that an instance works with. A test gives fakes, an app gives its own key store.
#[derive(Clone)]
pub struct Platform {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Wraps the keyset.
    pub key_store: Arc<dyn KeyStore>,
    /// Signs receipts; without one the keyset's software key does.
    pub signer: Option<Arc<dyn Signer>>,
    /// Gives access tokens to [`SnapTrak::enrol`](crate::SnapTrak::enrol) and all that follows it, for an app that signs its people
    /// in itself.
    pub token_provider: Option<Arc<dyn TokenProvider>>,
    /// Says how much room is left.
    pub disk: Arc<dyn Disk>,
}

impl Platform {
    /// The operating system's clock, randomness and disk beside the app's key store.
    pub fn system(key_store: Arc<dyn KeyStore>) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            key_store,
            signer: None,
            token_provider: None,
            disk: Arc::new(SystemDisk),
        }
    }
}

/// The operating system's clocks.
pub struct SystemClock {
    boot_id: BootId,
}

impl SystemClock {
    /// Reads the boot id once.
    pub fn new() -> Self {
        Self { boot_id: read_boot_id() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Linux and Android name each boot; elsewhere the wall time of the boot, to the minute, has to do: a clock that jumps makes
/// it a new boot, which only ends leases early.
fn read_boot_id() -> BootId {
    if let Ok(text) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        return BootId(text.trim().to_owned());
    }
    let booted_ms = wall_ms() - monotonic_ms();
    BootId(format!("booted-{}", booted_ms / 60_000))
}

#[expect(clippy::disallowed_methods, reason = "this is where wall time enters the core")]
fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is wrong by decades; zero says so more plainly than a negative number.
    since.map_or(0, |duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

fn monotonic_ms() -> i64 {
    // Boot time counts sleep, which a lease must outlast; other systems call the same thing monotonic.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Milliseconds of a clock that only goes forward, finer than a lease needs: for the timings of findings.
pub(crate) fn stopwatch_ms() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// What the kernel says of itself: the drivers come with it, or at least change when it does.
pub(crate) fn device_build() -> String {
    let names = rustix::system::uname();
    let parts = [names.sysname(), names.release(), names.version(), names.machine()];
    parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
}

impl Clock for SystemClock {
    fn wall(&self) -> WallTime {
        // The zone is the app's to know; the core runs in UTC unless a platform clock says otherwise.
        WallTime { unix_ms: UnixMs(wall_ms()), offset_minutes: 0, zone: None }
    }

    fn monotonic(&self) -> MonotonicMs {
        MonotonicMs(monotonic_ms())
    }

    fn boot_id(&self) -> BootId {
        self.boot_id.clone()
    }
}

/// The operating system's randomness.
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is where chance enters the core")]
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|_| RandomError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_goes_on_and_the_boot_keeps_its_name() {
        let clock = SystemClock::new();
        let first = clock.monotonic();
        assert!(first.0 > 0);
        assert!(clock.monotonic() >= first);
        assert_eq!(clock.boot_id(), SystemClock::new().boot_id());
    }
}
