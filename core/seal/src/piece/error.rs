//! What can go wrong with a piece.

use snaptrak_domain::RandomError;

/// Why a piece could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// No random header could be drawn.
    #[error("no random bytes for a piece header")]
    Random(#[from] RandomError),
    /// The plaintext could not be read (sealing) or the sealed file could not be read (opening).
    #[error("reading failed")]
    Read {
        /// The reader's error.
        #[source]
        source: std::io::Error,
    },
    /// The writer failed. The piece must be begun again with a new header.
    #[error("writing failed")]
    Write {
        /// The writer's error.
        #[source]
        source: std::io::Error,
    },
    /// More plaintext than one piece holds.
    #[error("a piece holds at most {plain_bytes_max} bytes")]
    TooLong {
        /// The bound.
        plain_bytes_max: u64,
    },
    /// A segment given to the slice API is neither full nor the last.
    #[error("a segment that is not the last must have exactly {expected_bytes} bytes")]
    SegmentLength {
        /// What would have been right.
        expected_bytes: usize,
    },
    /// The sealer is finished or has failed; what it holds cannot be sealed again under the same header.
    #[error("the piece is finished or has failed")]
    Finished,
    /// The file ends before its last segment: shorter than the envelope says, shorter than any piece, or the segment at
    /// its end authenticates as one that has a successor.
    #[error("the piece is truncated")]
    Truncated,
    /// The key and address are right, because another segment of the file authenticates, and this segment does not.
    #[error("segment {segment} of the piece is damaged")]
    Damaged {
        /// Index of the segment that does not authenticate.
        segment: u32,
    },
    /// No segment that was tried authenticates. A wrong key, another asset's or another index's piece, and a damaged
    /// header or single segment cannot be told apart.
    #[error("the piece does not open with this key")]
    WrongKeyOrDamaged,
    /// The first byte is not that of a piece's header.
    #[error("this is not a sealed piece")]
    NotAPiece,
    /// No plaintext gives a sealed file of this length: it was cut inside a tag, or something was appended.
    #[error("no sealed piece has a length of {sealed_bytes} bytes")]
    ImpossibleLength {
        /// The file's length.
        sealed_bytes: u64,
    },
}
