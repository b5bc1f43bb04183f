//! What the gate tells at its end, to a person and as JSON.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::tally::Counts;
use crate::error::{AtPath, Error, Result};
use crate::terminal;

/// One group of checks.
#[derive(Serialize)]
pub(super) struct Group {
    name: String,
    passed: u64,
    failed: u64,
    skipped: Vec<Skipped>,
    failures: Vec<String>,
    seconds: f64,
}

/// Something that did not run, and why.
#[derive(Serialize)]
struct Skipped {
    name: String,
    reason: String,
}

impl Group {
    /// A group that is one check.
    pub(super) fn single(name: &str, succeeded: bool, took: Duration) -> Self {
        Self::counted(name, succeeded, Counts::default(), took)
    }

    /// A group in which tests were counted. A program that fails without a counted failure (it did not compile, say) is one
    /// failure; one that counts nothing and succeeds is one check that passed.
    pub(super) fn counted(name: &str, succeeded: bool, counts: Counts, took: Duration) -> Self {
        let nothing_counted = counts.passed + counts.failed == 0;
        let mut skipped: Vec<Skipped> =
            counts.skipped.into_iter().map(|(name, reason)| Skipped { name, reason }).collect();
        if counts.ignored > 0 {
            let reason = "each says why where it is marked as ignored".to_owned();
            skipped.push(Skipped { name: format!("{} tests", counts.ignored), reason });
        }
        Self {
            name: name.to_owned(),
            passed: counts.passed + u64::from(succeeded && nothing_counted),
            failed: counts.failed.max(u64::from(!succeeded)),
            skipped,
            failures: counts.failures,
            seconds: took.as_secs_f64(),
        }
    }
}

/// All groups.
#[derive(Default, Serialize)]
pub(super) struct Report {
    groups: Vec<Group>,
}

impl Report {
    pub(super) fn add(&mut self, group: Group) {
        let (passed, failed) = (group.passed, group.failed);
        terminal::progress(&format!("-- {}: {passed} passed, {failed} failed, {:.0} s", group.name, group.seconds));
        self.groups.push(group);
    }

    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        let skipped = vec![Skipped { name: name.to_owned(), reason: reason.to_owned() }];
        self.groups.push(Group {
            name: name.to_owned(),
            passed: 0,
            failed: 0,
            skipped,
            failures: Vec::new(),
            seconds: 0.0,
        });
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| Error::Description { path: file.to_owned(), source })?;
        fs::write(file, text + "\n").at(file)
    }

    /// Prints the table and the closing line; an error when anything failed.
    pub(super) fn finish(&self) -> Result<()> {
        terminal::result("");
        for group in &self.groups {
            let failed = if group.failed > 0 { "FAILED" } else { "ok" };
            terminal::result(&format!(
                "{:<16} {:>6} {:>5} passed {:>3} failed {:>5.0} s",
                group.name, failed, group.passed, group.failed, group.seconds
            ));
            for skipped in &group.skipped {
                terminal::result(&format!("    skipped {}: {}", skipped.name, skipped.reason));
            }
            for failure in &group.failures {
                terminal::result(&format!("    failed {}", failure.replace('\n', "\n    ")));
            }
        }
        let passed: u64 = self.groups.iter().map(|group| group.passed).sum();
        let failed: u64 = self.groups.iter().map(|group| group.failed).sum();
        let skipped: usize = self.groups.iter().map(|group| group.skipped.len()).sum();
        terminal::result(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
        if failed == 0 {
            return Ok(());
        }
        Err(Error::Missing {
            what: format!("{failed} checks failed"),
            next: "read what failed in the groups above".to_owned(),
        })
    }
}
