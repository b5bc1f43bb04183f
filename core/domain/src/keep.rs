//! What may go from this device to make room, and why the rest stays: a function of what is known of a capture.
//!
//! Refuses to know how bytes are removed. Whoever asks removes nothing that is answered with a code.

use crate::{UnixMs, capture::UnknownWord, limits::VIEWED_KEPT_MS};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Why the local bytes of a capture stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptCode {
    /// The server has not signed that it holds the same bytes.
    NotVerified,
    /// The person or the app wants it here.
    Pinned,
    /// It was looked at within the last day.
    Viewed,
    /// Somebody reads it at this moment.
    Open,
    /// Its receipt cannot be copied into its envelope before the person has unlocked the store.
    NeedsUser,
    /// A note is a few rows: there is nothing to free.
    Note,
    /// Its envelope cannot be read; the sealed bytes stay with it.
    Damaged,
}

impl KeptCode {
    /// Every code.
    pub const ALL: [Self; 7] =
        [Self::NotVerified, Self::Pinned, Self::Viewed, Self::Open, Self::NeedsUser, Self::Note, Self::Damaged];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotVerified => "not_verified",
            Self::Pinned => "pinned",
            Self::Viewed => "viewed",
            Self::Open => "open",
            Self::NeedsUser => "needs_user",
            Self::Note => "note",
            Self::Damaged => "damaged",
        }
    }
}

impl FromStr for KeptCode {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or(UnknownWord { what: "kept code" })
    }
}

/// Who wants the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropRule {
    /// The person or the app said so: what was looked at lately goes too.
    ByHand,
    /// The quota: nobody was asked, so what was looked at lately stays.
    Quota,
}

/// What is known of an asset whose bytes could go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepFacts {
    /// The server signed for it.
    pub verified: bool,
    /// Its sealed bytes are a row.
    pub note: bool,
    /// It is to stay.
    pub pinned: bool,
    /// Somebody reads it.
    pub open: bool,
    /// When it was last looked at.
    pub viewed: Option<UnixMs>,
}

/// Why an asset stays; `None`: it may go, once its receipt is in its envelope.
pub fn kept_by(rule: DropRule, facts: KeepFacts, now: UnixMs) -> Option<KeptCode> {
    if !facts.verified {
        return Some(KeptCode::NotVerified);
    }
    if facts.note {
        return Some(KeptCode::Note);
    }
    if facts.pinned {
        return Some(KeptCode::Pinned);
    }
    if facts.open {
        return Some(KeptCode::Open);
    }
    match rule {
        DropRule::ByHand => None,
        // A view from the future means that the clock went back: it is not known how old it is.
        DropRule::Quota => {
            facts.viewed.filter(|viewed| now.0.saturating_sub(viewed.0) < VIEWED_KEPT_MS).map(|_| KeptCode::Viewed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_000 * VIEWED_KEPT_MS);
    const FREE: KeepFacts = KeepFacts { verified: true, note: false, pinned: false, open: false, viewed: None };

    #[test]
    fn only_what_is_verified_and_wanted_by_nobody_goes() {
        for rule in [DropRule::ByHand, DropRule::Quota] {
            assert_eq!(kept_by(rule, FREE, NOW), None);
            let kept = |facts| kept_by(rule, facts, NOW);
            assert_eq!(kept(KeepFacts { verified: false, ..FREE }), Some(KeptCode::NotVerified));
            assert_eq!(kept(KeepFacts { note: true, ..FREE }), Some(KeptCode::Note));
            assert_eq!(kept(KeepFacts { pinned: true, ..FREE }), Some(KeptCode::Pinned));
            assert_eq!(kept(KeepFacts { open: true, ..FREE }), Some(KeptCode::Open));
        }
    }

    #[test]
    fn a_view_holds_for_a_day_against_the_quota_and_not_against_the_person() {
        let viewed = |ms_ago: i64| KeepFacts { viewed: Some(UnixMs(NOW.0 - ms_ago)), ..FREE };
        assert_eq!(kept_by(DropRule::ByHand, viewed(0), NOW), None);
        assert_eq!(kept_by(DropRule::Quota, viewed(VIEWED_KEPT_MS - 1), NOW), Some(KeptCode::Viewed));
        assert_eq!(kept_by(DropRule::Quota, viewed(VIEWED_KEPT_MS), NOW), None);
        assert_eq!(kept_by(DropRule::Quota, viewed(-5_000), NOW), Some(KeptCode::Viewed), "the clock went back");
    }

    #[test]
    fn words_are_read_back_and_equal_to_serde() {
        for code in KeptCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).expect("a unit variant serialises"), code.as_str());
        }
    }
}
