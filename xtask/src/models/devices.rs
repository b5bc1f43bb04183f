//! Libraries that stand in for a GPU and an NPU where there is none, so that their paths run in tests.
//!
//! Owns: what lies in `.cache/devices`. `openvino` is pinned in `models/devices.json`; `swiftshader`, a Vulkan device in
//! software, comes out of Debian's `chromium-common`, of whatever revision the archive has: its security fixes take older
//! ones away. Nothing of it is shipped.

use std::fs;
use std::process::Command;

use crate::cache::Cache;
use crate::error::{AtPath, Error, Result};
use crate::package::Packages;
use crate::{prerequisites, process, terminal};

/// In the cache.
pub(crate) const FOLDER: &str = "devices";
const LIST: &str = "devices.json";

const SWIFTSHADER_PACKAGE: &str = "chromium-common";
/// Where the package has them.
const SWIFTSHADER_FOLDER: &str = "usr/lib/chromium";
/// The device, its description and Vulkan's loader.
const SWIFTSHADER_FILES: [&str; 3] = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];

/// Why they cannot be had on this machine, if they cannot.
pub(crate) fn obstacle() -> Option<String> {
    let can = cfg!(all(target_os = "linux", target_arch = "x86_64")) && prerequisites::is_debian();
    (!can).then(|| "stand-ins for a GPU and an NPU are fetched on x86-64 Debian only".to_owned())
}

/// Brings what is missing.
pub(crate) fn ensure(cache: &Cache) -> Result<()> {
    if let Some(what) = obstacle() {
        return Err(Error::Missing { what, next: "run the tests of devices on such a machine".to_owned() });
    }
    if let Err(error) = prerequisites::ensure_emulator() {
        terminal::failure(&error);
        terminal::progress(
            "not run without it, on a processor that is not Intel's: ONNX Runtime with OpenVINO's provider",
        );
    }
    let _filling = cache.filling()?;
    super::ensure_runtimes(LIST, FOLDER, cache, &mut Packages::new(cache)?)?;
    ensure_swiftshader(cache)
}

fn ensure_swiftshader(cache: &Cache) -> Result<()> {
    let target = cache.path(FOLDER).join("swiftshader");
    if SWIFTSHADER_FILES.iter().all(|file| target.join(file).is_file()) {
        return Ok(());
    }
    terminal::progress(&format!("fetching {SWIFTSHADER_PACKAGE}"));
    let workspace = cache.workspace()?;
    let mut download = Command::new("apt-get");
    download.args(["-qq", "-o", "APT::Sandbox::User=", "download", SWIFTSHADER_PACKAGE]).current_dir(workspace.path());
    process::run(&mut download)
        // A fresh image has no package lists.
        .or_else(|_| prerequisites::update_package_lists().and_then(|()| process::run(&mut download)))
        .map_err(|error| Error::Fetch { package: SWIFTSHADER_PACKAGE.to_owned(), said: error.to_string() })?;
    let package = crate::package::only_file(workspace.path())?;
    let unpacked = workspace.path().join("unpacked");
    process::run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    for name in SWIFTSHADER_FILES {
        let file = unpacked.join(SWIFTSHADER_FOLDER).join(name);
        cache.place(&mut fs::File::open(&file).at(&file)?, &target.join(name))?;
    }
    Ok(())
}
