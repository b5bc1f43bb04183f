//! `annotate`: the upright picture with what was found drawn on it.

use super::view::is_stdout;
use crate::{destination, error::Error, exit::Exit, globals::Globals, output::Output, session};
use serde::Serialize;
use snaptrak::{CaptureId, PictureFormat};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const WHAT: &str = "the annotated picture";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
    /// Where to write it: .png, .jpg or .jpeg; `-` is standard output, as PNG
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Shape {
    output: String,
    bytes: u64,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let to_stdout = is_stdout(&arguments.output, output)?;
    let format = format(&arguments.output)?;
    let picture = session::with_store(globals, output, |sdk| Ok(sdk.annotate(arguments.id, format)?))?;
    let write = |writer: &mut dyn Write| writer.write_all(&picture).map_err(|source| Error::write(WHAT, source));
    if to_stdout {
        destination::watched(output.bytes(), WHAT, write)?;
    } else {
        destination::write_whole(&arguments.output, WHAT, write)?;
        let shape = Shape { output: arguments.output.to_string_lossy().into_owned(), bytes: picture.len() as u64 };
        output.result("snaptrak.annotate/1", &shape, |shape| crate::human::printable(&shape.output))?;
    }
    Ok(Exit::Done)
}

/// The format that the file's name promises; PNG, which loses nothing, where it promises none.
fn format(path: &Path) -> Result<PictureFormat, Error> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        None | Some("png") => Ok(PictureFormat::Png),
        Some("jpg" | "jpeg") => Ok(PictureFormat::Jpeg),
        Some(_) => Err(Error::usage("this kind of picture is not written", "name the file .png, .jpg or .jpeg")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_never_lies() {
        assert!(matches!(format(Path::new("a.JPG")), Ok(PictureFormat::Jpeg)));
        assert!(matches!(format(Path::new("-")), Ok(PictureFormat::Png)));
        assert!(matches!(format(Path::new("b/a.png")), Ok(PictureFormat::Png)));
        assert!(format(Path::new("a.webp")).is_err());
    }
}
