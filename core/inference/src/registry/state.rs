//! `active.json`: which version of the models is in use on this device, which one before it, and what happened last.
//!
//! A pure record with its transitions; [`super::activation`] writes it. A version is on trial from before its self-test until it
//! is confirmed: a record that is found with a trial in it was written by a process that died in one.

use serde::{Deserialize, Serialize};
use snaptrak_domain::Sha256Digest;

const FORMAT: &str = "snaptrak.models-active/1";
const FORMAT_NAME: &str = "snaptrak.models-active/";

/// The signed manifest that was accepted last; no older one is accepted after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its version.
    pub version: u64,
    /// SHA-256 of what was signed.
    pub sha256: Sha256Digest,
}

/// The version that was refused last, until another one is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub version: u64,
    /// Why.
    pub because: Because,
    /// How often in a row it was refused for this.
    #[serde(default = "once")]
    pub times: u32,
}

impl Refused {
    /// Whether nothing but somebody's word brings it back.
    pub(super) fn is_final(&self) -> bool {
        match self.because {
            Because::SelfTestFailed | Because::RolledBack => true,
            Because::BrokeOff => self.times >= BROKE_OFF_MAX,
        }
    }
}

/// A process that dies in a self-test may have been killed by anything; one that dies in it twice is kept from a third time.
const BROKE_OFF_MAX: u32 = 2;

fn once() -> u32 {
    1
}

/// Why a version is not in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Its self-test failed.
    SelfTestFailed,
    /// The process died while it was tested: the model may have brought it down.
    BrokeOff,
    /// Somebody asked for the version before it.
    RolledBack,
}

impl Because {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfTestFailed => "self_test_failed",
            Self::BrokeOff => "broke_off",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// A version whose self-test succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Confirmed {
    pub(super) version: u64,
    pub(super) manifest_sha256: Sha256Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: String,
    /// In use; the packaged models otherwise.
    pub(super) active: Option<Confirmed>,
    /// In use before it.
    pub(super) previous: Option<Confirmed>,
    /// Being tested.
    pub(super) trial: Option<u64>,
    pub(super) newest: Option<Accepted>,
    pub(super) refused: Option<Refused>,
}

/// Why a record cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StateError {
    Newer,
    Damaged,
}

impl Default for State {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), active: None, previous: None, trial: None, newest: None, refused: None }
    }
}

impl State {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Format {
            format: String,
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(|_| StateError::Damaged)?;
        if format != FORMAT {
            let version = format.strip_prefix(FORMAT_NAME).and_then(|version| version.parse::<u64>().ok());
            return Err(if version.is_some_and(|version| version > 1) {
                StateError::Newer
            } else {
                StateError::Damaged
            });
        }
        serde_json::from_slice(bytes).map_err(|_| StateError::Damaged)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers always serialize")
    }

    /// A version's self-test begins.
    pub(super) fn begin(&self, accepted: Accepted) -> Self {
        Self { trial: Some(accepted.version), newest: Some(accepted), ..self.clone() }
    }

    /// The version on trial is not used.
    pub(super) fn refuse(&self, because: Because) -> Self {
        let before = |version| {
            let same = self.refused.filter(|refused| (refused.version, refused.because) == (version, because));
            same.map_or(0, |refused| refused.times)
        };
        let refuse = |version| Refused { version, because, times: before(version).saturating_add(1) };
        Self { trial: None, refused: self.trial.map(refuse).or(self.refused), ..self.clone() }
    }

    /// The version on trial is in use from now on.
    pub(super) fn confirm(&self, confirmed: Confirmed) -> Self {
        let again = self.active.is_some_and(|active| active.version == confirmed.version);
        let previous = if again { self.previous } else { self.active };
        // A version that comes back from being the one before is not its own way back.
        let previous = previous.filter(|previous| previous.version != confirmed.version);
        Self { active: Some(confirmed), previous, trial: None, refused: None, ..self.clone() }
    }

    /// The version before is in use again: the packaged models where there is none, or where it is not whole.
    pub(super) fn roll_back(&self, previous_is_whole: bool) -> Self {
        let refused =
            self.active.map(|active| Refused { version: active.version, because: Because::RolledBack, times: 1 });
        let active = self.previous.filter(|_| previous_is_whole);
        Self { active, previous: None, trial: None, refused, ..self.clone() }
    }

    /// Whether a version's folder must stay.
    pub(super) fn keeps(&self, version: u64) -> bool {
        let is = |confirmed: Option<Confirmed>| confirmed.is_some_and(|confirmed| confirmed.version == version);
        is(self.active) || is(self.previous) || self.trial == Some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_broke_off_is_tried_once_more_and_one_that_failed_is_not() {
        let accepted = Accepted { version: 4, sha256: Sha256Digest([1; 32]) };
        let refused = |state: &State| state.refused.unwrap();
        let once = State::default().begin(accepted).refuse(Because::BrokeOff);
        assert!(!refused(&once).is_final());
        let twice = once.begin(accepted).refuse(Because::BrokeOff);
        assert!(refused(&twice).is_final());
        // Of an earlier build, which did not count.
        let text = String::from_utf8(once.to_bytes()).unwrap().replace(",\"times\":1", "");
        assert_eq!(State::parse(text.as_bytes()), Ok(once.clone()));
        let other = once.begin(Accepted { version: 5, ..accepted }).refuse(Because::BrokeOff);
        assert!(!refused(&other).is_final(), "another version's death is not its own");
        assert!(refused(&once.begin(accepted).refuse(Because::SelfTestFailed)).is_final());
    }

    #[test]
    fn a_record_comes_back_as_it_was_and_a_newer_one_is_not_called_damaged() {
        let accepted = Accepted { version: 4, sha256: Sha256Digest([1; 32]) };
        let state = State::default().begin(accepted);
        assert_eq!(State::parse(&state.to_bytes()), Ok(state.clone()));
        let newer = String::from_utf8(state.to_bytes()).unwrap().replace("active/1", "active/2");
        assert_eq!(State::parse(newer.as_bytes()), Err(StateError::Newer));
        for noise in
            [&b""[..], b"{}", b"\0\0\0\0", b"{\"format\":\"snaptrak.models-active/1\"}x", &state.to_bytes()[1..]]
        {
            assert_eq!(State::parse(noise), Err(StateError::Damaged));
        }
    }
}
