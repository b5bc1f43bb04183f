//! What happened to a capture, told to whoever watches the store.

use crate::{AssetId, AssetState, CaptureId, Rendition};
use serde::{Deserialize, Serialize};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The asset is new: a capture, a recording that begins, a thumbnail.
    Added,
    /// The asset stands in another state.
    StateChanged,
    /// Findings of the asset were kept.
    Found,
    /// Somebody annotated the capture; told of its original.
    Annotated,
    /// The asset is gone: a recording that was taken back before anything of it could have left.
    Removed,
}

/// One thing that happened, after it was durable. Says nothing of what a capture contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which capture.
    pub capture_id: CaptureId,
    /// To which asset of it.
    pub asset_id: AssetId,
    /// Which rendition that is. A capture's state is its original's.
    pub rendition: Rendition,
    /// Where the asset stands now; `Cancelled` of one that is gone.
    pub state: AssetState,
}
