//! Ids in paths: one spelling, one answer for every other.

use super::error::ApiError;
use std::str::FromStr;

/// Reads an id of a path or a header.
pub(crate) fn id<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request("invalid_id", "an id is a lowercase hyphenated UUID"))
}
