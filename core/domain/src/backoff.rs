//! How long to wait after a failure: doubling, capped, with full jitter; a server's Retry-After is a lower bound.

use crate::{
    UnixMs,
    limits::{BACKOFF_CAP_MS, BACKOFF_FIRST_MS},
};

/// Milliseconds to wait after the `failures`-th failure in a row (from 1). `jitter` is uniform in 0..=65535.
pub fn delay_ms(failures: u32, retry_after_ms: Option<i64>, jitter: u16) -> i64 {
    // 2^22 seconds is far beyond the cap, so the shift cannot overflow.
    let doublings = failures.saturating_sub(1).min(22);
    let ceiling_ms = (BACKOFF_FIRST_MS << doublings).min(BACKOFF_CAP_MS);
    let jittered_ms = ceiling_ms * i64::from(jitter) / i64::from(u16::MAX);
    retry_after_ms.unwrap_or(0).clamp(0, BACKOFF_CAP_MS).max(jittered_ms)
}

/// Whether a delay that ends at `until` is over at `now`. One that ends later than the longest delay can was written while the
/// wall clock ran ahead: nothing waits for the rest of it.
pub fn is_over(until: UnixMs, now: UnixMs, longest_ms: i64) -> bool {
    until <= now || until.0 > now.0.saturating_add(longest_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_that_no_one_could_have_set_is_over() {
        let over = |until| is_over(UnixMs(until), UnixMs(1_000), 500);
        assert_eq!([999, 1_000, 1_001, 1_500, 1_501].map(over), [true, true, false, false, true]);
        assert!(!is_over(UnixMs(i64::MAX), UnixMs(i64::MAX - 1), 500));
    }

    #[test]
    fn doubles_to_the_cap_and_honours_the_server() {
        assert_eq!(delay_ms(1, None, u16::MAX), 1_000);
        assert_eq!(delay_ms(4, None, u16::MAX), 8_000);
        assert_eq!(delay_ms(u32::MAX, None, u16::MAX), BACKOFF_CAP_MS);
        assert_eq!(delay_ms(1, None, 0), 0);
        assert_eq!(delay_ms(1, Some(30_000), 0), 30_000);
        assert_eq!(delay_ms(1, Some(i64::MAX), 0), BACKOFF_CAP_MS);
    }
}
