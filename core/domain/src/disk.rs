//! How much room a disk has left: asked of whoever knows, so that tests can fill one without filling one.

use std::path::Path;

/// The disk under a folder.
pub trait Disk: Send + Sync {
    /// Bytes that a program without special rights can still write there. `None`: it cannot be known, and nothing is refused
    /// for it.
    fn free_bytes(&self, folder: &Path) -> Option<u64>;
}
