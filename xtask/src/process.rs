//! Runs programs quietly: what they say is kept and shown only when they fail.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Result};

/// The end of a program's output that an error shows: enough for a compiler's or a package client's last complaint.
const SAID_LINES_MAX: usize = 20;

/// Runs the program to its end and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Failed { program, status: output.status.to_string(), said: tail(&String::from_utf8_lossy(&said)) })
}

/// Cargo, as a person calls it: without what the Cargo that runs this program says of this package, for which build scripts (ring's)
/// would build everything anew.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    let of_this_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_this_package)) {
        cargo.env_remove(name);
    }
    cargo
}

/// Where a program lies on the search path, if it is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SAID_LINES_MAX)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let error = run(Command::new("sh").args(["-c", "echo before; echo because >&2; exit 3"])).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("because") && words.contains("before") && words.contains('3'), "{words}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert!(find("snaptrak-no-such-program").is_none());
        let error = run(&mut Command::new("snaptrak-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("snaptrak-no-such-program"));
    }

    #[test]
    fn only_the_end_of_a_long_complaint_is_shown() {
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert_eq!(tail(&long).lines().count(), SAID_LINES_MAX);
        assert!(tail(&long).ends_with("line 99"));
    }
}
