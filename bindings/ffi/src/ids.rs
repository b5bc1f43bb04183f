//! Ids and digests as text: UUIDs with hyphens, digests in lowercase hexadecimal.

use crate::SnapTrakError;
use snaptrak::{CaptureId, Cursor, ErrorCode, Sha256Digest};

/// The capture that a text names.
pub(crate) fn capture_id(text: &str) -> Result<CaptureId, SnapTrakError> {
    text.parse().map_err(|_| SnapTrakError::new(ErrorCode::InvalidArgument, "this is no id of a capture: a UUID is"))
}

/// The place in the list that a text names.
pub(crate) fn cursor(text: &str) -> Result<Cursor, SnapTrakError> {
    text.parse().map_err(|_| {
        SnapTrakError::new(
            ErrorCode::InvalidArgument,
            "this is no place in the list: a page's `next` or a capture's id is",
        )
    })
}

/// The digest that a text names.
pub(crate) fn digest(text: &str) -> Result<Sha256Digest, SnapTrakError> {
    text.parse().map_err(|_| {
        SnapTrakError::new(ErrorCode::InvalidArgument, "this is no SHA-256 digest: 64 hexadecimal digits are")
    })
}
