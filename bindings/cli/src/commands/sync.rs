//! `sync`: brings what waits to the server, and fetches its receipts.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, progress::Bar, session};
use serde::Serialize;
use snaptrak::{Budget, SyncReport};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End cleanly after so many milliseconds
    #[arg(long, value_name = "N")]
    budget_ms: Option<u64>,
    /// Send at most so many bytes
    #[arg(long, value_name = "N")]
    budget_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Shape {
    requests: u64,
    bytes_sent: u64,
    bytes_resent: u64,
    received: u64,
    verified: u64,
    parked: u64,
    left: u64,
    stopped_because: String,
    next_try_ms: Option<i64>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let budget = Budget { time_ms: arguments.budget_ms, bytes: arguments.budget_bytes };
    let report = session::with_store(globals, output, |sdk| Ok(sdk.sync(budget, &Bar::new(output))?))?;
    let shape = shape(&report);
    output.result("snaptrak.sync/1", &shape, words)?;
    if shape.left > 0 {
        output.say("`snaptrak why ID` says why a capture waits; run `snaptrak sync` again to go on.");
    }
    Ok(exit(&shape))
}

fn shape(report: &SyncReport) -> Shape {
    Shape {
        requests: report.requests,
        bytes_sent: report.bytes_sent,
        bytes_resent: report.bytes_resent,
        received: report.received,
        verified: report.verified,
        parked: report.parked,
        left: report.left,
        stopped_because: report.stopped_because.as_str().to_owned(),
        next_try_ms: report.next_try_ms,
    }
}

fn words(shape: &Shape) -> String {
    let resent =
        if shape.bytes_resent > 0 { format!(" ({} again)", human::size(shape.bytes_resent)) } else { String::new() };
    format!(
        "{} verified, {} received, {} set aside, {} left\n{} sent{resent} in {} requests; stopped because: {}",
        shape.verified,
        shape.received,
        shape.parked,
        shape.left,
        human::size(shape.bytes_sent),
        shape.requests,
        shape.stopped_because
    )
}

/// Running it again helps while something is left; only then does what was parked decide.
fn exit(shape: &Shape) -> Exit {
    match (shape.left > 0, shape.parked > 0) {
        (true, _) => Exit::Incomplete,
        (false, true) => Exit::Parked,
        (false, false) => Exit::Done,
    }
}
