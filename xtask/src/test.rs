//! `cargo xtask test`: the whole gate, group by group, on a machine on which nothing was installed by hand.
//!
//! Owns: the list of groups, their order, and the count at the end. A group that fails does not stop the others: one run
//! tells everything that is wrong. Refuses to know what a test checks.

mod bindings;
mod report;
mod tally;

use std::path::PathBuf;
use std::time::Instant;

use self::bindings::Outcome;
use self::report::{Group, Report};
use crate::cache::{Cache, repository};
use crate::error::Result;
use crate::python::Set;
use crate::{models, pictures, prerequisites, process, python, terminal};

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// Write the groups and their counts to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run only these groups (prepare, format, build, tests, doctests, lint, documentation, crash, demo, library, api, kotlin, swift)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// What a group runs.
struct Job {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// The trials use what the group `build` made.
const BUILT: &[(&str, &str)] = &[("SNAPTRAK_BINARIES", "target/debug")];

const JOBS: &[Job] = &[
    Job { name: "format", arguments: &["fmt", "--all", "--check"], environment: &[] },
    // Build once what every later group uses: with development dependencies, or the features would differ between a plain
    // build and the tests' and the shared crates would compile twice.
    Job { name: "build", arguments: &["build", "--workspace", "--all-targets", "--locked"], environment: &[] },
    Job {
        name: "tests",
        arguments: &["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"],
        environment: &[],
    },
    Job {
        name: "doctests",
        arguments: &["test", "--workspace", "--doc", "--locked", "--no-fail-fast"],
        environment: &[],
    },
    Job {
        name: "lint",
        // The generator is five lines and brings a hundred crates that nothing else needs here.
        arguments: &[
            "clippy",
            "--workspace",
            "--exclude",
            "snaptrak-bindgen",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        environment: &[],
    },
    Job {
        name: "documentation",
        arguments: &["doc", "--workspace", "--exclude", "snaptrak-bindgen", "--no-deps", "--locked"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Job {
        name: "crash",
        // The full form is `cargo xtask crash --long`.
        arguments: &["xtask", "crash", "--short"],
        environment: BUILT,
    },
    Job { name: "demo", arguments: &["xtask", "demo"], environment: BUILT },
];

/// Looks at what apps get: the native library, then a language's package.
type Binding = fn(&Cache) -> Result<Outcome>;

const BINDINGS: &[(&str, Binding)] =
    &[("library", bindings::library), ("api", bindings::api), ("kotlin", bindings::kotlin), ("swift", bindings::swift)];

/// Runs the groups; an error when any failed.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    let mut report = Report::default();
    let wanted = |name: &str| command.only.is_empty() || command.only.iter().any(|only| only == name);
    if wanted("prepare") {
        report.add(prepare(cache));
    }
    for job in JOBS.iter().filter(|job| wanted(job.name)) {
        report.add(run_job(job));
    }
    for (name, run) in BINDINGS.iter().filter(|(name, _)| wanted(name)) {
        let started = now();
        terminal::progress(&format!("== {name}"));
        match run(cache) {
            Ok(Outcome::Ran { succeeded, counts }) => {
                report.add(Group::counted(name, succeeded, counts, started.elapsed()));
            }
            Ok(Outcome::Skipped { why }) => report.skip(name, &why),
            Err(error) => {
                terminal::failure(&error);
                report.add(Group::single(name, false, started.elapsed()));
            }
        }
    }
    if let Some(file) = &command.json {
        report.write(file)?;
    }
    report.finish()
}

#[expect(clippy::disallowed_methods, reason = "a gate tells a person how long each group took")]
fn now() -> Instant {
    Instant::now()
}

/// Brings what the tests need; counted as one check, since nothing else can run without it.
fn prepare(cache: &Cache) -> Group {
    let started = now();
    terminal::progress("== prepare");
    let outcome = prerequisites::ensure()
        .and_then(|()| models::ensure(cache))
        .and_then(|()| if models::devices::obstacle().is_none() { models::devices::ensure(cache) } else { Ok(()) })
        .and_then(|()| pictures::ensure(cache))
        .and_then(|()| python::interpreter(Set::Judges, cache).map(|_| ()));
    if let Err(error) = &outcome {
        terminal::failure(error);
    }
    Group::single("prepare", outcome.is_ok(), started.elapsed())
}

fn run_job(job: &Job) -> Group {
    let started = now();
    terminal::progress(&format!("== {}: cargo {}", job.name, job.arguments.join(" ")));
    let mut cargo = process::cargo();
    cargo.args(job.arguments).envs(job.environment.iter().copied()).current_dir(repository());
    // The same crates must not be fingerprinted differently from one group to the next.
    cargo.env("CARGO_INCREMENTAL", "0");
    match tally::run(&mut cargo) {
        Ok((succeeded, counts)) => Group::counted(job.name, succeeded, counts, started.elapsed()),
        Err(error) => {
            terminal::failure(&error);
            Group::single(job.name, false, started.elapsed())
        }
    }
}
