//! The link: Cargo makes the static library of the core, and this links it into the shared one.
//!
//! Cargo's own shared library would not do: rustc exports the generator's tables beside the interface, and `libsqlite3-sys` names
//! a libcrypto of which nothing is used. So the last step is taken here, with the linker that rustc ships, and what a host can see is one
//! list. On Android the same step is done with the NDK's linker, which knows the same words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::repository;
use crate::error::{AtPath, Error, Result};
use crate::packages::target;
use crate::{process, terminal};

/// Everything that a host can see. The generator reads the library of the development profile, so its tables stay inside.
const EXPORTS: &str = "{ global: uniffi_*; ffi_*; local: *; };\n";

/// What apps load.
pub(super) const NAME: &str = "libsnaptrak_ffi.so";

/// What the link wrote.
pub(super) struct Linked {
    /// As it is shipped.
    pub(super) stripped: PathBuf,
    /// Where each part of it came from.
    pub(super) map: PathBuf,
}

/// Where the shipped library lies.
pub(super) fn folder() -> PathBuf {
    target().join("library")
}

/// Builds and links it.
pub(super) fn library() -> Result<Linked> {
    let archive = build()?;
    let folder = folder();
    fs::create_dir_all(&folder).at(&folder)?;
    let exports = folder.join("exports");
    fs::write(&exports, EXPORTS).at(&exports)?;
    let linked = Linked { stripped: folder.join(NAME), map: folder.join("map") };
    // Whoever reads a crash report needs the symbols of the very library that was shipped.
    let with_symbols = folder.join(format!("{NAME}.symbols"));
    let mut link = Command::new("cc");
    link.args(["-shared", "-fuse-ld=lld", "-B"]).arg(linker_folder()?).arg("-o").arg(&with_symbols);
    link.arg("-Wl,--whole-archive").arg(archive).arg("-Wl,--no-whole-archive");
    link.args(["-lm", "-Wl,--gc-sections", "-Wl,--icf=safe", "-Wl,--as-needed"]);
    // Nothing may be left for a host's libraries to fill in, and nothing of ours may be bound to theirs.
    link.args(["-Wl,-z,defs", "-Wl,-Bsymbolic", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,--build-id"]);
    // 0.6 MB of relocations become some kilobytes: read by the C library since 2.36 and by Android since 9.
    link.arg("-Wl,-z,pack-relative-relocs");
    // Android's newest phones have pages of 16 KB.
    link.args(["-Wl,-z,max-page-size=16384", "-Wl,-soname,libsnaptrak_ffi.so"]);
    link.arg(joined("-Wl,--version-script=", &exports)).arg(joined("-Wl,-Map=", &linked.map));
    process::run(&mut link)?;
    process::run(Command::new("strip").args(["--strip-all", "-o"]).arg(&linked.stripped).arg(&with_symbols))?;
    Ok(linked)
}

/// The static library, which holds every crate and the C code of SQLCipher, ring and turbojpeg.
fn build() -> Result<PathBuf> {
    terminal::progress("building the native library as it is shipped (the first time takes some minutes)");
    let mut cargo = process::cargo();
    cargo.args(["rustc", "--locked", "--profile", "shipped", "--package", "snaptrak-ffi", "--lib"]);
    cargo.args(["--crate-type", "staticlib"]).env("CARGO_INCREMENTAL", "0").current_dir(repository());
    let status = cargo.status().map_err(|source| Error::Start { program: "cargo".to_owned(), source })?;
    if !status.success() {
        let said = "read the compiler's words above".to_owned();
        return Err(Error::Failed { program: "cargo rustc".to_owned(), status: status.to_string(), said });
    }
    Ok(target().join("shipped/libsnaptrak_ffi.a"))
}

/// The folder of the linker that this version of rustc links with, so that one tool-chain gives one size.
fn linker_folder() -> Result<PathBuf> {
    let root = process::run(Command::new("rustc").args(["--print", "sysroot"]).current_dir(repository()))?;
    let host = process::run(Command::new("rustc").args(["--print", "host-tuple"]).current_dir(repository()))?;
    Ok(Path::new(root.trim()).join("lib/rustlib").join(host.trim()).join("bin/gcc-ld"))
}

fn joined(flag: &str, path: &Path) -> String {
    format!("{flag}{}", path.display())
}
