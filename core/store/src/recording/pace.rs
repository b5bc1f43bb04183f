//! When a recording syncs, finishes its piece and ends: decided from bytes and monotonic time alone.
//!
//! Owns the options and the counts. Refuses to know files. While a recording is paused no time counts and nothing falls due.

use crate::StoreError;
use snaptrak_domain::{
    MonotonicMs,
    limits::{PIECE_MS, PIECE_PLAIN_BYTES_MAX, RECORDING_ROOM_BYTES_MIN},
};

/// A power cut loses at most what came after the last sync: this many bytes ...
const SYNC_AFTER_BYTES: u64 = 4 * 1024 * 1024;
/// ... or what was written in this time.
const SYNC_AFTER_MS: u64 = 2_000;
/// After so many pieces each may take twice as long: at ten seconds a piece an asset's list would be full after 45 hours, and
/// so it takes a week, while the first eleven hours keep their short pieces.
const PIECES_UNTIL_LONGER: usize = 4_096;

/// How a recording is cut into pieces, and when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOptions {
    /// Plaintext bytes of a full piece, 1 to 33,554,432.
    pub piece_bytes: u64,
    /// A piece is finished when its first byte is so old, full or not; from 1.
    pub piece_ms: u64,
    /// The recording ends when it has so many bytes.
    pub max_bytes: Option<u64>,
    /// The recording ends when it has gone on for so long; pauses do not count.
    pub max_ms: Option<u64>,
    /// The recording ends while the disk still has so much room, the reserve of the store not counted.
    pub room_bytes_min: u64,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self {
            piece_bytes: PIECE_PLAIN_BYTES_MAX,
            piece_ms: PIECE_MS,
            max_bytes: None,
            max_ms: None,
            room_bytes_min: RECORDING_ROOM_BYTES_MIN,
        }
    }
}

impl RecordOptions {
    /// The options, if a recording can be made with them.
    pub(super) fn checked(self) -> Result<Self, StoreError> {
        let usable = (1..=PIECE_PLAIN_BYTES_MAX).contains(&self.piece_bytes)
            && self.piece_ms >= 1
            && self.max_bytes != Some(0)
            && self.max_ms != Some(0);
        if usable { Ok(self) } else { Err(StoreError::Refused { code: "record_options_invalid" }) }
    }
}

/// The counts of one recording.
#[derive(Debug)]
pub(super) struct Pace {
    options: RecordOptions,
    /// Time before the last pause.
    counted_ms: u64,
    /// Since when it goes on; `None` while it is paused.
    since: Option<MonotonicMs>,
    /// When the open piece got its first byte.
    piece_since: Option<MonotonicMs>,
    unsynced_bytes: u64,
    /// When the first of them came.
    unsynced_since: Option<MonotonicMs>,
}

impl Pace {
    pub(super) fn start(options: RecordOptions, now: MonotonicMs) -> Self {
        Self { options, counted_ms: 0, since: Some(now), piece_since: None, unsynced_bytes: 0, unsynced_since: None }
    }

    pub(super) fn options(&self) -> &RecordOptions {
        &self.options
    }

    /// Bytes went into the open piece.
    pub(super) fn took(&mut self, bytes: u64, now: MonotonicMs) {
        self.piece_since.get_or_insert(now);
        self.unsynced_since.get_or_insert(now);
        self.unsynced_bytes += bytes;
    }

    pub(super) fn synced(&mut self) {
        self.unsynced_bytes = 0;
        self.unsynced_since = None;
    }

    /// The open piece was finished, which synced it.
    pub(super) fn piece_finished(&mut self) {
        self.synced();
        self.piece_since = None;
    }

    pub(super) fn pause(&mut self, now: MonotonicMs) {
        self.counted_ms = self.recorded_ms(now);
        self.since = None;
    }

    pub(super) fn resume(&mut self, now: MonotonicMs) {
        self.since.get_or_insert(now);
    }

    /// How long it has gone on, pauses left out.
    pub(super) fn recorded_ms(&self, now: MonotonicMs) -> u64 {
        self.counted_ms + self.since.map_or(0, |since| elapsed_ms(since, now))
    }

    pub(super) fn sync_is_due(&self, now: MonotonicMs) -> bool {
        self.unsynced_bytes >= SYNC_AFTER_BYTES
            || self.unsynced_since.is_some_and(|since| elapsed_ms(since, now) >= SYNC_AFTER_MS)
    }

    /// Whether the open piece is old enough, after so many finished ones.
    pub(super) fn piece_is_due(&self, pieces: usize, now: MonotonicMs) -> bool {
        self.piece_since.is_some_and(|since| elapsed_ms(since, now) >= self.piece_ms(pieces))
    }

    pub(super) fn time_is_over(&self, now: MonotonicMs) -> bool {
        self.options.max_ms.is_some_and(|max_ms| self.recorded_ms(now) >= max_ms)
    }

    /// How long until something falls due by itself; `None`: nothing will, so nobody needs a timer.
    pub(super) fn next_ms(&self, pieces: usize, now: MonotonicMs) -> Option<u64> {
        let left = |since: MonotonicMs, ms: u64| ms.saturating_sub(elapsed_ms(since, now));
        let sync = self.unsynced_since.map(|since| left(since, SYNC_AFTER_MS));
        let piece = self.piece_since.map(|since| left(since, self.piece_ms(pieces)));
        let end = self.since.and(self.options.max_ms).map(|max_ms| max_ms.saturating_sub(self.recorded_ms(now)));
        [sync, piece, end].into_iter().flatten().min()
    }

    fn piece_ms(&self, pieces: usize) -> u64 {
        self.options.piece_ms.saturating_mul(1 << (pieces / PIECES_UNTIL_LONGER).min(8))
    }
}

/// A monotonic clock that went back (it must not) counts as one that stood still.
fn elapsed_ms(since: MonotonicMs, now: MonotonicMs) -> u64 {
    u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> MonotonicMs {
        MonotonicMs(ms)
    }

    #[test]
    fn nothing_falls_due_where_nothing_waits() {
        let mut pace = Pace::start(RecordOptions::default(), at(0));
        assert_eq!(pace.next_ms(0, at(5_000)), None);
        pace.took(10, at(5_000));
        assert_eq!(pace.next_ms(0, at(5_000)), Some(SYNC_AFTER_MS));
        assert!(!pace.sync_is_due(at(6_999)) && pace.sync_is_due(at(7_000)));
        pace.synced();
        assert_eq!(pace.next_ms(0, at(7_000)), Some(PIECE_MS - 2_000));
        assert!(!pace.piece_is_due(0, at(14_999)) && pace.piece_is_due(0, at(15_000)));
        pace.piece_finished();
        assert_eq!(pace.next_ms(1, at(15_000)), None);
        pace.took(SYNC_AFTER_BYTES, at(15_000));
        assert!(pace.sync_is_due(at(15_000)), "so many bytes do not wait for the time");
    }

    #[test]
    fn pauses_do_not_count() {
        let options = RecordOptions { max_ms: Some(1_000), ..RecordOptions::default() };
        let mut pace = Pace::start(options, at(0));
        pace.pause(at(400));
        assert_eq!((pace.recorded_ms(at(90_000)), pace.next_ms(0, at(90_000))), (400, None));
        assert!(!pace.time_is_over(at(90_000)));
        pace.resume(at(90_000));
        assert_eq!(pace.next_ms(0, at(90_100)), Some(500));
        assert!(pace.time_is_over(at(90_600)));
    }

    #[test]
    fn a_list_of_pieces_lasts_for_a_week() {
        let pace = Pace::start(RecordOptions::default(), at(0));
        let total_ms: u64 = (0..snaptrak_domain::limits::PIECES_MAX).map(|pieces| pace.piece_ms(pieces)).sum();
        assert!(total_ms >= 7 * 24 * 60 * 60 * 1_000, "{total_ms}");
    }

    #[test]
    fn options_that_make_no_recording_are_refused() {
        let base = RecordOptions::default;
        assert!(base().checked().is_ok());
        for wrong in [
            RecordOptions { piece_bytes: 0, ..base() },
            RecordOptions { piece_bytes: PIECE_PLAIN_BYTES_MAX + 1, ..base() },
            RecordOptions { piece_ms: 0, ..base() },
            RecordOptions { max_bytes: Some(0), ..base() },
            RecordOptions { max_ms: Some(0), ..base() },
        ] {
            assert!(wrong.checked().is_err(), "{wrong:?}");
        }
    }
}
