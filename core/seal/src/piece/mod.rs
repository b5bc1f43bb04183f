//! Pieces: Tink's AES256-GCM-HKDF streaming format with 64 KiB segments, on ring.

mod cipher;
mod error;
mod layout;
mod open;
mod seal;

#[cfg(test)]
mod tests;

pub use cipher::PieceAddress;
pub use error::PieceError;
pub use layout::{
    FIRST_SEGMENT_PLAIN_BYTES, HEADER_BYTES, LATER_SEGMENT_PLAIN_BYTES, PIECE_PLAIN_BYTES_MAX, PIECE_SEALED_BYTES_MAX,
    PIECE_SEALED_BYTES_MIN, SEGMENT_BYTES, TAG_BYTES, plain_bytes, sealed_bytes,
};
pub use open::PieceOpener;
pub use seal::{PieceSealer, SealedPiece, SegmentSealer};
