//! The one place that prints: progress and failures to standard error, results to standard output.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this module is where printing is allowed")]

use crate::error::Error;

/// Says what is being done, for a person who waits.
pub(crate) fn progress(words: &str) {
    eprintln!("{words}");
}

/// A line of the command's result.
pub(crate) fn result(line: &str) {
    println!("{line}");
}

/// Says why the command failed.
pub(crate) fn failure(error: &Error) {
    eprintln!("error: {error}");
}
