//! The one error of this crate: a reason that a step can carry.

use snaptrak_domain::{Reason, ReasonCode, engine::EngineError, sealed_reader::ReadError};
use snaptrak_inference::VerifyError;

/// Why a picture was not analysed. The capture is as safe as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the picture cannot be analysed: {}", reason.code.as_str())]
pub struct AnalyseError {
    /// The reason with which the step waits or parks.
    pub reason: Reason,
}

impl AnalyseError {
    pub(crate) fn new(code: ReasonCode) -> Self {
        Self { reason: Reason::new(code) }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.reason = self.reason.with(name, value);
        self
    }

    pub(crate) fn not_a_picture() -> Self {
        Self::new(ReasonCode::NotAPicture)
    }

    pub(crate) fn damaged() -> Self {
        Self::new(ReasonCode::PictureDamaged)
    }

    pub(crate) fn decoder_missing(format: &str) -> Self {
        Self::new(ReasonCode::DecoderMissing).with("format", format)
    }

    pub(crate) fn too_large(width: u64, height: u64) -> Self {
        Self::new(ReasonCode::PictureTooLarge).with("width", width.to_string()).with("height", height.to_string())
    }
}

impl From<EngineError> for AnalyseError {
    fn from(error: EngineError) -> Self {
        tracing::warn!(%error, "the engine failed");
        Self { reason: error.reason() }
    }
}

impl From<VerifyError> for AnalyseError {
    fn from(error: VerifyError) -> Self {
        tracing::warn!(%error, "a model is not used");
        Self { reason: error.reason() }
    }
}

impl From<ReadError> for AnalyseError {
    fn from(error: ReadError) -> Self {
        Self { reason: error.reason }
    }
}
