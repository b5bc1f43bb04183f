//! ONNX Runtime as an [`Engine`].
//!
//! Owns the loading of the library, the one environment, and sessions. Refuses to know pictures and manifests. When the
//! library is missing, of another version, or the model is no model, the answer is a typed error; nothing here panics on
//! what lies on disk.

mod environment;
mod file_check;
mod foreign;
mod port;
mod protobuf;
mod run;
mod session;

use environment::SharedEnvironment;
use ort::memory::DeviceType;
use session::OrtSession;
use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session};
use std::path::Path;

/// ONNX Runtime, loaded from a path.
#[derive(Debug, Clone)]
pub struct OrtEngine {
    shared: SharedEnvironment,
}

impl OrtEngine {
    /// Loads the library at `library`, or takes the environment that this process has from the same file.
    ///
    /// The path must name the library itself; nothing is searched for. The first call sets `ORT_DISABLE_TELEMETRY=1` in
    /// the environment if it is not there (see the crate's front page for the threads' side of that).
    pub fn open(library: &Path) -> Result<Self, EngineError> {
        Ok(Self { shared: SharedEnvironment::open(library)? })
    }
}

fn device_type(accelerator: Accelerator) -> DeviceType {
    match accelerator {
        Accelerator::Cpu => DeviceType::CPU,
        Accelerator::Gpu => DeviceType::GPU,
        Accelerator::Npu => DeviceType::NPU,
    }
}

impl Engine for OrtEngine {
    fn id(&self) -> &'static str {
        "ort"
    }

    fn version(&self) -> String {
        format!("onnxruntime {}", self.shared.version())
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        let offered: Vec<DeviceType> =
            self.shared.environment().devices().map(|device| device.hardware_device().ty()).collect();
        Accelerator::ALL.into_iter().filter(|accelerator| offered.contains(&device_type(*accelerator))).collect()
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(OrtSession::load(self.shared.environment(), model, options)?))
    }
}
