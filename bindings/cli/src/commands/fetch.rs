//! `fetch`: purged originals back from the server.

use crate::{
    error::Error, exit::Exit, globals::Globals, human, interrupt::Interrupt, output::Output, progress::Bar, session,
};
use serde::Serialize;
use snaptrak::{AssetState, CancelToken, CaptureId, ErrorCode, FetchReport, SnapTrak};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The captures
    #[arg(required = true, value_parser = str::parse::<CaptureId>)]
    ids: Vec<CaptureId>,
}

#[derive(Serialize)]
struct Shape {
    fetched: Vec<FetchedShape>,
    failed: Vec<FailedShape>,
}

#[derive(Serialize)]
struct FetchedShape {
    id: CaptureId,
    state: AssetState,
    /// Pieces and their sealed bytes that came from the server now; none if the bytes were here.
    pieces: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct FailedShape {
    id: CaptureId,
    code: &'static str,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let mut shape = Shape { fetched: Vec::new(), failed: Vec::new() };
    let mut exit = Exit::Done;
    session::with_store(globals, output, |sdk| {
        let cancel = cancelled_by_signal()?;
        for id in &arguments.ids {
            match one(sdk, *id, output, &cancel) {
                Ok(FetchReport { pieces, bytes, state }) => {
                    shape.fetched.push(FetchedShape { id: *id, state, pieces, bytes });
                }
                // What concerns one capture does not keep the others from coming back.
                Err(Error::Sdk(error)) if is_its_own(error.code()) => {
                    output.warn(&format!("{id}: {}; next: {}", error.message(), error.next()));
                    exit = Exit::of_code(error.code());
                    shape.failed.push(FailedShape { id: *id, code: error.code().as_str() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    output.result("snaptrak.fetch/1", &shape, words)?;
    Ok(exit)
}

/// A token that a signal cancels.
pub(super) fn cancelled_by_signal() -> Result<CancelToken, Error> {
    let cancel = CancelToken::new();
    Interrupt::listen()?.then({
        let cancel = cancel.clone();
        move || cancel.cancel()
    });
    Ok(cancel)
}

/// Brings one capture back.
pub(super) fn one(sdk: &SnapTrak, id: CaptureId, output: &Output, cancel: &CancelToken) -> Result<FetchReport, Error> {
    Ok(sdk.fetch_until(id, &Bar::new(output), cancel)?)
}

fn is_its_own(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotFound | ErrorCode::ServerLost | ErrorCode::SealedMismatch | ErrorCode::ServerRefused)
}

fn words(shape: &Shape) -> String {
    let rows: Vec<[String; 4]> = shape
        .fetched
        .iter()
        .map(|one| [one.id.to_string(), one.state.as_str().to_owned(), one.pieces.to_string(), human::size(one.bytes)])
        .collect();
    if rows.is_empty() { String::new() } else { human::table(["CAPTURE", "STATE", "PIECES", "FETCHED"], &rows) }
}
