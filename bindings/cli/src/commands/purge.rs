//! `purge`: makes room; bytes that the server signed for go from this device.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session, words as sentences};
use serde::Serialize;
use snaptrak::{CaptureId, KeptCode, PurgeOptions, PurgeReport};
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Stop when so many bytes are free
    #[arg(long, value_name = "BYTES")]
    to_free: Option<u64>,
    /// Only these captures; without any, every one that may go, oldest first
    #[arg(value_name = "ID", value_parser = str::parse::<CaptureId>)]
    ids: Vec<CaptureId>,
}

#[derive(Serialize)]
struct Shape {
    purged: u64,
    freed_bytes: u64,
    kept: Vec<Kept>,
    /// All that stay; `kept` lists at most a thousand.
    kept_count: u64,
}

#[derive(Serialize)]
struct Kept {
    id: CaptureId,
    code: KeptCode,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let options = PurgeOptions { captures: arguments.ids.clone(), to_free_bytes: arguments.to_free };
    let report = session::with_store(globals, output, |sdk| {
        // The passphrase was given: receipts that are not in their envelopes yet go there before a byte goes.
        sdk.unlock()?;
        Ok(sdk.purge(options)?)
    })?;
    output.result("snaptrak.purge/1", &shape(&report), words)?;
    Ok(Exit::Done)
}

fn shape(report: &PurgeReport) -> Shape {
    Shape {
        purged: report.purged,
        freed_bytes: report.freed_bytes,
        kept: report.kept.iter().map(|kept| Kept { id: kept.id, code: kept.code }).collect(),
        kept_count: report.kept_count,
    }
}

fn words(shape: &Shape) -> String {
    let mut lines = vec![format!(
        "{} freed: the bytes of {} captures are at the server only",
        human::size(shape.freed_bytes),
        shape.purged
    )];
    let mut by_code: BTreeMap<&str, (KeptCode, u64)> = BTreeMap::new();
    for kept in &shape.kept {
        by_code.entry(kept.code.as_str()).or_insert((kept.code, 0)).1 += 1;
    }
    let listed = shape.kept.len() as u64;
    lines.extend(by_code.into_values().map(|(code, count)| format!("{count} stay: {}", sentences::of_kept(code))));
    if shape.kept_count > listed {
        lines.push(format!("{} more stay", shape.kept_count - listed));
    }
    lines.join("\n")
}
