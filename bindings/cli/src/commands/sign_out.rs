//! `sign-out`: ends the session. Captures stay and wait.

use crate::{error::Error, exit::Exit, globals::Globals, output::Output, session};
use serde::Serialize;

#[derive(Serialize)]
struct Shape {
    signed_out: bool,
}

pub(crate) fn run(globals: &Globals, output: &Output) -> Result<Exit, Error> {
    session::with_store(globals, output, |sdk| Ok(sdk.sign_out()?))?;
    output.result("snaptrak.sign_out/1", &Shape { signed_out: true }, |_| {
        "Signed out. Captures stay here and wait for the next sign-in.".to_owned()
    })?;
    Ok(Exit::Done)
}
