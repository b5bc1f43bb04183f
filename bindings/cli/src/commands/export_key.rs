//! `export-key`: one asset's data key as a Tink keyset, for its owner. The key goes into a file of its owner's alone and is
//! never printed.

use crate::{args, destination, error::Error, exit::Exit, globals::Globals, output::Output, session};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use snaptrak::{CaptureId, ExportedKey, Rendition};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const WHAT: &str = "the key";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
    /// Which of its assets
    #[arg(long, value_parser = args::rendition(), default_value = Rendition::Original.as_str())]
    rendition: Rendition,
    /// Where to write the key
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Yes, whoever has this file can open the asset
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Shape {
    /// The file that holds the keyset.
    keyset: String,
    pieces: Vec<Piece>,
}

#[derive(Serialize)]
struct Piece {
    /// The sealed file; null for a note, whose piece is a row.
    path: Option<String>,
    /// The sealed bytes of a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_b64: Option<String>,
    associated_data_b64: String,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    if !arguments.yes {
        return Err(Error::usage(
            "whoever has the exported key can open the asset",
            "add --yes if that is what you want",
        ));
    }
    if arguments.output == Path::new("-") {
        return Err(Error::usage("a key is not printed", "give -o FILE"));
    }
    let key = session::with_store(globals, output, |sdk| Ok(sdk.export_key(arguments.id, arguments.rendition)?))?;
    destination::write_whole(&arguments.output, WHAT, |writer: &mut dyn Write| {
        writer.write_all(key.keyset.expose()).map_err(|source| Error::write(WHAT, source))
    })?;
    output.result("snaptrak.export_key/1", &shape(&arguments.output, key), |shape| {
        crate::human::printable(&format!("{}: a Tink keyset that opens {} pieces", shape.keyset, shape.pieces.len()))
    })?;
    Ok(Exit::Done)
}

fn shape(file: &Path, key: ExportedKey) -> Shape {
    let pieces = key.pieces.into_iter().map(|piece| Piece {
        path: piece.path.map(|path| path.to_string_lossy().into_owned()),
        sealed_b64: piece.sealed.map(|sealed| STANDARD.encode(sealed)),
        associated_data_b64: STANDARD.encode(piece.associated_data),
    });
    Shape { keyset: file.to_string_lossy().into_owned(), pieces: pieces.collect() }
}
