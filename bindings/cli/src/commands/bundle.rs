//! `bundle`: what the holder of the organisation's recovery key needs, as one file, and the way back from it.

use super::recover::{self, Part};
use crate::{destination, error::Error, exit::Exit, globals::Globals, human, output::Output, progress::Bar, session};
use serde::Serialize;
use snaptrak::SnapTrak;
use std::{
    fs::File,
    io::{BufReader, Write},
    path::{Path, PathBuf},
};

const WHAT: &str = "the bundle";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write a store's sealed files, without its keys, into one file
    Export(Export),
    /// Make a new store of a bundle with the organisation's recovery key
    Import(Import),
}

#[derive(Debug, clap::Args)]
struct Export {
    /// The folder of the store; no key of it is needed
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// Where to write the bundle
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// The bundle
    bundle: PathBuf,
    /// The organisation's private recovery key
    #[arg(long, value_name = "FILE")]
    recovery_key: PathBuf,
    /// The folder of the new store, absent or empty; --store otherwise
    #[arg(long, value_name = "STORE")]
    into: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shape {
    bundle: String,
    captures: u64,
    bytes: u64,
    unreadable: Vec<Part>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    match &arguments.action {
        Action::Export(export) => write(export, output),
        Action::Import(import) => read(import, globals, output),
    }
}

fn write(arguments: &Export, output: &Output) -> Result<Exit, Error> {
    if arguments.output == Path::new("-") {
        return Err(Error::usage("a bundle is not printed", "give -o FILE"));
    }
    let report = destination::write_whole(&arguments.output, WHAT, |writer: &mut dyn Write| {
        Ok(SnapTrak::export_bundle(&arguments.from, writer)?)
    })?;
    let shape = Shape {
        bundle: arguments.output.to_string_lossy().into_owned(),
        captures: report.captures,
        bytes: report.bytes,
        unreadable: recover::parts(report.unreadable),
    };
    output.result("snaptrak.bundle_export/1", &shape, |shape| {
        let head = format!("{}: {} captures, {}", shape.bundle, shape.captures, human::size(shape.bytes));
        let head = human::printable(&head);
        if shape.unreadable.is_empty() { head } else { format!("{head}\n\n{}", recover::table(&shape.unreadable)) }
    })?;
    Ok(if shape.unreadable.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn read(arguments: &Import, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let key = recover::recovery_key(&arguments.recovery_key, output)?;
    let into = arguments.into.as_deref().map_or_else(|| session::store_folder(globals), Ok)?;
    let file = File::open(&arguments.bundle).map_err(|source| Error::Read { what: WHAT, source })?;
    let (config, platform) = session::parts(globals, into, output)?;
    let bar = Bar::new(output);
    let report = SnapTrak::import_bundle(&mut BufReader::new(file), &config, &platform, &key, &bar)?;
    drop(bar);
    recover::tell(report, output)
}
