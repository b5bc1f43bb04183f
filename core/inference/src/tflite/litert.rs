//! LiteRT's compiled models: what is asked of an accelerator, and what an answer means.

use super::{
    NpuPlugin,
    litert_foreign::{CPU, Compilation, Compiled, Environment, GPU, Library, Model, NPU, Surroundings},
    session::TfliteSession,
};
use crate::bounds::THREADS_MAX;
use snaptrak_domain::engine::{Accelerator, EngineError, LoadOptions, ModelFile, Placement};
use std::{
    ffi::c_int,
    path::{Path, PathBuf},
};

/// What XNNPACK's options are called among the options of a compilation.
const XNNPACK: &str = "xnnpack";

/// The loaded library with where its accelerators are.
#[derive(Clone)]
pub(super) struct Litert {
    library: Library,
    runtime_folder: PathBuf,
    npu: Option<NpuPlugin>,
}

fn bit(accelerator: Accelerator) -> c_int {
    match accelerator {
        Accelerator::Cpu => CPU,
        Accelerator::Gpu => GPU,
        Accelerator::Npu => NPU,
    }
}

impl Litert {
    pub(super) fn load_library(path: &Path, runtime_folder: &Path, npu: Option<NpuPlugin>) -> Result<Self, String> {
        let library = Library::load(path)?;
        let litert = Self { library, runtime_folder: runtime_folder.to_owned(), npu };
        // A library that cannot even make an environment for the processor is of no use, and it is better known now.
        litert.environment(Accelerator::Cpu)?;
        Ok(litert)
    }

    /// An environment with this accelerator alone, so that an app which wants the processor never loads a GPU's libraries.
    fn environment(&self, accelerator: Accelerator) -> Result<Environment, String> {
        let npu = self.npu.as_ref().filter(|_| accelerator == Accelerator::Npu);
        let surroundings = Surroundings {
            accelerators: bit(accelerator),
            runtime_folder: &self.runtime_folder,
            npu_folders: npu.map(|npu| (npu.compiler_folder.as_path(), npu.dispatch_folder.as_path())),
        };
        Environment::new(&self.library, surroundings)
    }

    /// The environment for an accelerator whose library is there.
    fn environment_with(&self, accelerator: Accelerator) -> Result<Option<Environment>, String> {
        if accelerator == Accelerator::Npu && self.npu.is_none() {
            return Ok(None);
        }
        let environment = self.environment(accelerator)?;
        let is_there = environment.accelerators()? & bit(accelerator) != 0;
        Ok(is_there.then_some(environment))
    }

    pub(super) fn offers(&self, accelerator: Accelerator) -> bool {
        self.environment_with(accelerator).is_ok_and(|environment| environment.is_some())
    }

    pub(super) fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<TfliteSession<Compiled>, EngineError> {
        let accelerator = options.accelerator;
        let model_id = || model.model_id.clone();
        let failed = |detail: String| EngineError::Model { model_id: model_id(), detail };
        let environment = self.environment_with(accelerator).map_err(|detail| EngineError::Library { detail })?;
        let environment = environment.ok_or(EngineError::NoAccelerator { accelerator })?;
        let bytes = super::read(&model.path, options.threads).map_err(failed)?;
        let parsed = Model::new(&environment, bytes).map_err(failed)?;
        // What the file is has been settled; from here on it is the accelerator that may refuse.
        let refused = |detail: String| match accelerator {
            Accelerator::Cpu => failed(detail),
            Accelerator::Gpu | Accelerator::Npu => EngineError::NotPlaced { model_id: model_id(), accelerator, detail },
        };
        // What makes a model ready for another device wants to know all of it.
        if accelerator != Accelerator::Cpu && parsed.is_open() {
            return Err(refused("only a run tells some of its sizes".to_owned()));
        }
        let texts = self.texts(options);
        // The processor is not among them unless it was asked for: the library would fall back to it without a word.
        let compilation = Compilation { accelerators: bit(accelerator), texts: &texts };
        let runner = Compiled::new(environment, parsed, compilation).map_err(refused)?;
        let placement = placement(&runner, accelerator).map_err(refused)?;
        Ok(TfliteSession { runner, model_id: model_id(), accelerator, placement })
    }

    fn texts(&self, options: LoadOptions) -> Vec<(String, String)> {
        let threads = options.threads.clamp(1, THREADS_MAX);
        let mut texts = vec![(XNNPACK.to_owned(), format!("num_threads = {threads}\n"))];
        if let Some(npu) = self.npu.as_ref().filter(|_| options.accelerator == Accelerator::Npu) {
            texts.extend(npu.options.iter().map(|option| (option.identifier.clone(), option.toml.clone())));
        }
        texts
    }
}

/// Where the operations lie. On the processor some may be left to plain kernels, which is slower and still what was asked
/// for; on another device nothing may be left.
fn placement(runner: &Compiled, accelerator: Accelerator) -> Result<Placement, String> {
    match accelerator {
        Accelerator::Cpu if runner.is_accelerated()? => Ok(Placement::Whole),
        Accelerator::Cpu => Ok(Placement::Mixed),
        Accelerator::Gpu | Accelerator::Npu if runner.is_off_the_processor()? => Ok(Placement::Whole),
        Accelerator::Gpu | Accelerator::Npu => Err("some of its operations would run on the processor".to_owned()),
    }
}

impl std::fmt::Debug for Litert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Litert").field("runtime_folder", &self.runtime_folder).field("npu", &self.npu).finish()
    }
}
