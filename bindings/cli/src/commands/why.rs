//! `why`: why a capture is where it is, and what would move it.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session, words as sentences};
use serde::Serialize;
use snaptrak::{AssetState, CaptureId, ReasonCode, Why};
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture
    #[arg(value_parser = str::parse::<CaptureId>)]
    id: CaptureId,
}

#[derive(Serialize)]
struct Shape {
    id: CaptureId,
    state: AssetState,
    code: ReasonCode,
    since_ms: i64,
    next_try_ms: Option<i64>,
    unblocked_by: &'static str,
    server_status: Option<u16>,
    parameters: BTreeMap<String, String>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let why = session::with_store(globals, output, |sdk| Ok(sdk.why(arguments.id)?))?;
    output.result("snaptrak.why/1", &shape(arguments.id, why), words)?;
    Ok(Exit::Done)
}

fn shape(id: CaptureId, why: Why) -> Shape {
    Shape {
        id,
        state: why.state,
        code: why.reason.code,
        since_ms: why.since.0,
        next_try_ms: why.next_try.map(|moment| moment.0),
        unblocked_by: why.reason.code.unblocked_by(),
        server_status: why.reason.server_status,
        parameters: why.reason.parameters,
    }
}

fn words(shape: &Shape) -> String {
    let mut lines = vec![format!("{}: {}", shape.state.as_str(), sentences::of_reason(shape.code))];
    if let Some(status) = shape.server_status {
        lines.push(format!("the server answered {status}"));
    }
    for (name, value) in &shape.parameters {
        lines.push(human::printable(&format!("{name}: {value}")));
    }
    lines.push(format!("since {} UTC", human::moment(shape.since_ms)));
    if let Some(next) = shape.next_try_ms {
        lines.push(format!("tried again after {} UTC", human::moment(next)));
    }
    lines.push(format!("next: {}", sentences::of_unblocking(shape.unblocked_by)));
    lines.join("\n")
}
