//! Kotlin's listing: a test writes it with the compiler's own tools, in the form of its binary-compatibility checks.

use std::fs;

use crate::cache::Cache;
use crate::error::{AtPath, Result};
use crate::packages::{self, kotlin};
use crate::process;

/// Builds the package and lists it.
pub(super) fn make(cache: &Cache) -> Result<String> {
    let mut maven = kotlin::maven(cache, &packages::built())?;
    // Of the package's own tests and no others: a run of tests that finds none fails.
    maven.args(["test-compile", "surefire:test@default-test", "-Dtest=ApiListingTest"]);
    process::run(&mut maven)?;
    left_behind()
}

/// What the package's tests have written.
pub(super) fn left_behind() -> Result<String> {
    let listing = packages::target().join("kotlin/snaptrak.api");
    fs::read_to_string(&listing).at(&listing)
}
