//! What an app asks for when it captures, checked once, and what it is answered.

use crate::StoreError;
use snaptrak_domain::{
    AssetId, AssetState, CaptureId, Kind, Location, Sha256Digest, UnixMs,
    limits::{LABEL_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, TAGS_MAX},
};

/// Characters of a file's name that are kept: four times what any file system allows.
const FILE_NAME_CHARACTERS_MAX: usize = 1_024;

/// A capture to be taken in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaptureRequest {
    /// What it is; `None`: decided by content.
    pub kind: Option<Kind>,
    /// The name that the file had. Never used as a path.
    pub file_name: Option<String>,
    /// What a person wrote about it.
    pub note: Option<String>,
    /// Words for finding it again.
    pub tags: Vec<String>,
    /// The project it belongs to.
    pub project: Option<String>,
    /// Where the app says it was taken.
    pub location: Option<Location>,
}

/// A capture that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The capture.
    pub capture_id: CaptureId,
    /// Its original.
    pub asset_id: AssetId,
    /// What it is.
    pub kind: Kind,
    /// Media type by content.
    pub content_type: String,
    /// When it was taken in.
    pub created: UnixMs,
    /// Plaintext bytes.
    pub bytes: u64,
    /// Plaintext digest.
    pub sha256: Sha256Digest,
    /// Where it stands.
    pub state: AssetState,
}

impl CaptureRequest {
    /// The request, or why it cannot be taken. Nothing that a person wrote is cut; a file's name may be.
    pub(crate) fn checked(mut self) -> Result<Self, StoreError> {
        let longer = |text: &Option<String>, max| text.as_ref().is_some_and(|text| text.chars().count() > max);
        let refused = |code| Err(StoreError::Refused { code });
        if longer(&self.note, NOTE_CHARACTERS_MAX) {
            return refused("note_too_long");
        }
        if longer(&self.project, LABEL_CHARACTERS_MAX) {
            return refused("project_too_long");
        }
        if self.tags.len() > TAGS_MAX {
            return refused("too_many_tags");
        }
        if self.tags.iter().any(|tag| tag.chars().count() > LABEL_CHARACTERS_MAX) {
            return refused("tag_too_long");
        }
        if self.location.is_some_and(|location| !location.is_valid()) {
            return refused("location_invalid");
        }
        if longer(&self.file_name, FILE_NAME_CHARACTERS_MAX) {
            self.file_name = self.file_name.map(|name| name.chars().take(FILE_NAME_CHARACTERS_MAX).collect());
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_would_refuse_is_refused_at_once() {
        let code = |request: CaptureRequest| match request.checked() {
            Err(StoreError::Refused { code }) => code,
            other => panic!("{other:?}"),
        };
        let base = CaptureRequest::default;
        assert_eq!(code(CaptureRequest { note: Some("n".repeat(65_537)), ..base() }), "note_too_long");
        assert_eq!(code(CaptureRequest { project: Some("p".repeat(201)), ..base() }), "project_too_long");
        assert_eq!(code(CaptureRequest { tags: vec![String::new(); 65], ..base() }), "too_many_tags");
        assert_eq!(code(CaptureRequest { tags: vec!["t".repeat(201)], ..base() }), "tag_too_long");
        let nowhere = Location { latitude: f64::NAN, longitude: 0.0, accuracy_m: None };
        assert_eq!(code(CaptureRequest { location: Some(nowhere), ..base() }), "location_invalid");
        let long = CaptureRequest { file_name: Some("ä".repeat(2_000)), ..base() };
        assert_eq!(long.checked().unwrap().file_name.unwrap().chars().count(), FILE_NAME_CHARACTERS_MAX);
    }
}
