//! An asset's state, derived from its pieces and never stored beside them.

use crate::{PieceState, capture::UnknownWord};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which rendition of a capture an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendition {
    /// The bytes as they were captured.
    Original,
    /// Faces, text and other regions destroyed, metadata stripped.
    Redacted,
    /// A small picture.
    Thumbnail,
}

impl Rendition {
    /// Every rendition.
    pub const ALL: [Self; 3] = [Self::Original, Self::Redacted, Self::Thumbnail];

    /// The word in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Redacted => "redacted",
            Self::Thumbnail => "thumbnail",
        }
    }
}

impl FromStr for Rendition {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or(UnknownWord { what: "rendition" })
    }
}

/// Where an asset stands; a capture's state is its original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetState {
    /// Pieces are still being added.
    Recording,
    /// All pieces are sealed and durable.
    Saved,
    /// Saved, and its required steps have settled.
    Prepared,
    /// Waits to be sent.
    Queued,
    /// At least one piece is under way.
    Sending,
    /// The server holds every byte of every piece.
    Received,
    /// The server signed for it.
    Verified,
    /// Verified, and the local bytes are gone.
    Purged,
    /// A policy keeps it on the device.
    Withheld,
    /// Set aside with a reason.
    Parked,
    /// The person took it back.
    Cancelled,
}

impl AssetState {
    /// Every state, in the order of the ladder.
    pub const ALL: [Self; 11] = [
        Self::Recording,
        Self::Saved,
        Self::Prepared,
        Self::Queued,
        Self::Sending,
        Self::Received,
        Self::Verified,
        Self::Purged,
        Self::Withheld,
        Self::Parked,
        Self::Cancelled,
    ];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Saved => "saved",
            Self::Prepared => "prepared",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Received => "received",
            Self::Verified => "verified",
            Self::Purged => "purged",
            Self::Withheld => "withheld",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for AssetState {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownWord { what: "state" })
    }
}

/// What an asset's state is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetFacts<'a> {
    /// No piece will be added any more.
    pub closed: bool,
    /// A policy keeps it here.
    pub withheld: bool,
    /// Every step that it must wait for has settled.
    pub prepared: bool,
    /// Something that it needs to leave (record, envelope) is parked.
    pub parked: bool,
    /// States of its pieces.
    pub pieces: &'a [PieceState],
}

fn rank(state: PieceState) -> u8 {
    match state {
        PieceState::Sealed => 0,
        PieceState::Queued => 1,
        PieceState::Sending => 2,
        PieceState::Received => 3,
        PieceState::Verified => 4,
        PieceState::Purged => 5,
        PieceState::Parked | PieceState::Cancelled => 6,
    }
}

/// The asset's state: the least advanced of its pieces, unless something stands aside.
pub fn derive(facts: AssetFacts<'_>) -> AssetState {
    if facts.pieces.contains(&PieceState::Cancelled) {
        return AssetState::Cancelled;
    }
    if facts.withheld {
        return AssetState::Withheld;
    }
    let Some(least) = facts.pieces.iter().copied().min_by_key(|state| rank(*state)) else {
        return if facts.closed { AssetState::Saved } else { AssetState::Recording };
    };
    if facts.pieces.contains(&PieceState::Parked) || (facts.parked && rank(least) < rank(PieceState::Verified)) {
        return AssetState::Parked;
    }
    if facts.pieces.contains(&PieceState::Sending) {
        return AssetState::Sending;
    }
    if !facts.closed {
        return AssetState::Recording;
    }
    match least {
        PieceState::Sealed if facts.prepared => AssetState::Prepared,
        PieceState::Sealed => AssetState::Saved,
        PieceState::Queued | PieceState::Sending => AssetState::Queued,
        PieceState::Received => AssetState::Received,
        PieceState::Verified => AssetState::Verified,
        PieceState::Purged => AssetState::Purged,
        PieceState::Parked | PieceState::Cancelled => AssetState::Parked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pieces: &[PieceState]) -> AssetFacts<'_> {
        AssetFacts { closed: true, withheld: false, prepared: false, parked: false, pieces }
    }

    #[test]
    fn the_least_advanced_piece_decides() {
        use PieceState as P;
        assert_eq!(derive(facts(&[P::Verified, P::Received])), AssetState::Received);
        assert_eq!(derive(facts(&[P::Verified, P::Sending, P::Queued])), AssetState::Sending);
        assert_eq!(derive(facts(&[P::Verified, P::Verified])), AssetState::Verified);
        assert_eq!(derive(facts(&[P::Verified, P::Parked])), AssetState::Parked);
        assert_eq!(derive(facts(&[P::Sealed])), AssetState::Saved);
        assert_eq!(derive(AssetFacts { prepared: true, ..facts(&[P::Sealed]) }), AssetState::Prepared);
        assert_eq!(derive(AssetFacts { closed: false, ..facts(&[P::Received]) }), AssetState::Recording);
        assert_eq!(derive(AssetFacts { parked: true, ..facts(&[P::Verified]) }), AssetState::Verified);
    }
}
