//! The inference engine as the rest of the SDK sees it: tensors in, tensors out, and an honest word about where it ran.

use crate::{Reason, verdict::VerdictCode};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a model may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accelerator {
    /// The processor.
    Cpu,
    /// A GPU.
    Gpu,
    /// A neural processor.
    Npu,
}

impl Accelerator {
    /// Every accelerator.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Gpu, Self::Npu];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Npu => "npu",
        }
    }
}

/// How much of a loaded model lies on the accelerator that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Every operation.
    Whole,
    /// Some operations run in the library's plain kernels on the processor.
    Mixed,
    /// The library does not say.
    Unknown,
}

impl Placement {
    /// The word in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Mixed => "mixed",
            Self::Unknown => "unknown",
        }
    }
}

/// A dense tensor of 32-bit floats, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name of the model's input or output.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape`'s product of values.
    pub data: Vec<f32>,
}

/// A model's file and what is known of it before it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// The file; checked against the manifest by the caller.
    pub path: PathBuf,
    /// For messages.
    pub model_id: String,
}

/// How to load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Where it should run.
    pub accelerator: Accelerator,
    /// Threads for one run; never more are started.
    pub threads: usize,
}

/// Why an engine did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine's library is not there or not of the wanted version.
    #[error("the inference library cannot be loaded: {detail}")]
    Library {
        /// What the loader said; a path of the app's own, never content.
        detail: String,
    },
    /// The model cannot be loaded.
    #[error("the model {model_id} cannot be loaded: {detail}")]
    Model {
        /// Which.
        model_id: String,
        /// What the engine said.
        detail: String,
    },
    /// The model is larger than this device may load.
    #[error("the model {model_id} has {bytes} bytes, and {bytes_max} are the most that this device may load")]
    TooLarge {
        /// Which.
        model_id: String,
        /// Of its file.
        bytes: u64,
        /// What was configured.
        bytes_max: u64,
    },
    /// The accelerator is not offered by this library on this device.
    #[error("this device offers no {} for inference", accelerator.as_str())]
    NoAccelerator {
        /// Which was asked for.
        accelerator: Accelerator,
    },
    /// The accelerator is there and does not take the model as a whole.
    #[error("the model {model_id} cannot be placed on the {}: {detail}", accelerator.as_str())]
    NotPlaced {
        /// Which.
        model_id: String,
        /// Which was asked for.
        accelerator: Accelerator,
        /// What the engine said.
        detail: String,
    },
    /// The accelerator brought the process down with this model, or hung: it is not asked before its time is over or something changed.
    #[error("the {} is not asked to run {model_id}: {}", accelerator.as_str(), code.as_str())]
    Condemned {
        /// Which.
        model_id: String,
        /// Which was asked for.
        accelerator: Accelerator,
        /// What it is condemned for.
        code: VerdictCode,
    },
    /// A run failed, or the tensors do not fit the model.
    #[error("the run of {model_id} failed: {detail}")]
    Run {
        /// Which.
        model_id: String,
        /// What the engine said.
        detail: String,
    },
}

impl EngineError {
    /// The reason with which a step waits or parks.
    pub fn reason(&self) -> Reason {
        use crate::ReasonCode as C;
        match self {
            Self::Library { .. } => Reason::new(C::EngineMissing),
            Self::Model { model_id, .. } => Reason::new(C::ModelDamaged).with("model", model_id),
            // As if it were not there: what helps is another model, or another limit.
            Self::TooLarge { model_id, bytes, bytes_max } => Reason::new(C::ModelMissing)
                .with("model", model_id)
                .with("bytes", bytes.to_string())
                .with("bytes_max", bytes_max.to_string()),
            Self::NoAccelerator { accelerator } => {
                Reason::new(C::EngineMissing).with("accelerator", accelerator.as_str())
            }
            Self::NotPlaced { model_id, accelerator, .. } => {
                Reason::new(C::EngineMissing).with("accelerator", accelerator.as_str()).with("model", model_id)
            }
            Self::Condemned { model_id, accelerator, code } => Reason::new(C::EngineMissing)
                .with("accelerator", accelerator.as_str())
                .with("model", model_id)
                .with("verdict", code.as_str()),
            Self::Run { model_id, .. } => Reason::new(C::EngineFailed).with("model", model_id),
        }
    }
}

/// A loaded model.
pub trait Session: Send {
    /// Runs once; blocking.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError>;
    /// As [`Session::run`], into tensors that are used again. Given what the last run filled, an engine that can do so
    /// allocates nothing. After an error they hold anything.
    fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        *outputs = self.run(inputs)?;
        Ok(())
    }
    /// Where it really runs: what the engine placed the model on, not what was asked.
    fn accelerator_ran(&self) -> Accelerator;
    /// How much of the model is there.
    fn placement(&self) -> Placement {
        Placement::Unknown
    }
    /// Whether there are answers since the last [`Session::confirm`] that have not been compared with the processor's.
    fn is_unconfirmed(&self) -> bool {
        false
    }
    /// Compares what can be compared. `false`: an answer since the last call may be wrong, those inputs should be run again, and
    /// from now on another device answers.
    fn confirm(&mut self) -> bool {
        true
    }
}

/// An inference engine.
pub trait Engine: Send + Sync {
    /// Short word for the command line and the manifest (`ort`, `tflite`).
    fn id(&self) -> &'static str;
    /// Name and version for findings (`onnxruntime 1.31.1`).
    fn version(&self) -> String;
    /// What it offers on this device.
    fn accelerators(&self) -> Vec<Accelerator>;
    /// What the library calls the device behind an accelerator, with its driver if it knows; `None` where it has no name for it.
    /// Touches no device.
    fn device(&self, _accelerator: Accelerator) -> Option<String> {
        None
    }
    /// Loads a model.
    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError>;
}
