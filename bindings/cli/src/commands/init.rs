//! `init`: makes a store.

use crate::{error::Error, exit::Exit, globals::Globals, output::Output, session};
use serde::Serialize;
use std::path;

#[derive(Serialize)]
struct Shape {
    store: String,
}

pub(crate) fn run(globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let folder = session::store_folder(globals)?;
    session::create_store(globals, output)?;
    // Absolute, so that it can be pasted into SNAPTRAK_STORE.
    let absolute = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let shape = Shape { store: absolute.to_string_lossy().into_owned() };
    output
        .result("snaptrak.init/1", &shape, |shape| format!("The store is {}", crate::human::printable(&shape.store)))?;
    output.say("Keep its passphrase: without it nobody opens what only this device holds.");
    Ok(Exit::Done)
}
