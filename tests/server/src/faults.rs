//! A test instrument: faults that a test orders and the server commits. Empty outside tests, where it costs one lock a
//! request.
//!
//! Rules are given in the constructor, changed with [`Faults::set`], or read from a file at each request so that a test can
//! steer a server in another process. A file that cannot be read or parsed is an empty set of rules, said once in the log.

use serde::{Deserialize, Serialize};
use snaptrak_domain::CaptureId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A fault file larger than this is not one.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// Answers with this status and does nothing else.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The error's code; `fault` if none is given.
        #[serde(default)]
        code: Option<String>,
        /// Sent as `retry_after_ms` and as `Retry-After`.
        #[serde(default)]
        retry_after_ms: Option<i64>,
    },
    /// Ends the connection when this many bytes of the request's body have arrived.
    DropConnection {
        /// Bytes of the body; 0 ends it before any.
        after_bytes: u64,
    },
    /// Does what was asked, and ends the connection instead of answering.
    DropAnswer,
    /// Flips one bit of the body's first byte.
    FlipBit,
    /// Waits before doing what was asked.
    Delay {
        /// For how long.
        ms: u64,
    },
}

/// One rule. The first that matches a request and has times left is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Names the rule: times are counted under it, so that re-reading a file does not begin again.
    pub id: String,
    /// The request's method; any if none is given.
    #[serde(default)]
    pub method: Option<String>,
    /// What the request's path begins with.
    #[serde(default)]
    pub path_prefix: String,
    /// Matching requests that are let through first.
    #[serde(default)]
    pub skip: u64,
    /// How often it is applied; without end if none is given.
    #[serde(default)]
    pub times: Option<u64>,
    /// What goes wrong.
    pub action: FaultAction,
}

/// All rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRules {
    /// Faults of requests.
    #[serde(default)]
    pub rules: Vec<FaultRule>,
    /// Captures whose records are refused with `record_refused`.
    #[serde(default)]
    pub refuse_captures: Vec<CaptureId>,
}

#[derive(Default)]
struct State {
    rules: FaultRules,
    matched: HashMap<String, u64>,
    file_is_bad: bool,
}

/// The faults of one server.
#[derive(Default)]
pub struct Faults {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

impl Faults {
    /// No faults, until [`Self::set`] says otherwise.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Rules from a file that is read again at each request; it need not exist yet.
    #[must_use]
    pub fn from_file(path: PathBuf) -> Self {
        Self { file: Some(path), ..Self::default() }
    }

    /// Replaces the rules and begins all counts again.
    pub fn set(&self, rules: FaultRules) {
        let mut state = self.state();
        state.rules = rules;
        state.matched.clear();
    }

    /// How many requests a rule has matched, those that were let through included.
    pub fn matched(&self, id: &str) -> u64 {
        self.state().matched.get(id).copied().unwrap_or(0)
    }

    /// What to do to this request.
    pub(crate) fn of_request(&self, method: &str, path: &str) -> Option<FaultAction> {
        let mut state = self.state();
        self.reload(&mut state);
        let State { rules, matched, .. } = &mut *state;
        for rule in &rules.rules {
            let other_method = rule.method.as_deref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(method));
            if other_method || !path.starts_with(&rule.path_prefix) {
                continue;
            }
            let count = matched.entry(rule.id.clone()).or_default();
            *count += 1;
            let applied = count.saturating_sub(rule.skip);
            if applied > 0 && rule.times.is_none_or(|times| applied <= times) {
                return Some(rule.action.clone());
            }
        }
        None
    }

    /// Whether this capture's record is refused.
    pub(crate) fn refuses(&self, capture_id: CaptureId) -> bool {
        self.state().rules.refuse_captures.contains(&capture_id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reload(&self, state: &mut State) {
        let Some(path) = &self.file else { return };
        let small = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
        let text = if small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let rules = if text.trim().is_empty() { Ok(FaultRules::default()) } else { serde_json::from_str(&text) };
        if rules.is_err() && !state.file_is_bad {
            tracing::warn!("the fault file is not JSON of fault rules; no faults are injected");
        }
        state.file_is_bad = rules.is_err();
        state.rules = rules.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, skip: u64, times: Option<u64>) -> FaultRule {
        FaultRule {
            id: id.to_owned(),
            method: Some("patch".to_owned()),
            path_prefix: "/v1/uploads".to_owned(),
            skip,
            times,
            action: FaultAction::DropAnswer,
        }
    }

    #[test]
    fn rules_match_skip_and_run_out() {
        let faults = Faults::none();
        faults.set(FaultRules { rules: vec![rule("a", 1, Some(2))], ..FaultRules::default() });
        assert_eq!(faults.of_request("GET", "/v1/uploads/x"), None);
        assert_eq!(faults.of_request("PATCH", "/v1/records"), None);
        let hits: Vec<bool> = (0..4).map(|_| faults.of_request("PATCH", "/v1/uploads/x").is_some()).collect();
        assert_eq!(hits, [false, true, true, false]);
        assert_eq!(faults.matched("a"), 4);
    }

    #[test]
    fn a_file_is_read_again_and_counts_go_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("faults.json");
        let faults = Faults::from_file(path.clone());
        assert_eq!(faults.of_request("PATCH", "/v1/uploads/x"), None);
        let json = r#"{"rules":[{"id":"a","path_prefix":"/","times":1,"action":{"answer":{"status":500}}}]}"#;
        std::fs::write(&path, json).expect("a file");
        assert!(matches!(faults.of_request("GET", "/x"), Some(FaultAction::Answer { status: 500, .. })));
        assert_eq!(faults.of_request("GET", "/x"), None);
        std::fs::write(&path, "{").expect("a file");
        assert_eq!(faults.of_request("GET", "/x"), None);
    }
}
