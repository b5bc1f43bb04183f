//! Runs a program, shows its output as it comes, and counts the closing lines of Rust's test runner in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::terminal;

/// Tests counted in a program's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// What a program says that it did not run, and why.
    pub(super) skipped: Vec<(String, String)>,
}

/// Runs to the end; whether it succeeded, and what it counted.
pub(super) fn run(command: &mut Command) -> Result<(bool, Counts)> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |source| Error::Start { program: program.clone(), source };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(start)?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(start)?;
            counts.add(&line);
            terminal::result(&line);
        }
    }
    Ok((child.wait().map_err(start)?.success(), counts))
}

impl Counts {
    /// Adds a line of the form `test result: ok. 3 passed; 0 failed; 1 ignored; ...` or `skipped NAME: WHY`.
    fn add(&mut self, line: &str) {
        if let Some((name, why)) = line.strip_prefix("skipped ").and_then(|rest| rest.split_once(": ")) {
            self.skipped.push((name.to_owned(), why.to_owned()));
        }
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
        for part in rest.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(word)) = (words.next(), words.next()) else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn closing_lines_are_counted_and_nothing_else() {
        let mut counts = Counts::default();
        counts.add("test result: ok. 14 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s");
        counts.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s");
        counts.add("test some::name ... ok");
        counts.add("9 passed");
        counts.add("skipped power_cuts: this machine mounts nothing");
        let skipped = vec![("power_cuts".to_owned(), "this machine mounts nothing".to_owned())];
        assert_eq!(counts, Counts { passed: 17, failed: 2, ignored: 1, skipped });
    }

    #[test]
    fn a_program_that_fails_is_told_from_one_that_succeeds() {
        let (succeeded, counts) =
            run(Command::new("sh").args(["-c", "echo 'test result: ok. 2 passed; 0 failed'; exit 1"])).unwrap();
        assert!(!succeeded);
        assert_eq!(counts.passed, 2);
    }
}
