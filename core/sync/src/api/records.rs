//! Telling the API of captures, in batches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use snaptrak_domain::transport::{Method, Plan, Response};
use snaptrak_domain::{CaptureId, record::Record};

use super::{ApiError, Call, read_json, word};

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordResult {
    /// The server has it, now or from before.
    Held,
    /// The server refuses it, with its code.
    Refused(String),
    /// A word that this version does not know.
    Unknown,
}

/// Plans one batch.
#[must_use]
pub fn plan_send(call: &Call<'_>, records: &[Record]) -> Plan {
    #[derive(Serialize)]
    struct Request<'a> {
        records: &'a [Record],
    }
    call.json(Method::Post, "/v1/records", &Request { records })
}

/// Reads what became of each. A record that the answer does not mention is not in the map.
pub fn read_send(response: &Response) -> Result<BTreeMap<CaptureId, RecordResult>, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        results: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        id: CaptureId,
        outcome: String,
        #[serde(default)]
        code: Option<String>,
    }
    let answer: Answer = read_json(response, &[200])?;
    let read = |item: Item| {
        let result = match item.outcome.as_str() {
            "accepted" | "unchanged" => RecordResult::Held,
            "refused" => RecordResult::Refused(item.code.as_deref().map_or_else(String::new, word)),
            _ => RecordResult::Unknown,
        };
        (item.id, result)
    };
    Ok(answer.results.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::answer;

    #[test]
    fn each_record_has_its_own_answer() {
        let id = |last: u8| CaptureId::from_bytes([last; 16]);
        let body = serde_json::json!({"results": [
            {"id": id(1), "outcome": "accepted"},
            {"id": id(2), "outcome": "refused", "code": "note_too_long", "message": "x"},
            {"id": id(3), "outcome": "postponed"},
        ]});
        let results = read_send(&answer(200, &[], &body.to_string())).unwrap();
        assert_eq!(results[&id(1)], RecordResult::Held);
        assert_eq!(results[&id(2)], RecordResult::Refused("note_too_long".into()));
        assert_eq!(results[&id(3)], RecordResult::Unknown);
        assert!(!results.contains_key(&id(4)));
    }
}
