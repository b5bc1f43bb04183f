//! `record`: takes in standard input as it comes, piece by piece, until it ends or somebody ends it.

use super::capture::Labels;
use crate::{
    args,
    error::Error,
    exit::Exit,
    globals::Globals,
    interrupt::Interrupt,
    output::Output,
    progress::Bar,
    session,
    shapes::{CAPTURE_SCHEMA, CaptureResult},
};
use serde::Serialize;
use snaptrak::{CaptureOptions, Captured, Kind, PieceDone, SnapTrak};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
};

/// One read: sixteen pipe buffers of Linux, so that the system call does not count.
const READ_BYTES: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What it is
    #[arg(long, value_parser = args::kind())]
    kind: Kind,
    /// What you want to say about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    labels: Labels,
    /// Print one JSON object a line, each the moment a piece is durable
    #[arg(long)]
    pub(crate) jsonl: bool,
}

#[derive(Serialize)]
struct PieceLine {
    piece: u32,
    bytes: u64,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let (captured, interrupted) = session::with_store(globals, output, |sdk| record(sdk, arguments, output))?;
    output.result(CAPTURE_SCHEMA, &CaptureResult::one((&captured).into()), CaptureResult::words)?;
    Ok(if interrupted { Exit::Interrupted } else { Exit::Done })
}

fn record(sdk: &SnapTrak, arguments: &Arguments, output: &Output) -> Result<(Captured, bool), Error> {
    let unreadable = |source| Error::Read { what: "standard input", source };
    let interrupt = Interrupt::listen()?;
    // Not through `Stdin`, whose buffer could hold bytes of which the wait below knows nothing.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?);
    let options = CaptureOptions { note: arguments.note.clone(), ..arguments.labels.options() };
    let mut recording = sdk.record(arguments.kind, options)?;
    let bar = Bar::of_bytes(output);
    let mut buffer = vec![0; READ_BYTES];
    while interrupt.wait_for(input.as_fd()).map_err(unreadable)? {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        print_lines(&recording.write(&buffer[..count])?, output)?;
        bar.advance(count as u64);
    }
    let (captured, pieces) = recording.finish()?;
    print_lines(&pieces, output)?;
    Ok((captured, interrupt.asked()))
}

fn print_lines(pieces: &[PieceDone], output: &Output) -> Result<(), Error> {
    pieces
        .iter()
        .try_for_each(|piece| output.line("snaptrak.piece/1", &PieceLine { piece: piece.index, bytes: piece.bytes }))
}
