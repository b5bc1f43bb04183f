//! `completions`: a script that teaches a shell our commands and options.

use crate::{args, error::Error, exit::Exit, output::Output};
use clap::{CommandFactory, ValueEnum};
use clap_complete::generate;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Shells for which a script is made.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Serialize)]
struct Shape {
    script: String,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Error> {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut args::Arguments::command(), "snaptrak", &mut script);
    let shape = Shape { script: String::from_utf8_lossy(&script).into_owned() };
    output.result("snaptrak.completions/1", &shape, |shape| shape.script.clone())?;
    Ok(Exit::Done)
}
