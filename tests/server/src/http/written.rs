//! The part of a record that people wrote or that shows where they were: sealed as one value.

use crate::at_rest::AtRest;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use snaptrak_domain::record::Record;
use snaptrak_domain::{CaptureId, Location};
use zeroize::Zeroizing;

pub(crate) const WRITTEN_COLUMN: &str = "capture.written";

/// The fields of a record that are never stored in clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) note: Option<String>,
    pub(crate) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) content_type: Option<String>,
}

impl Written {
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            note: record.note.clone(),
            tags: record.tags.clone(),
            project: record.project.clone(),
            file_name: record.file_name.clone(),
            location: record.location,
            content_type: record.content_type.clone(),
        }
    }

    pub(crate) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).expect("text, numbers and lists always serialize"))
    }

    pub(crate) fn open(at_rest: &AtRest, capture_id: CaptureId, sealed: &[u8]) -> Result<Self, Error> {
        let json = at_rest.open(WRITTEN_COLUMN, capture_id.to_string().as_bytes(), sealed)?;
        serde_json::from_slice(&json).map_err(|_| Error::SealedColumn { column: WRITTEN_COLUMN })
    }
}
