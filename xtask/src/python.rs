//! Python environments in the cache, one for each purpose, with every package pinned.
//!
//! Owns: the sets of requirements and the environments made of them. An environment is made once and again only when its
//! requirements file changes: a marker in it holds that file's digest, and is written last, so that a half-made
//! environment is never taken for a whole one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use clap::{Args, ValueEnum};

use crate::cache::{self, Cache};
use crate::error::{AtPath, Error, Result};
use crate::{process, terminal};

/// The oldest Python that the pinned packages have wheels for.
const PYTHON_MINIMUM: (u32, u32) = (3, 11);
const MARKER: &str = "requirements.sha256";

/// The arguments of `cargo xtask python`.
#[derive(Args)]
pub(crate) struct Command {
    /// What the environment is for
    set: Set,
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// Fetching and deriving models and pictures, reference answers
    Tools,
    /// Independent implementations that judge our formats
    Judges,
    /// npm, for a machine that has none
    Node,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Judges => "judges",
            Self::Node => "node",
        }
    }

    fn requirements(self) -> PathBuf {
        let repository = cache::repository();
        match self {
            Self::Tools => repository.join("xtask/requirements/tools.txt"),
            Self::Judges => repository.join("tests/interop/requirements.txt"),
            Self::Node => repository.join("xtask/requirements/node.txt"),
        }
    }
}

/// Prepares the environment and prints its interpreter, for scripts and tests.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    let _filling = cache.filling()?;
    let interpreter = ensure(command.set, cache)?;
    terminal::result(&interpreter.to_string_lossy());
    Ok(())
}

/// The interpreter of an environment, prepared under the cache's lock; not to be called by who holds it.
pub(crate) fn interpreter(set: Set, cache: &Cache) -> Result<PathBuf> {
    let _filling = cache.filling()?;
    ensure(set, cache)
}

/// The interpreter of an environment that has what its requirements name. The caller holds the cache's lock.
pub(crate) fn ensure(set: Set, cache: &Cache) -> Result<PathBuf> {
    let folder = cache.path(set.name());
    let interpreter = folder.join("bin/python");
    let requirements = set.requirements();
    let wanted = cache::sha256(&requirements)?;
    let marker = folder.join(MARKER);
    if interpreter.is_file() && fs::read_to_string(&marker).is_ok_and(|found| found.trim() == wanted) {
        return Ok(interpreter);
    }
    terminal::progress(&format!("installing the Python packages of {}", requirements.display()));
    process::run(Process::new(system_python()?).args(["-m", "venv", "--clear"]).arg(&folder))?;
    install(&interpreter, &requirements)?;
    fs::write(&marker, wanted + "\n").at(&marker)?;
    Ok(interpreter)
}

/// The client of PyPI that belongs to an environment.
pub(crate) fn pip(interpreter: &Path) -> Process {
    let mut pip = Process::new(interpreter);
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip
}

fn install(interpreter: &Path, requirements: &Path) -> Result<()> {
    let mut pip = pip(interpreter);
    pip.args(["install", "--requirement"]).arg(requirements);
    process::run(&mut pip).map(drop).map_err(|error| Error::Fetch {
        package: format!("a package of {}", requirements.display()),
        said: error.to_string(),
    })
}

fn system_python() -> Result<PathBuf> {
    let (major, minor) = PYTHON_MINIMUM;
    let missing = |what: String| Error::Missing {
        what,
        next: format!(
            "install Python {major}.{minor} or newer with its venv module (Debian: apt-get install python3 python3-venv)"
        ),
    };
    let python = process::find("python3").ok_or_else(|| missing("python3 is not installed".to_owned()))?;
    let check = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < ({major}, {minor}))");
    process::run(Process::new(&python).args(["-c", &check]))
        .map_err(|_old| missing(format!("{} is older than {major}.{minor} or has no venv module", python.display())))?;
    Ok(python)
}
