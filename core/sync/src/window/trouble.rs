//! Tells one item's trouble from the server's. Two answers of "not now" in a row, without a success between them, are the
//! server's; then nothing new is begun until it is over, so that a hundred items do not knock a hundred times.

use snaptrak_domain::{MonotonicMs, backoff};

/// Troubles in a row from which on a stated Retry-After holds for all.
const STATED_FROM: u32 = 2;
/// Troubles in a row from which on we slow down by ourselves.
const UNSTATED_FROM: u32 = 4;

/// Whether the server as a whole is in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trouble {
    in_a_row: u32,
    until: Option<MonotonicMs>,
}

impl Trouble {
    /// Something succeeded.
    pub(super) fn over(&mut self) {
        self.in_a_row = 0;
    }

    /// The server said "not now".
    pub(super) fn happened(&mut self, now: MonotonicMs, retry_after_ms: Option<i64>, jitter: u16) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let stated_ms = retry_after_ms.filter(|_| self.in_a_row >= STATED_FROM);
        let own_ms = (self.in_a_row >= UNSTATED_FROM)
            .then(|| backoff::delay_ms(self.in_a_row + 1 - UNSTATED_FROM, None, jitter));
        let Some(delay_ms) = stated_ms.max(own_ms) else { return };
        let until = MonotonicMs(now.0.saturating_add(delay_ms));
        self.until = self.until.max(Some(until));
    }

    /// Milliseconds for which nothing new should be begun.
    pub(super) fn pause_ms(&self, now: MonotonicMs) -> i64 {
        self.until.map_or(0, |until| until.0.saturating_sub(now.0).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonotonicMs = MonotonicMs(1_000);

    #[test]
    fn one_items_trouble_stops_nobody() {
        let mut trouble = Trouble::default();
        for _ in 0..100 {
            trouble.happened(NOW, Some(60_000), u16::MAX);
            trouble.over();
        }
        assert_eq!(trouble.pause_ms(NOW), 0);
    }

    #[test]
    fn a_server_that_says_not_now_twice_is_left_alone() {
        let mut trouble = Trouble::default();
        trouble.happened(NOW, Some(60_000), 0);
        trouble.happened(NOW, Some(60_000), 0);
        assert_eq!(trouble.pause_ms(NOW), 60_000);
        assert_eq!(trouble.pause_ms(MonotonicMs(61_000)), 0);
    }

    #[test]
    fn without_a_stated_time_the_pause_grows() {
        let mut trouble = Trouble::default();
        let pauses: Vec<_> = (0..7)
            .map(|_| {
                trouble.happened(NOW, None, u16::MAX);
                trouble.pause_ms(NOW)
            })
            .collect();
        assert_eq!(pauses, [0, 0, 0, 1_000, 2_000, 4_000, 8_000]);
    }
}
