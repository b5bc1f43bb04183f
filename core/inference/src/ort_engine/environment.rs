//! The process's one ONNX Runtime environment.
//!
//! ONNX Runtime allows one environment a process and `ort` keeps it in a global of its own, which cannot be filled a second
//! time even when the first environment is gone. So it is made once and kept until the process ends, whoever asks for it.

use super::{foreign, provider::OrtProvider};
use ort::{environment::Environment, logging::LogLevel};
use snaptrak_domain::engine::EngineError;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The environment with what is known of its library.
#[derive(Clone)]
pub(super) struct SharedEnvironment {
    environment: Environment,
    library: Arc<Path>,
    version: Arc<str>,
    /// Providers that were loaded, by name: the library keeps them as long as the environment.
    registered: Arc<Mutex<Vec<(String, PathBuf)>>>,
}

impl std::fmt::Debug for SharedEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedEnvironment").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Filled by the first success and never emptied. A failure leaves it empty, so that the next call may do better.
static SHARED: Mutex<Option<SharedEnvironment>> = Mutex::new(None);

impl SharedEnvironment {
    /// The environment of the library at `library`.
    pub(super) fn open(library: &Path) -> Result<Self, EngineError> {
        let library = library
            .canonicalize()
            .map_err(|error| EngineError::Library { detail: format!("{}: {}", library.display(), error.kind()) })?;
        // What is inside is only ever replaced whole, so a panic elsewhere cannot have left it half done.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some(there) if *there.library == *library => Ok(there.clone()),
            Some(there) => Err(EngineError::Library {
                detail: format!(
                    "this process has loaded {} already, and only one ONNX Runtime fits into a process",
                    there.library.display()
                ),
            }),
            None => Ok(shared.insert(Self::load(library)?).clone()),
        }
    }

    fn load(library: PathBuf) -> Result<Self, EngineError> {
        foreign::switch_telemetry_off();
        let version = foreign::version_of(&library)?;
        // `ort::init` would panic where this answers.
        let builder = ort::init_from(&library).map_err(|error| EngineError::Library { detail: error.to_string() })?;
        let environment = builder
            .with_name("snaptrak")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|error| EngineError::Library { detail: error.to_string() })?;
        environment.set_log_level(LogLevel::Warning);
        tracing::info!(version, "onnxruntime is loaded");
        Ok(Self { environment, library: library.into(), version: version.into(), registered: Arc::default() })
    }

    /// Loads a provider's library, unless the process has it.
    pub(super) fn register(&self, provider: &OrtProvider) -> Result<(), EngineError> {
        let failed =
            |detail: &str| EngineError::Library { detail: format!("{}: {detail}", provider.library.display()) };
        let library = provider.library.canonicalize().map_err(|error| failed(&error.kind().to_string()))?;
        // A failure leaves the list as it was.
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        match registered.iter().find(|(name, _)| *name == provider.name) {
            Some((_, there)) if *there == library => return Ok(()),
            Some(_) => return Err(failed("this process has loaded another library of this name already")),
            None => {}
        }
        let environment = &self.environment;
        environment.register_ep_library(&provider.name, &library).map_err(|error| failed(&error.to_string()))?;
        tracing::info!(provider = provider.name, "a provider of onnxruntime is loaded");
        registered.push((provider.name.clone(), library));
        Ok(())
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// What the library says goes to our log and not to standard error. It names nodes and shapes, never values.
fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => tracing::trace!(category, "{message}"),
        LogLevel::Warning => tracing::debug!(category, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::warn!(category, "{message}"),
    }
}
