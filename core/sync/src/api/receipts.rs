//! Asking how the verification of assets went.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use snaptrak_domain::AssetId;
use snaptrak_domain::transport::{Method, Plan, Response};

use super::{ApiError, Call, read_json, word};

/// Base64 of the longest signed message that `seal` reads; a longer one is not decoded.
const COUNTERSIGNED_CHARACTERS_MAX: usize = SIGNED_BYTES_MAX / 3 * 4 + 4;
/// As `seal` bounds it; its module is private to it.
const SIGNED_BYTES_MAX: usize = 1024 * 1024;
/// An answer about 200 assets is some hundred kilobytes; one about recordings of thousands of pieces is this at most.
const ANSWER_BYTES_MAX: u64 = 32 << 20;

/// What the server says of one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptState {
    /// It durably holds the same bytes, and signs for it (COSE_Sign1, not yet checked).
    Verified(Vec<u8>),
    /// It has not finished.
    Pending {
        /// It waits for pieces that this device believes it has sent.
        missing: bool,
        /// It waits for this device's signature, without which the envelope was sent.
        unsigned: bool,
    },
    /// It checked, and something is wrong.
    Failed {
        /// What, as a code.
        code: String,
        /// In which piece, if in one.
        piece: Option<u32>,
    },
    /// A word that this version does not know.
    Unknown,
}

/// Plans one question about many assets.
#[must_use]
pub fn plan_ask(call: &Call<'_>, assets: &[AssetId]) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        assets: &'a [AssetId],
    }
    let mut plan = call.json(Method::Post, "/v1/receipts", &Request { assets });
    plan.response_bytes_max = ANSWER_BYTES_MAX;
    plan
}

/// Reads what the server says of each. An asset that the answer does not mention is not in the map.
pub fn read_ask(response: &Response) -> Result<BTreeMap<AssetId, ReceiptState>, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        results: Vec<Item>,
    }
    let answer: Answer = read_json(response, &[200])?;
    Ok(answer.results.into_iter().map(|item| (item.asset_id, item.state())).collect())
}

#[derive(Deserialize)]
struct Item {
    asset_id: AssetId,
    state: String,
    #[serde(default)]
    countersigned: Option<String>,
    #[serde(default)]
    waiting_for: Vec<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    piece: Option<u32>,
}

impl Item {
    fn state(self) -> ReceiptState {
        match self.state.as_str() {
            "verified" => self
                .countersigned
                .filter(|text| text.len() <= COUNTERSIGNED_CHARACTERS_MAX)
                .and_then(|text| STANDARD.decode(text).ok())
                .map_or(ReceiptState::Unknown, ReceiptState::Verified),
            "pending" => {
                let missing = self.waiting_for.iter().any(|what| matches!(what.as_str(), "pieces" | "envelope"));
                let unsigned = self.waiting_for.iter().any(|what| what == "device_receipt");
                ReceiptState::Pending { missing, unsigned }
            }
            "failed" => {
                ReceiptState::Failed { code: self.code.as_deref().map_or_else(String::new, word), piece: self.piece }
            }
            _ => ReceiptState::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::answer;

    #[test]
    fn states_are_read_and_unknown_ones_are_said_to_be() {
        let id = |last: u8| AssetId::from_bytes([last; 16]);
        let body = serde_json::json!({"results": [
            {"asset_id": id(1), "state": "verified", "countersigned": "AQI="},
            {"asset_id": id(2), "state": "pending", "waiting_for": ["pieces"]},
            {"asset_id": id(3), "state": "pending"},
            {"asset_id": id(4), "state": "failed", "code": "sealed_mismatch", "piece": 3, "message": "x"},
            {"asset_id": id(5), "state": "levitating"},
            {"asset_id": id(6), "state": "verified", "countersigned": "not base64"},
            {"asset_id": id(7), "state": "pending", "waiting_for": ["device_receipt"]},
        ]});
        let states = read_ask(&answer(200, &[], &body.to_string())).unwrap();
        assert_eq!(states[&id(1)], ReceiptState::Verified(vec![1, 2]));
        assert_eq!(states[&id(2)], ReceiptState::Pending { missing: true, unsigned: false });
        assert_eq!(states[&id(3)], ReceiptState::Pending { missing: false, unsigned: false });
        assert_eq!(states[&id(7)], ReceiptState::Pending { missing: false, unsigned: true });
        assert_eq!(states[&id(4)], ReceiptState::Failed { code: "sealed_mismatch".into(), piece: Some(3) });
        assert_eq!(states[&id(5)], ReceiptState::Unknown);
        assert_eq!(states[&id(6)], ReceiptState::Unknown);
    }
}
