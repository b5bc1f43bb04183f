//! The Kotlin and Swift packages: code is generated from the built library, then each language's own runner runs its tests.
//!
//! Owns: the commands of both, and what each needs besides a JDK. Refuses to know what a test checks. Where a tool-chain cannot be had,
//! the group says why and counts as skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tally::{self, Counts};
use crate::cache::{Cache, repository};
use crate::error::Result;
use crate::{prerequisites, process, terminal};

/// What a group came to.
pub(super) enum Outcome {
    /// It ran.
    Ran { succeeded: bool, counts: Counts },
    /// This machine cannot run it.
    Skipped { why: String },
}

/// The Kotlin library on the desktop's JVM.
pub(super) fn kotlin(cache: &Cache) -> Result<Outcome> {
    prerequisites::ensure_kotlin()?;
    let generated = generate("kotlin")?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--no-transfer-progress", "--file", "bindings/kotlin/pom.xml"]);
    // A compiler that stays behind would hold 600 MB.
    maven.arg("-Dkotlin.compiler.daemon=false");
    maven.arg(format!("-Dsnaptrak.generated={}", generated.display()));
    maven.arg(format!("-Dsnaptrak.native={}", built().display()));
    maven.arg(format!("-Dsnaptrak.cache={}", cache.path("").display()));
    ran(maven.arg("test"))
}

/// The Swift package on Linux, in a tool-chain of its own.
pub(super) fn swift(cache: &Cache) -> Result<Outcome> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) || !prerequisites::is_debian() {
        let why = "Swift's tool-chain is fetched on x86-64 Debian only".to_owned();
        return Ok(Outcome::Skipped { why });
    }
    prerequisites::ensure_swift()?;
    let toolchain = cache.path("swift");
    {
        let _filling = cache.filling()?;
        let said = process::run(script("toolchain.sh").arg(&toolchain))?;
        terminal::progress(said.trim_end());
    }
    process::run(script("assemble.sh").arg(generate("swift")?))?;
    let mut swift = script("run.sh");
    swift.arg(&toolchain).args(["swift", "test", "--scratch-path", "target/swift"]);
    swift.args(["-Xswiftc", "-warnings-as-errors"]);
    let folder = built();
    swift.arg("-Xlinker").arg(format!("-L{}", folder.display()));
    swift.arg("-Xlinker").arg(format!("-rpath={}", folder.display()));
    swift.env("SNAPTRAK_SERVER", folder.join("snaptrak-server")).env("SNAPTRAK_CACHE", cache.path(""));
    ran(&mut swift)
}

fn ran(command: &mut Command) -> Result<Outcome> {
    let (succeeded, counts) = tally::run(command.current_dir(repository()))?;
    Ok(Outcome::Ran { succeeded, counts })
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(repository().join("bindings/swift").join(name)).current_dir(repository());
    command
}

/// Where the group `build` put the programs and the library.
fn built() -> PathBuf {
    target().join("debug")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// Generates a language's code from the built library; the folder that it is in.
fn generate(language: &str) -> Result<PathBuf> {
    let folder = target().join("uniffi").join(language);
    let config = Path::new("bindings/ffi/uniffi.toml");
    let mut generator = Command::new(built().join("snaptrak-bindgen"));
    generator.args(["generate", "--no-format", "--language", language, "--config"]).arg(config);
    generator.arg("--out-dir").arg(&folder).arg(built().join("libsnaptrak_ffi.so")).current_dir(repository());
    process::run(&mut generator)?;
    Ok(folder)
}
