//! Keeps what inference libraries print out of what this program answers.
//!
//! Some write to standard output by themselves (LiteRT's GPU library, where there is no OpenCL), at once or from the C library's
//! buffer when the process ends. While such a library may be at work, and after the last word of this program, standard output is
//! standard error.

use rustix::{
    io::dup,
    stdio::{dup2_stdout, stderr, stdout},
};
use std::os::fd::OwnedFd;

/// Standard output is standard error until this is dropped.
pub(crate) struct Diverted {
    original: Option<OwnedFd>,
}

/// Diverts from here on. Where that cannot be done, a library's words may stand before the answer, as they would have.
pub(crate) fn divert() -> Diverted {
    let original = dup(stdout()).ok();
    let diverted = original.is_some() && dup2_stdout(stderr()).is_ok();
    Diverted { original: original.filter(|_| diverted) }
}

/// After the last word of this program.
pub(crate) fn divert_for_good() {
    // There is nobody left to tell that it failed.
    let _ = dup2_stdout(stderr());
}

impl Drop for Diverted {
    fn drop(&mut self) {
        if let Some(original) = &self.original {
            // As above: without it the answer goes to standard error, and a script sees that there is none.
            let _ = dup2_stdout(original);
        }
    }
}
