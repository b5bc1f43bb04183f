//! What every engine is bounded by: a hostile model must not fill the memory, and none may take all processors.

/// Threads of one session at most: more than this a phone does not have in fast cores.
pub(crate) const THREADS_MAX: usize = 8;
/// Outputs of one model at most.
pub(crate) const OUTPUTS_MAX: usize = 64;
/// Values in one tensor at most: 256 MiB of floats.
pub(crate) const VALUES_MAX: usize = 1 << 26;
