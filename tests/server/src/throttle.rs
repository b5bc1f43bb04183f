//! Slows down guessing of passwords: after a few failures an address of an account answers only after a growing pause.
//!
//! Pure: time is an argument. It lives in memory, so a restart forgives; the bound on entries forgives the oldest.

use snaptrak_domain::UnixMs;
use std::collections::HashMap;

/// Failures without a pause: people mistype.
const FREE_FAILURES: u32 = 5;

/// First pause; doubles with each further failure.
const FIRST_PAUSE_MS: i64 = 1_000;

/// A guesser gets four tries an hour; the owner who mistyped ten times waits a quarter of one.
const LONGEST_PAUSE_MS: i64 = 15 * 60 * 1_000;

/// Without failures for this long an entry is forgotten.
const FORGOTTEN_AFTER_MS: i64 = 60 * 60 * 1_000;

/// Entries of 48 bytes: half a megabyte. An attacker who names more addresses pushes out the oldest.
const ENTRIES_MAX: usize = 10_000;

#[derive(Clone, Copy)]
struct Entry {
    failures: u32,
    last_ms: i64,
}

/// Failures by account.
#[derive(Default)]
pub(crate) struct Throttle {
    entries: HashMap<[u8; 32], Entry>,
}

impl Throttle {
    /// How long this account must wait; `None` where it may try.
    pub(crate) fn pause_ms(&self, account: &[u8; 32], now: UnixMs) -> Option<i64> {
        let entry = self.entries.get(account)?;
        let beyond = entry.failures.checked_sub(FREE_FAILURES)?;
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << beyond.min(30)).min(LONGEST_PAUSE_MS);
        Some(entry.last_ms + pause - now.0).filter(|left| *left > 0)
    }

    /// Counts a failure.
    pub(crate) fn failed(&mut self, account: [u8; 32], now: UnixMs) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&account) {
            self.entries.retain(|_, entry| now.0 - entry.last_ms < FORGOTTEN_AFTER_MS);
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_ms).map(|(account, _)| *account);
            if let Some(oldest) = oldest.filter(|_| self.entries.len() >= ENTRIES_MAX) {
                self.entries.remove(&oldest);
            }
        }
        let entry = self.entries.entry(account).or_insert(Entry { failures: 0, last_ms: now.0 });
        let forgotten = now.0 - entry.last_ms >= FORGOTTEN_AFTER_MS;
        entry.failures = if forgotten { 1 } else { entry.failures.saturating_add(1) };
        entry.last_ms = now.0;
    }

    /// Forgets the failures of an account whose owner has signed in.
    pub(crate) fn succeeded(&mut self, account: &[u8; 32]) {
        self.entries.remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_success_forgives() {
        let mut throttle = Throttle::default();
        let account = [1; 32];
        for _ in 0..FREE_FAILURES - 1 {
            throttle.failed(account, UnixMs(0));
        }
        assert_eq!(throttle.pause_ms(&account, UnixMs(0)), None);
        throttle.failed(account, UnixMs(0));
        assert_eq!(throttle.pause_ms(&account, UnixMs(0)), Some(1_000));
        throttle.failed(account, UnixMs(1_000));
        assert_eq!(throttle.pause_ms(&account, UnixMs(1_000)), Some(2_000));
        assert_eq!(throttle.pause_ms(&account, UnixMs(3_000)), None);
        for _ in 0..100 {
            throttle.failed(account, UnixMs(3_000));
        }
        assert_eq!(throttle.pause_ms(&account, UnixMs(3_000)), Some(LONGEST_PAUSE_MS));
        assert_eq!(throttle.pause_ms(&[2; 32], UnixMs(3_000)), None);
        throttle.succeeded(&account);
        assert_eq!(throttle.pause_ms(&account, UnixMs(3_000)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for count in 0..ENTRIES_MAX as u64 + 50 {
            let mut account = [0; 32];
            account[..8].copy_from_slice(&count.to_be_bytes());
            throttle.failed(account, UnixMs(count as i64));
        }
        assert_eq!(throttle.entries.len(), ENTRIES_MAX);
    }
}
