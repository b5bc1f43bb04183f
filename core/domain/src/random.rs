//! Chance as an argument.

/// The operating system gave no randomness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomError;

/// A cryptographically secure source of random bytes.
pub trait Random: Send + Sync {
    /// Fills the whole buffer or fails.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}
