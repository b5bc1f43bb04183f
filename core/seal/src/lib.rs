#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod data_key;
pub mod piece;

#[cfg(test)]
mod test_random;

pub use data_key::DataKey;
pub use piece::{PieceAddress, PieceError, PieceOpener, PieceSealer, SealedPiece};
