//! `pin` and `unpin`: whether a capture's bytes are to stay on this device.

use crate::{error::Error, exit::Exit, globals::Globals, output::Output, session};
use serde::Serialize;
use snaptrak::CaptureId;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
}

#[derive(Serialize)]
struct Shape {
    id: CaptureId,
    pinned: bool,
}

pub(crate) fn run(pinned: bool, arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let id = arguments.id;
    session::with_store(globals, output, |sdk| {
        let done = if pinned { sdk.pin(id) } else { sdk.unpin(id) };
        done.map_err(Error::from)
    })?;
    output.result("snaptrak.pin/1", &Shape { id, pinned }, |shape| {
        let words = if shape.pinned { "stays on this device" } else { "may go when room is needed" };
        format!("{} {words}", shape.id)
    })?;
    Ok(Exit::Done)
}
