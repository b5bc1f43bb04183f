#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod args;
mod commands;
mod destination;
mod engines;
mod error;
mod exit;
mod globals;
mod human;
mod interrupt;
mod logging;
mod output;
mod passphrase;
mod progress;
mod prompt;
mod runtime_files;
mod secret_input;
mod session;
mod shapes;
mod words;

use args::Arguments;
use clap::{CommandFactory, FromArgMatches};
use error::Error;
use exit::Exit;
use output::{Form, Output};
use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let parsed =
        Arguments::command().try_get_matches_from(&words).and_then(|found| Arguments::from_arg_matches(&found));
    match parsed {
        Ok(arguments) => run(&arguments).into(),
        Err(error) => unparsed(&error, &words).into(),
    }
}

fn run(arguments: &Arguments) -> Exit {
    let (form, quiet) = (arguments.form(), arguments.globals.quiet);
    logging::begin(arguments.globals.verbose);
    let output =
        if arguments.command.loads_engines() { Output::apart(form, quiet) } else { Ok(Output::new(form, quiet)) };
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            Output::new(form, quiet).failure(&error);
            return Exit::of(&error);
        }
    };
    match commands::run(arguments, &output) {
        Ok(exit) => exit,
        Err(error) => {
            output.failure(&error);
            Exit::of(&error)
        }
    }
}

/// Help and version are answers; everything else is a usage error, as an object for those who asked for objects.
fn unparsed(error: &clap::Error, words: &[OsString]) -> Exit {
    let asked_for_json =
        words.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json" || word == "--jsonl");
    if error.use_stderr() && asked_for_json {
        let usage = Error::usage(in_one_line(&error.to_string()), "see `snaptrak --help`, or --help after the command");
        Output::new(Form::Json, true).failure(&usage);
    } else {
        Output::parser_words(error);
    }
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// The parser's first paragraph: what is wrong, and below it which options that concerns.
fn in_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    lines.join(" ").trim_start_matches("error: ").to_owned()
}
