//! The one configuration object of an instance.

use crate::{Error, ErrorCode};
use std::path::PathBuf;

/// Threads for one inference run when the app does not say: phones have two to four big cores.
const THREADS_DEFAULT: usize = 2;
/// More threads than this help no model that runs on a phone.
const THREADS_MAX: usize = 64;
/// Characters of the device's name, as the API accepts it.
const DEVICE_NAME_CHARACTERS_MAX: usize = 100;

/// Where things are and how much may be used.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the store.
    pub store: PathBuf,
    /// Folder with `manifest.json` and the models that it names.
    pub models: Option<PathBuf>,
    /// The ONNX Runtime library.
    pub runtime_library: Option<PathBuf>,
    /// Certificates that are trusted besides the platform's, PEM, may be empty.
    pub trusted_roots_pem: Vec<u8>,
    /// Threads for one inference run, 1 to 64.
    pub threads: usize,
    /// What the organisation sees as this device's name.
    pub device_name: String,
}

impl Config {
    /// A configuration with defaults for everything but the store's folder.
    pub fn new(store: impl Into<PathBuf>) -> Self {
        Self {
            store: store.into(),
            models: None,
            runtime_library: None,
            trusted_roots_pem: Vec::new(),
            threads: THREADS_DEFAULT,
            device_name: "device".to_owned(),
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
        Ok(())
    }
}
