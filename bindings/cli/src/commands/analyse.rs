//! `analyse`: understands what waits for analysis.

use crate::{args, error::Error, exit::Exit, globals::Globals, output::Output, progress::Bar, session};
use serde::Serialize;
use snaptrak::{Accelerator, AnalyseOptions, AnalyseReport};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this model; every model of the manifest otherwise
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// Only this engine: ort, tflite
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Where it should run
    #[arg(long, value_name = "ACCELERATOR", value_parser = args::accelerator(), default_value = Accelerator::Cpu.as_str())]
    accelerator: Accelerator,
    /// At most so many captures
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

#[derive(Serialize)]
struct Shape {
    analysed: u64,
    parked: u64,
    left: u64,
    thumbnails: u64,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let options = AnalyseOptions {
        model: arguments.model.clone(),
        engine: arguments.engine.clone(),
        accelerator: arguments.accelerator,
        limit: arguments.limit,
    };
    let report = session::with_store(globals, output, |sdk| Ok(sdk.analyse(&options, &Bar::new(output))?))?;
    let AnalyseReport { analysed, parked, left, thumbnails } = report;
    output.result("snaptrak.analyse/1", &Shape { analysed, parked, left, thumbnails }, |shape| {
        format!(
            "{} analysed, {} set aside, {} left, {} thumbnails made",
            shape.analysed, shape.parked, shape.left, shape.thumbnails
        )
    })?;
    if report.parked > 0 {
        output.say("`snaptrak status` says what was set aside and why.");
    }
    Ok(exit(&report, arguments.limit.is_some()))
}

/// What is left was either not asked for, or waits for another try.
fn exit(report: &AnalyseReport, limited: bool) -> Exit {
    match (report.left > 0 && !limited, report.parked > 0) {
        (true, _) => Exit::Incomplete,
        (false, true) => Exit::Parked,
        (false, false) => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_is_said_once_nothing_is_left() {
        let report = |parked, left| AnalyseReport { analysed: 1, parked, left, thumbnails: 0 };
        assert_eq!(exit(&report(0, 0), false), Exit::Done);
        assert_eq!(exit(&report(1, 0), false), Exit::Parked);
        assert_eq!(exit(&report(1, 5), true), Exit::Parked);
        assert_eq!(exit(&report(1, 5), false), Exit::Incomplete);
        assert_eq!(exit(&report(0, 5), true), Exit::Done);
    }
}
