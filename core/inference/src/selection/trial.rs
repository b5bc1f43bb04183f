//! One trial: the model on the accelerator and on the processor, the same inputs, answers compared, times taken.

use super::compare::{Comparison, compare, copy};
use super::placed::Placed;
use super::worker::{Tensors, Trouble};
use snaptrak_domain::{
    engine::{EngineError, Session, Tensor},
    verdict::{Fault, TrialEnd},
};

/// Runs that are not counted: the first ones compile, allocate and wake the device up.
const WARM_UPS: usize = 2;
/// Runs of which the middle one counts: odd, and few, for a trial is work that nobody asked for.
const TIMED_RUNS: usize = 5;
/// One run that takes so many times as long as on the processor has shown enough.
const HOPELESS_TIMES: f64 = 4.0;

/// Milliseconds of a clock that only goes forward; its zero is anywhere.
pub type StopwatchFn = dyn Fn() -> f64 + Send + Sync;

/// The processor's answers and time, taken once for all accelerators.
pub(super) struct Reference {
    inputs: Vec<Vec<Tensor>>,
    answers: Vec<Vec<Tensor>>,
    pub(super) cpu_ms: f64,
    tolerance: f32,
}

impl Reference {
    /// Runs each input on the processor, the first one often enough to know how long it takes.
    pub(super) fn measure(
        cpu: &mut dyn Session,
        inputs: Vec<Vec<Tensor>>,
        tolerance: f32,
        stopwatch: &StopwatchFn,
    ) -> Result<Self, EngineError> {
        let answers = inputs.iter().map(|input| cpu.run(input)).collect::<Result<Vec<_>, _>>()?;
        let first = inputs.first().map(Vec::as_slice).unwrap_or_default();
        let mut outputs = Vec::new();
        for _ in 0..WARM_UPS {
            cpu.run_into(first, &mut outputs)?;
        }
        let mut times = [0.0; TIMED_RUNS];
        for time in &mut times {
            let started = stopwatch();
            cpu.run_into(first, &mut outputs)?;
            *time = stopwatch() - started;
        }
        Ok(Self { inputs, answers, cpu_ms: median(times), tolerance })
    }

    /// What the accelerator makes of the same inputs. `None`: it could not be asked.
    pub(super) fn judge(&self, placed: &mut Placed, stopwatch: &StopwatchFn) -> Option<TrialEnd> {
        let mut tensors = Tensors::default();
        let mut most = None;
        for at in 0..self.inputs.len() {
            match self.ask(placed, at, &mut tensors) {
                Ok(Comparison::Same { difference }) => most = Some(f32::max(most.unwrap_or(0.0), difference)),
                Ok(Comparison::Unjudged) => {}
                Ok(Comparison::Other(fault)) => return Some(TrialEnd::Fault(fault)),
                Err(trouble) => return fault_of(&trouble).map(TrialEnd::Fault),
            }
        }
        let Some(difference) = most else {
            // Neither device gives numbers for any of the inputs, so nothing speaks for this one.
            return Some(TrialEnd::Fault(Fault::Failed));
        };
        match self.time(placed, &mut tensors, stopwatch) {
            Ok(run_ms) => Some(TrialEnd::Right { run_ms, cpu_ms: self.cpu_ms, difference }),
            Err(Ended::Fault(fault)) => Some(TrialEnd::Fault(fault)),
            Err(Ended::Unmarked) => None,
        }
    }

    fn time(&self, placed: &mut Placed, tensors: &mut Tensors, stopwatch: &StopwatchFn) -> Result<f64, Ended> {
        let mut times = [0.0; TIMED_RUNS];
        for warm_up in 0..WARM_UPS {
            let started = stopwatch();
            self.again(placed, tensors)?;
            // Not the very first run after loading, which may compile.
            let took = stopwatch() - started;
            if warm_up > 0 && took > self.cpu_ms * HOPELESS_TIMES {
                return Ok(took);
            }
        }
        for time in &mut times {
            let started = stopwatch();
            self.again(placed, tensors)?;
            *time = stopwatch() - started;
        }
        Ok(median(times))
    }

    /// The first input once more; every answer is compared, for a device may answer rightly only at first.
    fn again(&self, placed: &mut Placed, tensors: &mut Tensors) -> Result<(), Ended> {
        match self.ask(placed, 0, tensors) {
            Ok(Comparison::Same { .. } | Comparison::Unjudged) => Ok(()),
            Ok(Comparison::Other(fault)) => Err(Ended::Fault(fault)),
            Err(trouble) => Err(fault_of(&trouble).map_or(Ended::Unmarked, Ended::Fault)),
        }
    }

    fn ask(&self, placed: &mut Placed, at: usize, tensors: &mut Tensors) -> Result<Comparison, Trouble> {
        copy(&self.inputs[at], &mut tensors.inputs);
        *tensors = placed.run(std::mem::take(tensors))?;
        Ok(compare(&self.answers[at], &tensors.outputs, self.tolerance))
    }
}

enum Ended {
    Fault(Fault),
    Unmarked,
}

/// What is held against the accelerator; nothing when it was not asked.
pub(super) fn fault_of(trouble: &Trouble) -> Option<Fault> {
    match trouble {
        Trouble::Refused(error) => {
            tracing::warn!(%error, "an accelerator answered with an error");
            Some(Fault::Failed)
        }
        Trouble::Hung => Some(Fault::Hung),
        Trouble::Unmarked => None,
    }
}

/// How a load that did not succeed ends the trial.
pub(super) fn end_of_load(trouble: &Trouble) -> Option<TrialEnd> {
    match trouble {
        Trouble::Refused(EngineError::NoAccelerator { .. }) => Some(TrialEnd::NotOffered),
        Trouble::Refused(EngineError::NotPlaced { .. }) => Some(TrialEnd::NotPlaced),
        Trouble::Refused(
            EngineError::Library { .. }
            | EngineError::Model { .. }
            | EngineError::TooLarge { .. }
            | EngineError::Condemned { .. }
            | EngineError::Run { .. },
        )
        | Trouble::Hung
        | Trouble::Unmarked => fault_of(trouble).map(TrialEnd::Fault),
    }
}

fn median(mut times: [f64; TIMED_RUNS]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[TIMED_RUNS / 2]
}
