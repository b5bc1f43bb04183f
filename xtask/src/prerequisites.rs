//! The system packages that the build needs: checks them, and on Debian as root or with sudo installs them.
//!
//! Owns: the list, each with its reason, and how its presence is told. Elsewhere it names what is missing and how to get
//! it, and installs nothing. A machine that has everything is recognised in milliseconds.

use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::{process, terminal};

/// Another apt may be at work, as on a machine that has just started; two minutes outlast its usual business.
const APT_LOCK_WAIT: &str = "--option=DPkg::Lock::Timeout=120";

/// One thing that the build needs from the system.
struct Need {
    /// What it is called everywhere.
    name: &'static str,
    /// What Debian calls the package.
    debian_package: &'static str,
    /// What needs it.
    reason: &'static str,
    is_present: fn() -> bool,
}

/// What plays a processor of another maker.
const EMULATOR: [Need; 1] = [Need {
    name: "QEMU's user-mode emulation",
    debian_package: "qemu-user",
    reason: "plays an Intel processor, on which alone OpenVINO's provider for ONNX Runtime has a device",
    is_present: || is_program("qemu-x86_64"),
}];

/// What Kotlin's tests need.
const KOTLIN: [Need; 2] = [
    Need {
        name: "a JDK",
        debian_package: "default-jdk-headless",
        reason: "runs Maven and Kotlin's tests",
        is_present: || is_program("javac"),
    },
    Need {
        name: "Maven",
        debian_package: "maven",
        reason: "builds the Kotlin library",
        is_present: || is_program("mvn"),
    },
];

/// What Swift's tests need: the tool-chain itself lies in the cache.
const SWIFT: [Need; 1] = [Need {
    name: "bubblewrap",
    debian_package: "bubblewrap",
    reason: "runs Swift's tool-chain out of a folder",
    is_present: || is_program("bwrap"),
}];

const NEEDS: [Need; 7] = [
    Need {
        name: "a C compiler",
        debian_package: "build-essential",
        reason: "links every program and compiles ring and SQLCipher",
        is_present: || is_program("cc"),
    },
    Need {
        name: "make",
        debian_package: "make",
        reason: "cmake drives it to build turbojpeg",
        is_present: || is_program("make"),
    },
    Need { name: "cmake", debian_package: "cmake", reason: "builds turbojpeg", is_present: || is_program("cmake") },
    Need {
        name: "nasm",
        debian_package: "nasm",
        reason: "assembles turbojpeg's fast paths",
        is_present: || is_program("nasm"),
    },
    Need {
        name: "pkg-config",
        debian_package: "pkg-config",
        reason: "finds OpenSSL",
        is_present: || is_program("pkg-config"),
    },
    Need {
        name: "OpenSSL's headers",
        debian_package: "libssl-dev",
        reason: "libsqlite3-sys names its libcrypto to the linker, which then takes nothing of it",
        is_present: || succeeds(Command::new("pkg-config").args(["--exists", "libcrypto"])),
    },
    Need {
        name: "Python 3 with its venv module",
        debian_package: "python3-venv",
        reason: "fetches and derives the models, judges our formats",
        is_present: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
    },
];

/// Makes sure that everything is there, or says what is not and how to get it.
pub(crate) fn ensure() -> Result<()> {
    ensure_all(&NEEDS)
}

/// The same for paths that run on an emulated processor.
pub(crate) fn ensure_emulator() -> Result<()> {
    ensure_all(&EMULATOR)
}

/// The same for Kotlin's tests.
pub(crate) fn ensure_kotlin() -> Result<()> {
    ensure_all(&KOTLIN)
}

/// The same for Swift's tests.
pub(crate) fn ensure_swift() -> Result<()> {
    ensure_all(&SWIFT)
}

fn ensure_all(needs: &'static [Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        terminal::progress(&format!("missing: {} ({})", need.name, need.reason));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.debian_package).collect();
    match Administrator::of_this_machine() {
        Some(administrator) if is_debian() => install(administrator, &packages)?,
        Some(_) | None => return Err(unmet(&missing)),
    }
    match self::missing(needs) {
        still if still.is_empty() => Ok(()),
        still => Err(unmet(&still)),
    }
}

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !(need.is_present)()).collect()
}

fn unmet(missing: &[&Need]) -> Error {
    let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
    let packages: Vec<&str> = missing.iter().map(|need| need.debian_package).collect();
    Error::Missing {
        what: format!("this machine lacks {}", names.join(", ")),
        next: format!(
            "on Debian or Ubuntu run `apt-get install {}` as root; elsewhere install what your system calls these packages \
             (macOS: `brew install cmake nasm pkg-config openssl@3`)",
            packages.join(" ")
        ),
    }
}

/// Who may install packages here.
#[derive(Clone, Copy)]
enum Administrator {
    Root,
    Sudo,
}

impl Administrator {
    fn of_this_machine() -> Option<Self> {
        let identity = process::run(Command::new("id").arg("-u")).ok()?;
        match identity.trim() {
            "0" => Some(Self::Root),
            _ => is_program("sudo").then_some(Self::Sudo),
        }
    }

    fn apt_get(self) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => {
                let mut sudo = Command::new("sudo");
                sudo.arg("env");
                sudo
            }
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2", APT_LOCK_WAIT]);
        command
    }
}

fn install(administrator: Administrator, packages: &[&str]) -> Result<()> {
    terminal::progress(&format!("installing with apt-get: {}", packages.join(" ")));
    let once = || {
        let mut install = administrator.apt_get();
        install.args(["--yes", "--no-install-recommends", "install"]).args(packages);
        process::run(&mut install)
    };
    if once().is_ok() {
        return Ok(());
    }
    // A fresh image has no package lists, an old one has lists whose files are gone.
    terminal::progress("updating apt's package lists");
    process::run(administrator.apt_get().arg("update"))?;
    once().map(drop)
}

/// Fetches apt's package lists again.
pub(crate) fn update_package_lists() -> Result<()> {
    let administrator = Administrator::of_this_machine().ok_or_else(|| Error::Missing {
        what: "apt's package lists are old, and only root or sudo may update them".to_owned(),
        next: "run `apt-get update` as root".to_owned(),
    })?;
    process::run(administrator.apt_get().arg("update")).map(drop)
}

/// Whether packages can be had from Debian's archive with apt.
pub(crate) fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && is_program("apt-get")
}

fn is_program(name: &str) -> bool {
    process::find(name).is_some()
}

fn succeeds(command: &mut Command) -> bool {
    process::run(command).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let nasm: Vec<&Need> = NEEDS.iter().filter(|need| need.name == "nasm").collect();
        let words = unmet(&nasm).to_string();
        assert!(words.contains("lacks nasm") && words.contains("apt-get install nasm"), "{words}");
    }
}
