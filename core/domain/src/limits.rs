//! The numbers that bound queues, files and retries, each with its reason. One place, so that they can be argued about.

/// Plaintext bytes of a piece: small enough that an OS that restarts a transfer from zero loses half a minute at 10 Mbit/s,
/// large enough that a video is hundreds of requests and not thousands.
pub const PIECE_PLAIN_BYTES_MAX: u64 = 33_554_432;

/// Ciphertext bytes of a segment inside a piece (Tink): one random read decrypts one segment.
pub const SEGMENT_BYTES: usize = 65_536;

/// Pieces of an asset: 512 GiB, at which its envelope is 7 MB (list, sealed digests and two receipts name every piece) and is
/// still read and written whole.
pub const PIECES_MAX: usize = 16_384;

/// A piece of a recording is finished after this time even where it is not full: what was said ten seconds ago can be on its
/// way, and at 16 kB/s (sound) a piece is still larger than what sending it costs.
pub const PIECE_MS: u64 = 10_000;

/// Above the reserve that captures leave free, the disk must have this much left for a recording to go on: it looks once in
/// 4 MiB, and another may be writing beside it.
pub const RECORDING_ROOM_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// A note up to this size is a row; more text than this is a file.
pub const NOTE_INLINE_BYTES_MAX: usize = 65_536;

/// Records in one request: with note and tags a record is about 1 KiB, so a batch is one or two TCP windows.
pub const RECORDS_BATCH_MAX: usize = 100;

/// Receipts asked for in one request.
pub const RECEIPTS_BATCH_MAX: usize = 200;

/// Pieces that one call of the queue lets out, and parked steps that it brings back: some milliseconds of the writer, so that a
/// capture hardly notices, and more than a window sends until it asks again.
pub const LET_OUT_MAX: usize = 100;

/// Failures of one item while its peers succeed until it is parked.
pub const FAILURES_UNTIL_PARKED: u32 = 8;

/// A parked item is tried again once a day: servers get repaired.
pub const REVIVAL_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// First delay after a failure.
pub const BACKOFF_FIRST_MS: i64 = 1_000;

/// No delay is longer than this, whatever the server or the count says.
pub const BACKOFF_CAP_MS: i64 = 60 * 60 * 1000;

/// Characters of a note, a tag, a project: what the API accepts.
pub const NOTE_CHARACTERS_MAX: usize = 65_536;
/// Characters of one tag or project.
pub const LABEL_CHARACTERS_MAX: usize = 200;
/// Tags of one capture.
pub const TAGS_MAX: usize = 64;

/// Pixels that are decoded for analysis: 120 MP is above every phone camera; a picture that claims more is refused.
pub const PICTURE_PIXELS_MAX: u64 = 120_000_000;

/// What was looked at stays for a day, whatever the quota says: whoever compares today's pictures should not wait for them.
pub const VIEWED_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// The ballast: room that the store holds so that a purge can work on a disk that is full to the last byte. A purge writes a few
/// pages and one envelope at a time; this is some thousand times that, and what the write-ahead log takes at most.
pub const BALLAST_BYTES: u64 = 16 * 1024 * 1024;
