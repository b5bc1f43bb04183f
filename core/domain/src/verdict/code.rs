//! The words of a verdict.

use serde::{Deserialize, Serialize};

/// What may be done with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody knows yet.
    Untried,
    /// It answers rightly, and quicker than the processor.
    Usable,
    /// There is no gain in it, and no harm.
    Unusable,
    /// It did harm.
    Condemned,
}

/// A verdict and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictCode {
    /// Nobody knows yet.
    Untried,
    /// It answers rightly, and quicker than the processor.
    Usable,
    /// It answers rightly, and not so much quicker that it is worth the trouble.
    Slow,
    /// The engine has no such accelerator on this device.
    NotOffered,
    /// The accelerator does not take the model as a whole.
    NotPlaced,
    /// It failed in its trial, with an error.
    Failed,
    /// Its answer was not the processor's.
    WrongAnswer,
    /// Its answer held what is no number.
    NotANumber,
    /// It did not answer in time.
    Hung,
    /// The process died in it, as the operating system says.
    Crashed,
    /// Processes died in it, and nobody said why.
    Died,
    /// It failed again and again while it was in use.
    Failing,
}

impl VerdictCode {
    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::Untried,
        Self::Usable,
        Self::Slow,
        Self::NotOffered,
        Self::NotPlaced,
        Self::Failed,
        Self::WrongAnswer,
        Self::NotANumber,
        Self::Hung,
        Self::Crashed,
        Self::Died,
        Self::Failing,
    ];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Usable => "usable",
            Self::Slow => "slow",
            Self::NotOffered => "not_offered",
            Self::NotPlaced => "not_placed",
            Self::Failed => "failed",
            Self::WrongAnswer => "wrong_answer",
            Self::NotANumber => "not_a_number",
            Self::Hung => "hung",
            Self::Crashed => "crashed",
            Self::Died => "died",
            Self::Failing => "failing",
        }
    }

    /// What it means for the next load.
    pub fn standing(self) -> Standing {
        match self {
            Self::Untried => Standing::Untried,
            Self::Usable => Standing::Usable,
            Self::Slow | Self::NotOffered | Self::NotPlaced | Self::Failed => Standing::Unusable,
            Self::WrongAnswer | Self::NotANumber | Self::Hung | Self::Crashed | Self::Died | Self::Failing => {
                Standing::Condemned
            }
        }
    }

    /// Whether it brought the process down or held it up: then no other model is tried there either, or each would cost as many
    /// deaths again.
    pub fn endangers_others(self) -> bool {
        match self {
            Self::Hung | Self::Crashed | Self::Died => true,
            Self::Untried
            | Self::Usable
            | Self::Slow
            | Self::NotOffered
            | Self::NotPlaced
            | Self::Failed
            | Self::WrongAnswer
            | Self::NotANumber
            | Self::Failing => false,
        }
    }
}

impl Standing {
    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Usable => "usable",
            Self::Unusable => "unusable",
            Self::Condemned => "condemned",
        }
    }
}
