//! What this device's accelerators are good for: one verdict for each (engine, accelerator, model, foreground or background), which
//! holds as long as device, driver, library and the model's bytes are the same.
//!
//! ```text
//!             trial: right and quicker            fault or death: one strike
//!  untried ───────────────────────────▶ usable ──────────────┐
//!     │  ▲                                │   wrong, no number,│second strike,
//!     │  └── time, or something changed   │   hung, a proven   │crash
//!     ├─▶ slow, not_offered,              ▼   crash            ▼
//!     │   not_placed, failed          condemned ◀──────────────┘
//!     └──────────── trial: wrong, no number, hung ─▲
//! ```
//!
//! Owns the words, the transitions ([`Verdict::after`]) and the choice ([`decide`]). Refuses to know files, clocks and engines.

mod choice;
mod code;
mod transition;

pub use choice::{Avoid, Decision, decide};
pub use code::{Standing, VerdictCode};
pub use transition::{Death, Event, Fault, LOW_MEMORY_DEATHS_EXCUSED, STRIKES_MAX, TrialEnd};

use crate::{Place, Sha256Digest, UnixMs, engine::Accelerator};
use serde::{Deserialize, Serialize};

/// What a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// [`crate::engine::Engine::id`].
    pub engine: String,
    /// Where it runs; never the processor, which is what all others are compared with.
    pub accelerator: Accelerator,
    /// The model's name in the manifest.
    pub model_id: String,
    /// In front or behind.
    pub place: Place,
}

/// What a verdict stands on: when any of it is another, the verdict has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// [`crate::engine::Engine::version`].
    pub library: String,
    /// What the engine calls the device; empty where it has no name for it.
    pub device: String,
    /// What stands for the device's drivers: a build of the system, or what the app says.
    pub driver: String,
    /// The model's file.
    pub model_sha256: Sha256Digest,
}

impl Circumstances {
    /// What of these is another in `now`, as words; nothing when the verdict still stands.
    pub fn changed(&self, now: &Self) -> Vec<&'static str> {
        let pairs = [
            ("library", self.library == now.library),
            ("device", self.device == now.device),
            ("driver", self.driver == now.driver),
            ("model", self.model_sha256 == now.model_sha256),
        ];
        pairs.into_iter().filter(|(_, same)| !same).map(|(word, _)| word).collect()
    }

    /// Whether both speak of the same device with the same software, whatever the model.
    pub fn same_device(&self, other: &Self) -> bool {
        let Self { library, device, driver, model_sha256: _ } = self;
        *library == other.library && *device == other.device && *driver == other.driver
    }
}

/// A verdict with what led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it is about.
    pub candidate: Candidate,
    /// What it stands on.
    pub circumstances: Circumstances,
    /// The verdict.
    pub code: VerdictCode,
    /// Deaths and failures that are held against it.
    pub strikes: u8,
    /// Deaths for want of memory, which are excused at first.
    #[serde(default)]
    pub low_memory_deaths: u8,
    /// How often it was condemned: each time it is left alone for longer.
    #[serde(default)]
    pub condemned: u8,
    /// Median of a run there, in milliseconds.
    #[serde(default)]
    pub run_ms: Option<f64>,
    /// Median of a run on the processor.
    #[serde(default)]
    pub cpu_ms: Option<f64>,
    /// Largest difference of a value from the processor's that was seen.
    #[serde(default)]
    pub difference: Option<f32>,
    /// When the code was decided.
    pub since_ms: UnixMs,
    /// The last death that was counted, so that none is counted twice.
    #[serde(default)]
    pub last_death: Option<String>,
}

impl Verdict {
    /// Before anything is known.
    pub fn untried(candidate: Candidate, circumstances: Circumstances, now: UnixMs) -> Self {
        Self {
            candidate,
            circumstances,
            code: VerdictCode::Untried,
            strikes: 0,
            low_memory_deaths: 0,
            condemned: 0,
            run_ms: None,
            cpu_ms: None,
            difference: None,
            since_ms: now,
            last_death: None,
        }
    }
}

#[cfg(test)]
mod tests;
