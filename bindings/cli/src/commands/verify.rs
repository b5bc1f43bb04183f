//! `verify`: checks every receipt and their chain, offline.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session};
use serde::Serialize;
use snaptrak::{AssetId, VerifyReport};

#[derive(Serialize)]
struct Shape {
    receipts: u64,
    signed: u64,
    countersigned: u64,
    chain_ok: bool,
    gaps: Vec<u64>,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    sequence: u64,
    asset_id: AssetId,
    code: &'static str,
}

pub(crate) fn run(globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let report = session::with_store(globals, output, |sdk| Ok(sdk.verify()?))?;
    let shape = shape(report);
    output.result("snaptrak.verify/1", &shape, words)?;
    // Not signed yet, not countersigned yet: both are early, not wrong.
    let holds = shape.chain_ok && shape.gaps.is_empty() && shape.failures.is_empty();
    Ok(if holds { Exit::Done } else { Exit::Damaged })
}

fn shape(report: VerifyReport) -> Shape {
    let failures = report.failures.into_iter().map(|failure| Failure {
        sequence: failure.sequence,
        asset_id: failure.asset_id,
        code: failure.code,
    });
    Shape {
        receipts: report.receipts,
        signed: report.signed,
        countersigned: report.countersigned,
        chain_ok: report.chain_ok,
        gaps: report.gaps,
        failures: failures.collect(),
    }
}

fn words(shape: &Shape) -> String {
    let mut lines = vec![
        format!("receipts       {}", shape.receipts),
        format!("signed         {}", shape.signed),
        format!("countersigned  {}", shape.countersigned),
        format!("chain          {}", if shape.chain_ok { "whole" } else { "broken" }),
    ];
    if !shape.gaps.is_empty() {
        let gaps: Vec<String> = shape.gaps.iter().map(u64::to_string).collect();
        lines.push(format!("missing        {}", gaps.join(", ")));
    }
    if !shape.failures.is_empty() {
        let rows: Vec<[String; 3]> = shape
            .failures
            .iter()
            .map(|failure| [failure.sequence.to_string(), failure.asset_id.to_string(), failure.code.to_owned()])
            .collect();
        lines.push(format!("\n{}", human::table(["PLACE", "ASSET", "WHAT DOES NOT HOLD"], &rows)));
    }
    lines.join("\n")
}
