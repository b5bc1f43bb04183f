//! `thumbnail`: the small picture of a capture, written to a file; or given from one.

use super::view::is_stdout;
use crate::{destination, error::Error, exit::Exit, globals::Globals, output::Output, session};
use serde::Serialize;
use snaptrak::{CaptureId, ErrorCode};
use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

const WHAT: &str = "the thumbnail";

/// A picture that is given may have so many bytes; the SDK says the same of more.
const GIVEN_BYTES_MAX: u64 = (128 << 20) + 1;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
    /// Where to write it, as JPEG; `-` is standard output
    #[arg(short, long = "output", value_name = "FILE", required_unless_present = "set")]
    output: Option<PathBuf>,
    /// Give this picture to a capture that has no thumbnail yet
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shape {
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let path = arguments.output.as_deref();
    let to_stdout = path.map_or(Ok(false), |path| is_stdout(path, output))?;
    let given = arguments.set.as_deref().map(read).transpose()?;
    let small = session::with_store(globals, output, |sdk| {
        if let Some(given) = &given {
            sdk.set_thumbnail(arguments.id, given)?;
        }
        sdk.thumbnail(arguments.id)?.ok_or_else(none)
    })?;
    let write = |writer: &mut dyn Write| writer.write_all(&small).map_err(|source| Error::write(WHAT, source));
    match path {
        Some(_) if to_stdout => return destination::watched(output.bytes(), WHAT, write).map(|()| Exit::Done),
        Some(path) => destination::write_whole(path, WHAT, write)?,
        None => {}
    }
    let shape = Shape { bytes: small.len() as u64, output: path.map(|path| path.to_string_lossy().into_owned()) };
    output.result("snaptrak.thumbnail/1", &shape, |shape| {
        crate::human::printable(shape.output.as_deref().unwrap_or("the thumbnail is kept"))
    })?;
    Ok(Exit::Done)
}

fn none() -> Error {
    Error::Sdk(snaptrak::Error::new(
        ErrorCode::NotAPicture,
        "this capture has no thumbnail: it cannot be decoded here, and none was given",
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { what: "the picture for the thumbnail", source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(GIVEN_BYTES_MAX).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
