//! `analyse`: understands what waits for analysis.

use crate::{
    args::{self, AskedAccelerator},
    error::Error,
    exit::Exit,
    globals::Globals,
    output::Output,
    progress::Bar,
    session,
};
use serde::Serialize;
use snaptrak::{AnalyseOptions, AnalyseReport, Conditions, Place, Thermal};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this model; every model of the manifest otherwise
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// Only this engine: ort, tflite
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Where it should run, and nowhere else; with `auto` where each model is best, which is measured when it is first needed
    #[arg(long, value_name = "ACCELERATOR", value_parser = args::accelerator(), default_value = args::AUTO)]
    accelerator: AskedAccelerator,
    /// At most so many captures
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    moment: Moment,
}

/// What a phone's system would tell.
#[derive(Debug, clap::Args)]
pub(crate) struct Moment {
    /// As on a device that is this warm: a hot one leaves the GPU alone, and measures nothing
    #[arg(long, value_name = "STATE", value_parser = args::thermal(), default_value = "nominal")]
    thermal: Thermal,
    /// As on a device that spares its battery: likewise
    #[arg(long)]
    low_power: bool,
    /// As in an app that is not in front, which has verdicts of its own
    #[arg(long)]
    background: bool,
}

impl Moment {
    pub(crate) fn conditions(&self) -> Conditions {
        let place = if self.background { Place::Background } else { Place::Foreground };
        Conditions { place, thermal: self.thermal, low_power: self.low_power }
    }
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
        accelerator: arguments.accelerator.0,
        limit: arguments.limit,
        conditions: arguments.moment.conditions(),
    };
    let report = session::with_store(globals, output, |sdk| Ok(sdk.analyse(&options, &Bar::new(output))?));
    let report = report?;
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
