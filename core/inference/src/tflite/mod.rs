//! TFLite models, by LiteRT or by TensorFlow Lite, as an [`Engine`].
//!
//! Owns the loading of the library, its accelerators, and sessions. Refuses to know pictures and manifests. A library that
//! is missing or of another version, a model that is none, and a device that does not take a model whole are typed errors;
//! nothing here panics on what lies on disk, and nothing runs elsewhere than it was asked to.

mod classic_foreign;
mod file_check;
mod flatbuffer;
mod functions;
mod litert;
mod litert_foreign;
mod open_sizes;
mod port;
mod session;
mod status;
mod symbols;

use crate::model_bytes::ModelBytes;
use classic_foreign::{Classic, Interpreted};
use litert::Litert;
use session::{Runner, TfliteSession};
use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Placement, Session};
use std::path::{Path, PathBuf};
use symbols::{Interface, LITERT_VERSION};

/// Where the library and its accelerators are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TfliteLibraries {
    /// LiteRT (`libLiteRt.so`), or a library with TensorFlow Lite's C API.
    pub library: PathBuf,
    /// Folder with LiteRT's GPU libraries; the library's own folder otherwise.
    pub accelerators_folder: Option<PathBuf>,
    /// A maker's libraries for its NPU.
    pub npu: Option<NpuPlugin>,
}

impl TfliteLibraries {
    /// The library alone, with the accelerators that lie beside it.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self { library: library.into(), accelerators_folder: None, npu: None }
    }
}

/// A maker's libraries for its NPU, and what they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpuPlugin {
    /// Folder with the compiler (`libLiteRtCompilerPlugin_*.so`).
    pub compiler_folder: PathBuf,
    /// Folder with what runs the compiled code (`libLiteRtDispatch_*.so`).
    pub dispatch_folder: PathBuf,
    /// What the libraries are told.
    pub options: Vec<NpuOption>,
}

/// One text for a maker's libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpuOption {
    /// By which the libraries find it (`intel_openvino`).
    pub identifier: String,
    /// The text, in TOML.
    pub toml: String,
}

/// LiteRT, or TensorFlow Lite where only that is there, loaded from a path.
#[derive(Debug, Clone)]
pub struct TfliteEngine {
    library: Loaded,
}

#[derive(Debug, Clone)]
enum Loaded {
    Litert(Litert),
    Classic(Classic),
}

impl TfliteEngine {
    /// Loads the library at `library`, with the accelerators that lie beside it.
    ///
    /// # Errors
    /// `Library`: there is none, or it is neither LiteRT of the one version that this build knows nor a library with
    /// TensorFlow Lite's C API.
    pub fn open(library: &Path) -> Result<Self, EngineError> {
        Self::open_with(&TfliteLibraries::new(library))
    }

    /// As [`TfliteEngine::open`], with accelerators from elsewhere. The paths must name libraries and folders themselves;
    /// nothing is searched for, and what a file is is looked up before any of its code runs.
    pub fn open_with(libraries: &TfliteLibraries) -> Result<Self, EngineError> {
        let path = &libraries.library;
        let failed = |detail: String| EngineError::Library { detail: format!("{}: {detail}", path.display()) };
        let library = match symbols::interface_of(path)? {
            Interface::Litert => {
                let beside = path.parent().unwrap_or(Path::new("."));
                let folder = libraries.accelerators_folder.as_deref().unwrap_or(beside);
                Loaded::Litert(Litert::load_library(path, folder, libraries.npu.clone()).map_err(failed)?)
            }
            Interface::Classic => Loaded::Classic(Classic::load_library(path).map_err(failed)?),
        };
        let engine = Self { library };
        tracing::info!(version = engine.version(), "the library for TFLite models is loaded");
        Ok(engine)
    }
}

impl Engine for TfliteEngine {
    fn id(&self) -> &'static str {
        "tflite"
    }

    /// LiteRT tells no patch version, so there is none here.
    fn version(&self) -> String {
        match &self.library {
            Loaded::Litert(_) => format!("litert {LITERT_VERSION}"),
            Loaded::Classic(classic) => format!("tensorflow-lite {}", classic.version()),
        }
    }

    /// Those whose libraries are there; whether a device answers is known when a model is loaded.
    fn accelerators(&self) -> Vec<Accelerator> {
        let offers = |accelerator: &Accelerator| match &self.library {
            Loaded::Litert(litert) => litert.offers(*accelerator),
            Loaded::Classic(_) => *accelerator == Accelerator::Cpu,
        };
        Accelerator::ALL.into_iter().filter(offers).collect()
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        match &self.library {
            Loaded::Litert(litert) => boxed(litert.load(model, options)?),
            Loaded::Classic(classic) => boxed(interpreted(classic, model, options)?),
        }
    }
}

/// The bytes of a file that the libraries may be given.
fn read(path: &Path, threads: usize) -> Result<ModelBytes, String> {
    let bytes = ModelBytes::read(path, threads)?;
    file_check::check(bytes.as_slice())?;
    Ok(bytes)
}

fn boxed<R: Runner + 'static>(session: TfliteSession<R>) -> Result<Box<dyn Session>, EngineError> {
    for ports in [session.runner.inputs(), session.runner.outputs()] {
        port::check_ports(ports).map_err(|detail| EngineError::Model { model_id: session.model_id.clone(), detail })?;
    }
    Ok(Box::new(session))
}

fn interpreted(
    classic: &Classic,
    model: &ModelFile,
    options: LoadOptions,
) -> Result<TfliteSession<Interpreted>, EngineError> {
    let accelerator = options.accelerator;
    if accelerator != Accelerator::Cpu {
        return Err(EngineError::NoAccelerator { accelerator });
    }
    let failed = |detail: String| EngineError::Model { model_id: model.model_id.clone(), detail };
    let bytes = read(&model.path, options.threads).map_err(failed)?;
    let runner = Interpreted::new(classic, bytes).map_err(failed)?;
    Ok(TfliteSession { runner, model_id: model.model_id.clone(), accelerator, placement: Placement::Unknown })
}
