//! `list`: captures, a page at a time.

use crate::{args, error::Error, exit::Exit, globals::Globals, human, output::Output, session};
use clap::builder::RangedU64ValueParser;
use serde::Serialize;
use snaptrak::{AssetId, AssetState, CaptureId, Cursor, Kind, Page, Sha256Digest};

/// Captures of a page when nobody says: two screens.
const LIMIT_DEFAULT: &str = "50";
/// Captures of the longest page that the SDK gives.
const LIMIT_MAX: u64 = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only captures in this state
    #[arg(long, value_parser = args::state())]
    state: Option<AssetState>,
    /// At most so many
    #[arg(long, value_name = "N", default_value = LIMIT_DEFAULT,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=LIMIT_MAX))]
    limit: usize,
    /// Those that follow: the `next` of the page before, or a capture
    #[arg(long, value_name = "ID", value_parser = str::parse::<Cursor>)]
    after: Option<Cursor>,
}

#[derive(Serialize)]
struct Shape {
    captures: Vec<Entry>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    id: CaptureId,
    kind: Kind,
    asset_id: AssetId,
    state: AssetState,
    created_ms: i64,
    bytes: u64,
    /// Known once the capture is whole: a recording that goes on has none.
    sha256: Option<Sha256Digest>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let page =
        session::with_store(globals, output, |sdk| Ok(sdk.list(arguments.state, arguments.limit, arguments.after)?))?;
    let shape = shape(page);
    output.result("snaptrak.list/1", &shape, words)?;
    if let Some(next) = &shape.next {
        output.say(&format!("There is more: --after {next}"));
    }
    Ok(Exit::Done)
}

fn shape(page: Page) -> Shape {
    let captures = page.captures.into_iter().map(|capture| Entry {
        id: capture.id,
        kind: capture.kind,
        asset_id: capture.asset_id,
        state: capture.state,
        created_ms: capture.created.0,
        bytes: capture.bytes,
        sha256: capture.sha256,
    });
    Shape { captures: captures.collect(), next: page.next.map(|next| next.to_string()) }
}

fn words(shape: &Shape) -> String {
    if shape.captures.is_empty() {
        return "No captures.".to_owned();
    }
    let rows: Vec<[String; 5]> = shape
        .captures
        .iter()
        .map(|capture| {
            [
                capture.id.to_string(),
                human::moment(capture.created_ms),
                capture.kind.as_str().to_owned(),
                capture.state.as_str().to_owned(),
                human::size(capture.bytes),
            ]
        })
        .collect();
    human::table(["CAPTURE", "TIME (UTC)", "KIND", "STATE", "SIZE"], &rows)
}
