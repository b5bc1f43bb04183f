//! The Swift package on Linux, in a tool-chain of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{built, generate, generate_probe, target};
use crate::cache::{Cache, repository};
use crate::error::{AtPath, Result};
use crate::{prerequisites, process, terminal};

/// Why it cannot be built on this machine, if it cannot.
pub(crate) fn obstacle() -> Option<String> {
    let can = cfg!(all(target_os = "linux", target_arch = "x86_64")) && prerequisites::is_debian();
    (!can).then(|| "Swift's tool-chain is fetched on x86-64 Debian only".to_owned())
}

/// Brings the tool-chain and puts the generated code where the package expects it.
pub(crate) fn prepare(cache: &Cache) -> Result<()> {
    prerequisites::ensure_swift()?;
    {
        let _filling = cache.filling()?;
        let said = process::run(script("toolchain.sh").arg(cache.path("swift")))?;
        terminal::progress(said.trim_end());
    }
    process::run(script("assemble.sh").arg(generate("swift")?).arg(generate_probe("swift")?)).map(drop)
}

/// A command in the tool-chain.
pub(crate) fn command(cache: &Cache, program: &str) -> Command {
    let mut run = script("run.sh");
    run.arg(cache.path("swift")).arg(program);
    run
}

/// `swift test` on the package, linked with the library in `native`.
pub(crate) fn test(cache: &Cache, native: &Path) -> Command {
    let mut swift = command(cache, "swift");
    swift.args(["test", "--scratch-path", "target/swift", "-Xswiftc", "-warnings-as-errors"]);
    swift.arg("-Xlinker").arg(format!("-L{}", native.display()));
    swift.arg("-Xlinker").arg(format!("-rpath={}", native.display()));
    swift.env("SNAPTRAK_SERVER", built().join("snaptrak-server")).env("SNAPTRAK_CACHE", cache.path(""));
    swift
}

/// The same with the library of `profile` that has a window into itself, and with the tests that look through it. The package is
/// built as apps ship it: a compiler may refuse, optimising, what it takes otherwise.
pub(crate) fn probe(cache: &Cache, profile: &str) -> Result<Command> {
    // Optimising, the tool-chain does not compile tests anew when only what they import has changed (6.0.3): they would call methods
    // by their old places.
    for tests in ["ProbeTests", "SnapTrakTests"] {
        let compiled = target().join("swift/release").join(tests).with_extension("build");
        if compiled.exists() {
            fs::remove_dir_all(&compiled).at(&compiled)?;
        }
    }
    let mut swift = test(cache, &in_place_of_the_library(&target().join(profile))?);
    swift.args(["--configuration", "release", "--filter", "ProbeTests"]).env("SNAPTRAK_PROBE", "1");
    Ok(swift)
}

/// A folder in which the library with a window bears the name of the one that is shipped, as the module map wants it.
fn in_place_of_the_library(built: &Path) -> Result<PathBuf> {
    let folder = built.join("probe");
    let name = folder.join("libsnaptrak_ffi.so");
    fs::create_dir_all(&folder).at(&folder)?;
    if !name.exists() {
        symlink("../libsnaptrak_probe.so", &name).at(&name)?;
    }
    Ok(folder)
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(repository().join("bindings/swift").join(name)).current_dir(repository());
    command
}
