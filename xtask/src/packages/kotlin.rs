//! The Kotlin library, by Maven.

use std::path::Path;
use std::process::Command;

use super::{generate, generate_probe};
use crate::cache::{Cache, repository};
use crate::error::Result;
use crate::{library, prerequisites};

/// Maven on the library, whose tests load what lies in `native`.
pub(crate) fn maven(cache: &Cache, native: &Path) -> Result<Command> {
    prerequisites::ensure_kotlin()?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--no-transfer-progress", "--file", "bindings/kotlin/pom.xml"]);
    // A compiler that stays behind would hold 600 MB.
    maven.arg("-Dkotlin.compiler.daemon=false");
    maven.arg(format!("-Dsnaptrak.generated={}", generate("kotlin")?.display()));
    maven.arg(format!("-Dsnaptrak.probe={}", generate_probe("kotlin")?.display()));
    maven.arg(format!("-Dsnaptrak.native={}", native.display()));
    maven.arg(format!("-Dsnaptrak.cache={}", cache.path("").display()));
    match library::built() {
        Some(library) => maven.arg(format!("-Dsnaptrak.shipped={}", library.display())),
        None => maven.arg("-DskipShipped"),
    };
    maven.current_dir(repository());
    Ok(maven)
}
