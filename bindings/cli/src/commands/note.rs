//! `note`: takes in a text that a person wrote.

use super::capture::Labels;
use crate::{
    error::Error,
    exit::Exit,
    globals::Globals,
    output::Output,
    session,
    shapes::{CAPTURE_SCHEMA, CaptureResult},
};
use std::io::{self, Read};

/// Bytes that are read from standard input: the SDK takes no longer note (65,536 characters of at most four bytes), and one
/// byte more tells a longer one.
const TEXT_BYTES_MAX: u64 = 4 * 65_536 + 1;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The text; `-` reads it from standard input
    text: String,
    #[command(flatten)]
    labels: Labels,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let text = if arguments.text == "-" { typed()? } else { arguments.text.clone() };
    let captured = session::with_store(globals, output, |sdk| Ok(sdk.note(&text, arguments.labels.options())?))?;
    output.result(CAPTURE_SCHEMA, &CaptureResult::one((&captured).into()), CaptureResult::words)?;
    Ok(Exit::Done)
}

fn typed() -> Result<String, Error> {
    let mut text = String::new();
    let unreadable = |source| Error::Read { what: "standard input", source };
    io::stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
