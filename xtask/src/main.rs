//! `cargo xtask`: one command for each thing that a person does in this repository.
//!
//! Owns: the list of commands and the exit code. Every command is one module with a `Command` (its arguments) and a `run`;
//! what several commands need (cache, packages, Python, processes) are modules of their own. Nothing of the SDK is linked
//! here, so that this program compiles in seconds and can prepare a machine on which the SDK does not build yet.

mod api;
mod bench;
mod build;
mod cache;
mod crash;
mod demo;
mod error;
mod library;
mod models;
mod package;
mod packages;
mod pictures;
mod prerequisites;
mod process;
mod python;
mod terminal;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cache::Cache;
use crate::error::Result;

/// One command for each thing that a person does in this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check, and on Debian install, the system packages that the build needs
    Prerequisites,
    /// Fetch the inference runtime and the models into the cache, list them, or sign a manifest
    Models(models::Command),
    /// Fetch the sample pictures and the malformed files into the cache, or list them
    Pictures(pictures::Command),
    /// Prepare a Python environment and print the path of its interpreter
    Python(python::Command),
    /// Run the main job on real photos: capture offline, understand, sync, prove
    Demo(demo::Command),
    /// Run the whole gate: format, lint, documentation, tests, trials, demo
    Test(test::Command),
    /// Kill client and server at random moments and count what was lost (nothing may be)
    Crash(crash::Command),
    /// Measure a group beside its peers
    Bench(bench::Command),
    /// List what apps can call in each language, and compare it with what was accepted
    Api(api::Command),
    /// Build the native library as apps ship it, and check its symbols and its size
    Library(library::Command),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let cache = Cache::open()?;
    match command {
        Command::Prerequisites => prerequisites::ensure(),
        Command::Models(command) => models::run(&command, &cache),
        Command::Pictures(command) => pictures::run(&command, &cache),
        Command::Python(command) => python::run(&command, &cache),
        Command::Demo(command) => demo::run(&command, &cache),
        Command::Test(command) => test::run(&command, &cache),
        Command::Crash(command) => crash::run(&command, &cache),
        Command::Bench(command) => bench::run(&command, &cache),
        Command::Api(command) => api::run(&command, &cache),
        Command::Library(command) => library::run(&command),
    }
}
