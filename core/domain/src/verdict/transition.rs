//! What happens to a verdict: a function from a verdict and an event to the next verdict.

use super::{Standing, Verdict, VerdictCode};
use crate::{ExitReason, UnixMs};

/// So many strikes condemn.
pub const STRIKES_MAX: u8 = 2;

/// Deaths for want of memory that are not held against an accelerator: the system takes memory from whom it likes. One that is
/// always there when it happens is the cause.
pub const LOW_MEMORY_DEATHS_EXCUSED: u8 = 3;

/// An accelerator must need at most this share of the processor's time: copies, a second copy of the weights and the checks of
/// its answers cost more than a tenth.
const RUN_SHARE_MAX: f64 = 0.8;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrialEnd {
    /// Its answers are the processor's.
    Right {
        /// Median of a run there.
        run_ms: f64,
        /// Median of a run on the processor.
        cpu_ms: f64,
        /// Largest difference of a value.
        difference: f32,
    },
    /// The engine has no such accelerator here.
    NotOffered,
    /// It does not take the model as a whole.
    NotPlaced,
    /// Something in its way.
    Fault(Fault),
}

/// What an accelerator did wrong without bringing the process down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Its answer is not the processor's.
    WrongAnswer {
        /// Largest difference of a value; `None` for another shape.
        difference: Option<f32>,
    },
    /// Its answer holds what is no number, where the processor's does not.
    NotANumber,
    /// It answered with an error.
    Failed,
    /// It did not answer in time.
    Hung,
}

/// A process that ended while it was loading, running or giving back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Which process: the same death is counted once.
    pub id: String,
    /// What the operating system says.
    pub reason: ExitReason,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A trial ended.
    Tried(TrialEnd),
    /// Something went wrong while it was in use.
    Faulted(Fault),
    /// A process ended while it was at it.
    Died(Death),
}

impl Verdict {
    /// The verdict after `event`.
    #[must_use]
    pub fn after(&self, event: &Event, now: UnixMs) -> Self {
        match event {
            Event::Tried(TrialEnd::Right { run_ms, cpu_ms, difference }) => {
                self.measured(*run_ms, *cpu_ms, *difference, now)
            }
            Event::Tried(TrialEnd::NotOffered) => self.decided(VerdictCode::NotOffered, now),
            Event::Tried(TrialEnd::NotPlaced) => self.decided(VerdictCode::NotPlaced, now),
            Event::Tried(TrialEnd::Fault(Fault::Failed)) => self.decided(VerdictCode::Failed, now),
            Event::Faulted(Fault::Failed) => self.struck(VerdictCode::Failing, now),
            Event::Tried(TrialEnd::Fault(fault)) | Event::Faulted(fault) => self.harmed(*fault, now),
            Event::Died(death) => self.outlived(death, now),
        }
    }

    fn measured(&self, run_ms: f64, cpu_ms: f64, difference: f32, now: UnixMs) -> Self {
        // A comparison that a time which is no number fails.
        let is_quicker = run_ms <= cpu_ms * RUN_SHARE_MAX;
        let code = if is_quicker { VerdictCode::Usable } else { VerdictCode::Slow };
        // Who comes back from being condemned comes back on trial: the next strike condemns again.
        let strikes = self.strikes.min(STRIKES_MAX - 1);
        let difference = Some(difference);
        Self { strikes, run_ms: Some(run_ms), cpu_ms: Some(cpu_ms), difference, ..self.decided(code, now) }
    }

    fn harmed(&self, fault: Fault, now: UnixMs) -> Self {
        match fault {
            Fault::WrongAnswer { difference } => Self { difference, ..self.condemned(VerdictCode::WrongAnswer, now) },
            Fault::NotANumber => self.condemned(VerdictCode::NotANumber, now),
            Fault::Hung => self.condemned(VerdictCode::Hung, now),
            Fault::Failed => self.struck(VerdictCode::Failing, now),
        }
    }

    fn outlived(&self, death: &Death, now: UnixMs) -> Self {
        if self.last_death.as_ref() == Some(&death.id) {
            return self.clone();
        }
        let mut told = Self { last_death: Some(death.id.clone()), ..self.clone() };
        match death.reason {
            ExitReason::NativeCrash => told.condemned(VerdictCode::Crashed, now),
            ExitReason::Unknown => told.struck(VerdictCode::Died, now),
            ExitReason::User | ExitReason::System => told,
            ExitReason::LowMemory => {
                told.low_memory_deaths = told.low_memory_deaths.saturating_add(1);
                let is_excused = told.low_memory_deaths <= LOW_MEMORY_DEATHS_EXCUSED;
                if is_excused { told } else { told.struck(VerdictCode::Died, now) }
            }
        }
    }

    fn struck(&self, code: VerdictCode, now: UnixMs) -> Self {
        let strikes = self.strikes.saturating_add(1);
        let struck = Self { strikes, ..self.clone() };
        if strikes >= STRIKES_MAX { struck.condemned(code, now) } else { struck }
    }

    fn condemned(&self, code: VerdictCode, now: UnixMs) -> Self {
        debug_assert_eq!(code.standing(), Standing::Condemned);
        let strikes = self.strikes.clamp(1, STRIKES_MAX);
        Self { strikes, condemned: self.condemned.saturating_add(1), ..self.decided(code, now) }
    }

    fn decided(&self, code: VerdictCode, now: UnixMs) -> Self {
        Self { code, since_ms: now, ..self.clone() }
    }
}
