//! What fetching purged bytes back needs of a store. The bytes come from a server and are believed only as far as their digest
//! is the one that this device took when it sealed them.

use crate::{AssetId, AssetState, Sha256Digest, UnixMs, queue_store::QueueError};
use std::path::PathBuf;

/// A piece whose bytes are not on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgedPiece {
    /// Place in the asset, from 0.
    pub index: u32,
    /// Sealed bytes.
    pub sealed_bytes: u64,
    /// Their digest.
    pub sealed_sha256: Sha256Digest,
}

/// Where a piece is fetched to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTarget {
    /// A file beside the piece's place; it exists.
    pub path: PathBuf,
    /// What an earlier attempt left in it; fewer bytes than the piece has.
    pub held_bytes: u64,
}

/// One file on its way from a server, believed by its digest alone.
pub trait ArrivingFile {
    /// Where to fetch it to; `None`: its bytes are in their place already.
    fn target(&self) -> Result<Option<FetchTarget>, QueueError>;
    /// Compares what has arrived with the digest that was promised. The same bytes are synced and put in their place; others are
    /// removed, and the answer is false.
    fn accept(&self) -> Result<bool, QueueError>;
    /// Removes what has arrived so far.
    fn discard(&self) -> Result<(), QueueError>;
}

/// Purged pieces on their way back. One fetch of an asset at a time; every call is complete in itself, and a kill between two
/// of them loses at most what was being fetched.
pub trait FetchStore: Send + Sync {
    /// The pieces of an asset that are purged, in order.
    fn purged_pieces(&self, asset_id: AssetId) -> Result<Vec<PurgedPiece>, QueueError>;
    /// Where to fetch a piece to; `None`: its bytes are in their place already.
    fn fetch_target(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<Option<FetchTarget>, QueueError>;
    /// Compares what was fetched with what was sealed here. The same bytes are synced and put in their place; others are
    /// removed, and the answer is false.
    fn accept_fetched(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<bool, QueueError>;
    /// Removes what was fetched of a piece so far.
    fn discard_fetched(&self, asset_id: AssetId, piece: &PurgedPiece) -> Result<(), QueueError>;
    /// Every piece is in its place: the asset is verified again, in one transaction. Missing if one is not.
    fn finish_fetch(&self, asset_id: AssetId, now: UnixMs) -> Result<AssetState, QueueError>;
    /// The server says that it does not hold a purged piece any more: it is set aside as lost.
    fn lost_at_server(&self, asset_id: AssetId, index: u32, now: UnixMs) -> Result<(), QueueError>;
}
