//! `rotate-keys`: new keys for the database and for what is captured from now on.

use crate::{error::Error, exit::Exit, globals::Globals, output::Output, session};
use serde::Serialize;
use snaptrak::RotateKeys;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only the database's key
    #[arg(long, conflicts_with = "media")]
    database: bool,
    /// Only the key for which new captures are wrapped
    #[arg(long)]
    media: bool,
}

#[derive(Serialize)]
struct Shape {
    database: bool,
    media: bool,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let keys = RotateKeys { database: !arguments.media, media: !arguments.database };
    session::with_store(globals, output, |sdk| Ok(sdk.rotate_keys(keys)?))?;
    output.result("snaptrak.rotate_keys/1", &Shape { database: keys.database, media: keys.media }, words)?;
    Ok(Exit::Done)
}

fn words(shape: &Shape) -> String {
    let mut lines = Vec::new();
    if shape.database {
        lines.push("The database has a new key.");
    }
    if shape.media {
        lines.push("New captures are wrapped for a new key; the old ones open as before.");
    }
    lines.join("\n")
}
