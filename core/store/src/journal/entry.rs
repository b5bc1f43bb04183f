//! What a sealed line of the journal says: the second copy of what is only rows.
//!
//! Owns the JSON inside. A later entry of the same thing replaces the earlier one (receipts: by asset). Readers skip an entry
//! that they do not know: a newer version may write more of them.

use super::base64_text::Base64;
use crate::intake::NewNote;
use serde::{Deserialize, Serialize};
use snaptrak_domain::{
    AccountId, Annotation, AssetId, CaptureId, CaptureMetadata, DeviceId, Finding, OrganisationId, Sha256Digest, UnixMs,
};

/// One entry. A note, the usual one, is large beside some others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A note that was taken in; a line of type `note` follows when it is settled.
    Note(NewNote),
    /// A receipt as it stands after it was signed or countersigned.
    Receipt {
        asset_id: AssetId,
        sequence: u64,
        /// Deterministic CBOR.
        payload: Base64,
        /// COSE_Sign1 of the device.
        signed: Option<Base64>,
        /// COSE_Sign1 of the server.
        countersigned: Option<Base64>,
        countersigned_ms: Option<UnixMs>,
    },
    /// What was found in an asset; a finding replaces the earlier one of the same asset and model.
    Findings { capture_id: CaptureId, asset_id: AssetId, findings: Vec<Finding>, found_ms: UnixMs },
    /// Pieces whose files go, and why.
    Tombstone { asset_id: AssetId, pieces: Vec<u32>, reason: String, at_ms: UnixMs },
    /// What the person does not want dropped, and when it was last looked at.
    Keep { capture_id: CaptureId, pinned: bool, viewed_ms: Option<UnixMs> },
    /// A field that somebody wrote; the later one of a field stands, wherever it is read.
    Annotation { capture_id: CaptureId, annotation: Annotation },
    /// A capture's metadata as it stands now.
    Metadata { capture_id: CaptureId, metadata: CaptureMetadata },
    /// Who the device works for, without tokens.
    Enrolment {
        server: String,
        account_id: AccountId,
        organisation_id: OrganisationId,
        device_id: DeviceId,
        trust_root: Sha256Digest,
        trust_root_given: bool,
        /// Exact bytes of the accepted bundle.
        trust_bundle: Base64,
    },
    /// The device: stands once in each file, so that receipts can be checked without the database.
    Device {
        device_id: DeviceId,
        /// SEC1 uncompressed point.
        signing_public: Base64,
    },
    /// An entry of a newer version.
    #[serde(other)]
    Unknown,
}

impl Entry {
    /// The entry's JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists always have JSON")
    }

    /// The entry in a line that was opened.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_one_of_a_newer_version_is_told() {
        let entry = Entry::Keep { capture_id: CaptureId::from_bytes([3; 16]), pinned: true, viewed_ms: None };
        let json = entry.to_json();
        assert!(json.starts_with(br#"{"entry":"keep","#));
        assert_eq!(Entry::from_json(&json), Some(entry));
        assert_eq!(Entry::from_json(br#"{"entry":"dream","of":1}"#), Some(Entry::Unknown));
        assert_eq!(Entry::from_json(b"{}"), None);
    }
}
