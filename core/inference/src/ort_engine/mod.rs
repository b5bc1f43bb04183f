//! ONNX Runtime as an [`Engine`].
//!
//! Owns the loading of the library, the one environment, and sessions. Refuses to know pictures and manifests. When the
//! library is missing, of another version, or the model is no model, the answer is a typed error; nothing here panics on
//! what lies on disk.

mod built_in;
mod environment;
mod file_check;
mod foreign;
mod port;
mod protobuf;
mod provider;
mod run;
mod session;

use environment::SharedEnvironment;
pub use provider::{OrtLibraries, OrtProvider};
use session::OrtSession;
use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session};
use std::{path::Path, sync::Arc};

/// ONNX Runtime, loaded from a path.
#[derive(Debug, Clone)]
pub struct OrtEngine {
    shared: SharedEnvironment,
    providers: Arc<[OrtProvider]>,
}

impl OrtEngine {
    /// Loads the library at `library`, or takes the environment that this process has from the same file.
    ///
    /// The path must name the library itself; nothing is searched for. The first call sets `ORT_DISABLE_TELEMETRY=1` in
    /// the environment if it is not there (see the crate's front page for the threads' side of that).
    pub fn open(library: &Path) -> Result<Self, EngineError> {
        Self::open_with(&OrtLibraries::new(library))
    }

    /// As [`OrtEngine::open`], with providers in libraries of their own. A provider's library is loaded once in a process; an
    /// engine that was not given it does not use it.
    ///
    /// # Errors
    /// `Library`: as for [`OrtEngine::open`], or a provider's library is none, or is another than this process knows under its
    /// name.
    pub fn open_with(libraries: &OrtLibraries) -> Result<Self, EngineError> {
        let shared = SharedEnvironment::open(&libraries.library)?;
        libraries.providers.iter().try_for_each(|provider| shared.register(provider))?;
        Ok(Self { shared, providers: libraries.providers.clone().into() })
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
        let environment = self.shared.environment();
        let offers = |accelerator: &Accelerator| provider::offers(environment, &self.providers, *accelerator);
        Accelerator::ALL.into_iter().filter(offers).collect()
    }

    fn device(&self, accelerator: Accelerator) -> Option<String> {
        provider::device(self.shared.environment(), &self.providers, accelerator)
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(OrtSession::load(self.shared.environment(), &self.providers, model, options)?))
    }
}
