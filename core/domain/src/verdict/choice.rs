//! Whether a candidate is used, tried or left alone, and when one that is left alone is tried again.

use super::{Circumstances, Standing, Verdict, VerdictCode};
use crate::{Conditions, UnixMs, conditions::Overruled};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// An accelerator that is not there costs next to nothing to ask for, and an app's update may bring it.
const NOT_OFFERED_MS: i64 = DAY_MS;
/// What was slow on a hot or busy device may be quick on another day; a trial costs about a second.
const SLOW_MS: i64 = 7 * DAY_MS;
/// A device that cannot be reached just now is told apart from a model that does not fit by no engine.
const NOT_PLACED_MS: i64 = 30 * DAY_MS;
/// An error may have come from a lack of memory.
const FAILED_MS: i64 = 7 * DAY_MS;
/// What was condemned without proof (a person who closes the app leaves the same trace as a crash) gets one more chance; each
/// time it waits twice as long.
const CONDEMNED_MS: i64 = 30 * DAY_MS;
/// Doublings of that: after the fourth time it is 240 days.
const DOUBLINGS_MAX: u8 = 3;

/// What to do with a candidate now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was measured, and it is better.
    Use,
    /// Measure it.
    Try,
    /// Take the processor.
    Avoid(Avoid),
}

/// Why a candidate is left alone now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Avoid {
    /// Because of its verdict.
    Verdict(VerdictCode),
    /// Because of the moment; the verdict stays what it is.
    Overruled(Overruled),
    /// Another model brought the process down there.
    Endangered,
}

impl Avoid {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verdict(code) => code.as_str(),
            Self::Overruled(overruled) => overruled.as_str(),
            Self::Endangered => "endangered",
        }
    }
}

/// What to do with a candidate whose verdict is `verdict` (`None`: there is none, or it stood on other circumstances).
/// `endangered` says whether another model brought the process down on the same accelerator.
pub fn decide(
    verdict: Option<&Verdict>,
    overruled: Option<Overruled>,
    endangered: bool,
    conditions: &Conditions,
    now: UnixMs,
) -> Decision {
    if let Some(overruled) = overruled {
        return Decision::Avoid(Avoid::Overruled(overruled));
    }
    let code = verdict.map_or(VerdictCode::Untried, |verdict| verdict.code);
    let is_due = verdict.is_none_or(|verdict| verdict.is_due(now));
    match code.standing() {
        Standing::Usable => Decision::Use,
        Standing::Untried | Standing::Unusable | Standing::Condemned if !is_due => {
            Decision::Avoid(Avoid::Verdict(code))
        }
        Standing::Untried | Standing::Unusable | Standing::Condemned => match conditions.spare() {
            _ if endangered => Decision::Avoid(Avoid::Endangered),
            Some(overruled) => Decision::Avoid(Avoid::Overruled(overruled)),
            None => Decision::Try,
        },
    }
}

impl Verdict {
    /// How long after it was decided it is tried again; `None` for what stands until something changes.
    pub fn retry_after_ms(&self) -> Option<i64> {
        match self.code {
            VerdictCode::Untried => Some(0),
            VerdictCode::NotOffered => Some(NOT_OFFERED_MS),
            VerdictCode::NotPlaced => Some(NOT_PLACED_MS),
            VerdictCode::Slow => Some(SLOW_MS),
            VerdictCode::Failed => Some(FAILED_MS),
            VerdictCode::Hung | VerdictCode::Died | VerdictCode::Failing => {
                Some(CONDEMNED_MS << self.condemned.saturating_sub(1).min(DOUBLINGS_MAX))
            }
            // The first is in use. The others would do the same again: wrong numbers, a crash that the operating system proved.
            VerdictCode::Usable | VerdictCode::WrongAnswer | VerdictCode::NotANumber | VerdictCode::Crashed => None,
        }
    }

    /// When it is tried again by itself; `None` for what stands until something changes.
    pub fn retry_at_ms(&self) -> Option<UnixMs> {
        self.retry_after_ms().map(|after| UnixMs(self.since_ms.0.saturating_add(after)))
    }

    /// Whether it is to be tried again. A clock that was set back counts as time that went by: it must not keep a verdict for
    /// years.
    pub fn is_due(&self, now: UnixMs) -> bool {
        let past = now.0.abs_diff(self.since_ms.0);
        self.retry_after_ms().is_some_and(|after| past >= after.unsigned_abs())
    }

    /// Whether it speaks against trying another model under these circumstances.
    pub fn endangers(&self, circumstances: &Circumstances, now: UnixMs) -> bool {
        self.code.endangers_others() && self.circumstances.same_device(circumstances) && !self.is_due(now)
    }
}
