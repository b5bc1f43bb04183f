//! Runs a program, shows its output as it comes, and counts the closing lines of test runners in it: Rust's, Maven Surefire's and
//! XCTest's.

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
    /// Each test that failed, with what it said first, as far as its runner tells: a machine that keeps only the end of a run's
    /// output keeps this.
    pub(super) failures: Vec<String>,
    /// How many lines of the last failure's own words are still wanted.
    said: usize,
}

/// How much of a failed test's own words is told again.
const SAID_LINES: usize = 6;

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
    /// One check.
    pub(super) fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), ..Self::default() }
    }

    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped);
        self.failures.extend(other.failures);
        self
    }

    /// Adds a line of the form `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, `skipped NAME: WHY`, or another runner's.
    fn add(&mut self, line: &str) {
        self.add_failure(line);
        self.add_surefire(line);
        self.add_xctest(line);
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

impl Counts {
    /// `---- NAME stdout ----` stands before what a Rust test said, `<<< FAILURE!` behind one of Surefire's, and XCTest says
    /// `FILE:LINE: error: CLASS.NAME : WHY`.
    fn add_failure(&mut self, line: &str) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.failures.push(name.to_owned());
            self.said = SAID_LINES;
        } else if line.ends_with("<<< FAILURE!") || line.ends_with("<<< ERROR!") {
            // A class's closing line repeats its tests.
            if !line.contains("Tests run:") {
                self.failures.push(line.trim_start_matches("[ERROR] ").to_owned());
                self.said = 1;
            }
        } else if line.contains(": error: ") && line.contains("Tests.") {
            self.failures.push(line.to_owned());
            self.said = 0;
        } else if line == "stack backtrace:" {
            self.said = 0;
        } else if self.said > 0 && !line.is_empty() {
            self.said -= 1;
            if let Some(last) = self.failures.last_mut() {
                last.push_str("\n    ");
                last.push_str(line);
            }
        }
    }

    /// `Tests run: 4, Failures: 0, Errors: 0, Skipped: 1` closes a run; with the name of a class behind it, it closes that class.
    fn add_surefire(&mut self, line: &str) {
        let line = line.trim_start_matches(|first: char| first != 'T');
        let Some(rest) = line.strip_prefix("Tests run: ").filter(|_| !line.contains("Time elapsed")) else { return };
        let numbers: Vec<u64> = rest
            .split(", ")
            .filter_map(|part| part.rsplit(' ').next().and_then(|number| number.parse().ok()))
            .collect();
        let [run, failures, errors, skipped] = numbers[..] else { return };
        self.passed += run.saturating_sub(failures + errors + skipped);
        self.failed += failures + errors;
        self.ignored += skipped;
    }

    /// `Executed 4 tests, with 1 test skipped and 0 failures (0 unexpected) in ...` stands behind each suite and behind all of
    /// them; the last, which counts everything, takes the place of what was counted of the suites.
    fn add_xctest(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("Executed ") else { return };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let before = |word: &str| {
            let place = words.iter().position(|one| one.starts_with(word))?;
            words[..place].iter().rev().find_map(|one| one.parse::<u64>().ok())
        };
        let (Some(run), Some(failures)) = (before("test"), before("failure")) else { return };
        let skipped = if words.contains(&"skipped") { before("skipped").unwrap_or_default() } else { 0 };
        self.passed = run.saturating_sub(failures + skipped);
        self.failed = failures;
        self.ignored = skipped;
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
        assert_eq!(counts, Counts { passed: 17, failed: 2, ignored: 1, skipped, ..Counts::default() });
    }

    #[test]
    fn what_other_runners_say_is_counted_once() {
        let mut surefire = Counts::default();
        surefire
            .add("[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s -- in com.snaptrak.A");
        surefire.add("[ERROR] Tests run: 9, Failures: 1, Errors: 2, Skipped: 1");
        assert_eq!((surefire.passed, surefire.failed, surefire.ignored), (5, 3, 1));
        let mut xctest = Counts::default();
        xctest.add("\t Executed 2 tests, with 0 failures (0 unexpected) in 0.1 (0.1) seconds");
        xctest.add("\t Executed 7 tests, with 1 test skipped and 2 failures (0 unexpected) in 0.4 (0.4) seconds");
        assert_eq!((xctest.passed, xctest.failed, xctest.ignored), (4, 2, 1));
    }

    #[test]
    fn tests_that_failed_are_kept_with_their_first_words() {
        let mut counts = Counts::default();
        let said = [
            "---- store::a_picture_is_kept stdout ----",
            "",
            "thread 'store::a_picture_is_kept' (7) panicked at core/store/src/a.rs:90:5:",
            "left is not right",
            "stack backtrace:",
            "   0: __rustc::rust_begin_unwind",
            "[ERROR] com.snaptrak.JourneyTest.told -- Time elapsed: 0.2 s <<< FAILURE!",
            "org.opentest4j.AssertionFailedError: expected: <1> but was: <2>",
            "\tat com.snaptrak.JourneyTest.told(JourneyTest.kt:4)",
            "[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 1 s <<< FAILURE!",
            "/a/JourneyTests.swift:12: error: JourneyTests.testTold : XCTAssertEqual failed",
        ];
        said.iter().for_each(|line| counts.add(line));
        let place = "thread 'store::a_picture_is_kept' (7) panicked at core/store/src/a.rs:90:5:";
        let wanted = [
            format!("store::a_picture_is_kept\n    {place}\n    left is not right"),
            "com.snaptrak.JourneyTest.told -- Time elapsed: 0.2 s <<< FAILURE!\n    org.opentest4j.AssertionFailedError: \
             expected: <1> but was: <2>"
                .to_owned(),
            "/a/JourneyTests.swift:12: error: JourneyTests.testTold : XCTAssertEqual failed".to_owned(),
        ];
        assert_eq!(counts.failures, wanted);
    }

    #[test]
    fn a_program_that_fails_is_told_from_one_that_succeeds() {
        let (succeeded, counts) =
            run(Command::new("sh").args(["-c", "echo 'test result: ok. 2 passed; 0 failed'; exit 1"])).unwrap();
        assert!(!succeeded);
        assert_eq!(counts.passed, 2);
    }
}
