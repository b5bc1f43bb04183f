//! `view`: the original, byte for byte, or a range of it.

use super::fetch;
use crate::{
    args, destination,
    error::Error,
    exit::Exit,
    globals::Globals,
    output::{Form, Output},
    session,
};
use serde::Serialize;
use snaptrak::{CaptureId, Sha256Digest};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const WHAT: &str = "the original";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
    /// Where to write it; `-` is standard output
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Bring it back from the server first, if it was purged
    #[arg(long)]
    fetch: bool,
    /// Only the bytes from START up to END, END not included; without END up to the end
    #[arg(long, value_name = "START-[END]", value_parser = args::range)]
    range: Option<args::ByteRange>,
}

#[derive(Serialize)]
struct Shape {
    /// Of what was written.
    sha256: Sha256Digest,
    output: String,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let to_stdout = is_stdout(&arguments.output, output)?;
    let sha256 = session::with_store(globals, output, |sdk| {
        if arguments.fetch {
            fetch::one(sdk, arguments.id, output, &fetch::cancelled_by_signal()?)?;
        }
        let write = |writer: &mut dyn Write| {
            Ok(match &arguments.range {
                Some(range) => sdk.view_range(arguments.id, range.0.clone(), writer)?,
                None => sdk.view(arguments.id, writer)?,
            })
        };
        if to_stdout {
            destination::watched(output.bytes(), WHAT, write)
        } else {
            destination::write_whole(&arguments.output, WHAT, write)
        }
    })?;
    if !to_stdout {
        let shape = Shape { sha256, output: arguments.output.to_string_lossy().into_owned() };
        output.result("snaptrak.view/1", &shape, |shape| {
            crate::human::printable(&format!("{}  {}", shape.sha256, shape.output))
        })?;
    }
    Ok(Exit::Done)
}

/// Whether the result itself goes to standard output, where there is then no room for an object.
pub(super) fn is_stdout(path: &Path, output: &Output) -> Result<bool, Error> {
    let to_stdout = path == Path::new("-");
    if to_stdout && output.form() == Form::Json {
        return Err(Error::usage(
            "standard output cannot take both a file and an object",
            "give -o FILE, or leave out --json",
        ));
    }
    Ok(to_stdout)
}
