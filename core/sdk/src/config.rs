//! The one configuration object of an instance.

use crate::{Error, ErrorCode};
use snaptrak_domain::{LastExit, limits::BALLAST_BYTES};
use snaptrak_inference::{NpuPlugin, OrtProvider, registry::QUOTA_BYTES as MODELS_QUOTA_BYTES};
use std::path::PathBuf;

/// Threads for one inference run when the app does not say: phones have two to four big cores.
const THREADS_DEFAULT: usize = 2;
/// More threads than this help no model that runs on a phone.
const THREADS_MAX: usize = 64;
/// Less than one piece of a recording is a mistake in its unit: it would be dropped as soon as it is verified.
const QUOTA_BYTES_MIN: u64 = 32 << 20;
/// Less than the smallest model with its manifest is a mistake in its unit.
const MODELS_QUOTA_BYTES_MIN: u64 = 1 << 20;
/// More ballast than this is a mistake in its unit.
const BALLAST_BYTES_MAX: u64 = 1 << 30;
/// Characters of the device's name, as the API accepts it.
const DEVICE_NAME_CHARACTERS_MAX: usize = 100;

/// Where things are and how much may be used.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the store.
    pub store: PathBuf,
    /// Folder with `manifest.json` and the models that it names: in use until others are activated, and whenever none of those
    /// is whole.
    pub models: Option<PathBuf>,
    /// The ONNX Runtime library.
    pub runtime_library: Option<PathBuf>,
    /// The LiteRT library (2.3), or one with TensorFlow Lite's C API (2.x).
    pub tflite_library: Option<PathBuf>,
    /// Execution providers of ONNX Runtime in libraries of their own, best first: for a GPU or an NPU.
    pub runtime_providers: Vec<OrtProvider>,
    /// Folder with LiteRT's libraries for GPUs; the library's own folder otherwise.
    pub tflite_accelerators: Option<PathBuf>,
    /// A maker's libraries with which LiteRT runs models on its NPU.
    pub tflite_npu: Option<NpuPlugin>,
    /// Bytes of the largest model that is loaded at all; a larger one is refused before it is. It takes two to three times as much
    /// once it is loaded.
    pub model_bytes_max: Option<u64>,
    /// Bytes that the organisation's models may take beside the store, all versions together: 1 GiB, at least 1 MiB. The oldest
    /// versions go first, the one in use and the one before never; a version that does not fit beside those is refused before it
    /// is downloaded.
    pub models_quota_bytes: u64,
    /// Certificates that are trusted besides the platform's, PEM, may be empty.
    pub trusted_roots_pem: Vec<u8>,
    /// Threads for one inference run, 1 to 64.
    pub threads: usize,
    /// What the organisation sees as this device's name.
    pub device_name: String,
    /// Bytes that the sealed files of this store should take at most. After captures and receipts, what the server signed for
    /// goes from this device, the oldest first, never what is pinned, was looked at within a day or is being read.
    pub quota_bytes: Option<u64>,
    /// Whether a capture that does not fit into the quota is refused. By default it is taken as long as the disk has room:
    /// evidence that is lost cannot be taken again, and a quota is only what the app would like.
    pub quota_is_hard: bool,
    /// Room that the store holds so that a purge works on a disk that is full to the last byte: 16 MiB, at most a quarter of
    /// what is free when the store is made; 0 for none. At most 1 GiB.
    pub ballast_bytes: u64,
    /// What stands for the device's system and drivers, as Android's `Build.FINGERPRINT`: when it is another, accelerators are
    /// measured again. What the kernel says of itself otherwise. At most 120 characters count.
    pub device_build: Option<String>,
    /// How the app's last process ended, if the system told (Android's `ApplicationExitInfo`): an accelerator that was at work then
    /// is judged by it.
    pub last_exit: LastExit,
}

impl Config {
    /// A configuration with defaults for everything but the store's folder.
    pub fn new(store: impl Into<PathBuf>) -> Self {
        Self {
            store: store.into(),
            models: None,
            runtime_library: None,
            tflite_library: None,
            runtime_providers: Vec::new(),
            tflite_accelerators: None,
            tflite_npu: None,
            model_bytes_max: None,
            models_quota_bytes: MODELS_QUOTA_BYTES,
            trusted_roots_pem: Vec::new(),
            threads: THREADS_DEFAULT,
            device_name: "device".to_owned(),
            quota_bytes: None,
            quota_is_hard: false,
            ballast_bytes: BALLAST_BYTES,
            device_build: None,
            last_exit: LastExit::default(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.threads == 0 || self.threads > THREADS_MAX {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("threads must be 1 to {THREADS_MAX}")));
        }
        if self.device_name.is_empty() || self.device_name.chars().count() > DEVICE_NAME_CHARACTERS_MAX {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("the device's name must have 1 to {DEVICE_NAME_CHARACTERS_MAX} characters"),
            ));
        }
        if self.quota_bytes.is_some_and(|bytes| bytes < QUOTA_BYTES_MIN) {
            let message = format!("a quota has at least {QUOTA_BYTES_MIN} bytes");
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        if self.models_quota_bytes < MODELS_QUOTA_BYTES_MIN {
            let message = format!("the quota for models has at least {MODELS_QUOTA_BYTES_MIN} bytes");
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        if self.quota_is_hard && self.quota_bytes.is_none() {
            return Err(Error::new(ErrorCode::InvalidArgument, "there is no quota that could be hard"));
        }
        if self.ballast_bytes > BALLAST_BYTES_MAX {
            let message = format!("the ballast may have at most {BALLAST_BYTES_MAX} bytes");
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        Ok(())
    }
}
