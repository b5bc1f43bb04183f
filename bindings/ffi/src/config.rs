//! Where things are and how much may be used.

use crate::LastExit;

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
            ..Self::new(config.store)
        }
    }
}
