//! Where things are and how much may be used.

use crate::{Accelerator, LastExit};
use std::collections::HashMap;

/// The configuration of one instance. Everything but the store's folder has a default.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Config {
    /// Folder of the store.
    pub store: String,
    /// Folder with `manifest.json` and the models that it names; without it nothing is analysed.
    #[uniffi(default = None)]
    pub models: Option<String>,
    /// The ONNX Runtime library; without it and `tflite_library` nothing is analysed.
    #[uniffi(default = None)]
    pub runtime_library: Option<String>,
    /// The LiteRT library (2.3), or one with TensorFlow Lite's C API (2.x).
    #[uniffi(default = None)]
    pub tflite_library: Option<String>,
    /// Bytes that the organisation's models may take, all versions together: 1 GiB, at least 1 MiB. The one in use and the one
    /// before never go for it.
    #[uniffi(default = 1073741824)]
    pub models_quota_bytes: u64,
    /// Certificates that are trusted besides the platform's, PEM.
    #[uniffi(default = None)]
    pub trusted_roots_pem: Option<String>,
    /// Threads for one inference run, 1 to 64.
    #[uniffi(default = 2)]
    pub threads: u32,
    /// What the organisation sees as this device's name, 1 to 100 characters.
    #[uniffi(default = "device")]
    pub device_name: String,
    /// Bytes that the sealed files of the store should take at most, from 32 MiB; what the server signed for goes, oldest first.
    #[uniffi(default = None)]
    pub quota_bytes: Option<u64>,
    /// Whether a capture that does not fit into the quota is refused.
    #[uniffi(default = false)]
    pub quota_is_hard: bool,
    /// Room that the store holds so that a purge works on a full disk; 0 for none, at most 1 GiB.
    #[uniffi(default = 16777216)]
    pub ballast_bytes: u64,
    /// What stands for the device's system and drivers (`Build.FINGERPRINT`): when it is another, accelerators are measured again.
    #[uniffi(default = None)]
    pub device_build: Option<String>,
    /// How the app's last process ended, if the system told: an accelerator that was at work then is judged by it.
    #[uniffi(default = None)]
    pub last_exit: Option<LastExit>,
    /// Execution providers of ONNX Runtime in libraries of their own, best first: for a GPU or an NPU.
    #[uniffi(default = [])]
    pub runtime_providers: Vec<OrtProvider>,
    /// Folder with LiteRT's libraries for GPUs; the library's own folder otherwise.
    #[uniffi(default = None)]
    pub tflite_accelerators: Option<String>,
    /// A maker's libraries with which LiteRT runs models on its NPU.
    #[uniffi(default = None)]
    pub tflite_npu: Option<NpuPlugin>,
    /// Bytes of the largest model that is loaded at all; a larger one is refused before it is (`model_missing`). It takes two to
    /// three times as much once it is loaded.
    #[uniffi(default = None)]
    pub model_bytes_max: Option<u64>,
}

/// An execution provider of ONNX Runtime in a library of its own: WebGPU's, Qualcomm's (QNN), Intel's (OpenVINO), NVIDIA's (CUDA).
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct OrtProvider {
    /// What it calls itself (`WebGpuExecutionProvider`).
    pub name: String,
    /// Its library, which stays in the process for good.
    pub library: String,
    /// What it runs models on.
    pub accelerator: Accelerator,
    /// What it is told, by its own words.
    #[uniffi(default)]
    pub options: HashMap<String, String>,
}

/// The maker's libraries for an NPU.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NpuPlugin {
    /// Folder of the library that makes a model ready for it.
    pub compiler_folder: String,
    /// Folder of the library that runs what was made ready.
    pub dispatch_folder: String,
    /// What the maker's libraries are told.
    #[uniffi(default = [])]
    pub options: Vec<NpuOption>,
}

/// One thing that an NPU's libraries are told.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NpuOption {
    /// Whom it is for (`qualcomm`, `intel_openvino`).
    pub identifier: String,
    /// What it says, as TOML.
    pub toml: String,
}

impl From<OrtProvider> for snaptrak::OrtProvider {
    fn from(provider: OrtProvider) -> Self {
        let OrtProvider { name, library, accelerator, options } = provider;
        let mut options: Vec<_> = options.into_iter().collect();
        // The same configuration is told in the same words each time.
        options.sort();
        Self { name, library: library.into(), accelerator: accelerator.into(), stands_in: false, options }
    }
}

impl From<NpuPlugin> for snaptrak::NpuPlugin {
    fn from(plugin: NpuPlugin) -> Self {
        let NpuPlugin { compiler_folder, dispatch_folder, options } = plugin;
        let option = |NpuOption { identifier, toml }| snaptrak::NpuOption { identifier, toml };
        let options = options.into_iter().map(option).collect();
        Self { compiler_folder: compiler_folder.into(), dispatch_folder: dispatch_folder.into(), options }
    }
}

impl From<Config> for snaptrak::Config {
    fn from(config: Config) -> Self {
        Self {
            models: config.models.map(Into::into),
            runtime_library: config.runtime_library.map(Into::into),
            tflite_library: config.tflite_library.map(Into::into),
            models_quota_bytes: config.models_quota_bytes,
            trusted_roots_pem: config.trusted_roots_pem.unwrap_or_default().into_bytes(),
            threads: config.threads as usize,
            device_name: config.device_name,
            quota_bytes: config.quota_bytes,
            quota_is_hard: config.quota_is_hard,
            ballast_bytes: config.ballast_bytes,
            device_build: config.device_build,
            last_exit: config.last_exit.map(Into::into).unwrap_or_default(),
            runtime_providers: config.runtime_providers.into_iter().map(Into::into).collect(),
            tflite_accelerators: config.tflite_accelerators.map(Into::into),
            tflite_npu: config.tflite_npu.map(Into::into),
            model_bytes_max: config.model_bytes_max,
            ..Self::new(config.store)
        }
    }
}
