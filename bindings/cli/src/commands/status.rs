//! `status`: what is here, what waits, what was set aside.

use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session, words as sentences};
use serde::Serialize;
use snaptrak::{AssetState, CaptureId, Forecast, ParkedStep, ReasonCode, StepKind, StoreStatus};
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Shape {
    by_state: BTreeMap<&'static str, u64>,
    waiting: u64,
    waiting_bytes: u64,
    oldest_ms: Option<i64>,
    parked: Vec<Parked>,
    /// Absent where nobody knows how much is free.
    room: Option<Room>,
    store: StoreShape,
}

#[derive(Serialize)]
struct Room {
    photos: u64,
    bytes: u64,
    low: bool,
}

#[derive(Serialize)]
struct Parked {
    id: CaptureId,
    step: StepKind,
    code: ReasonCode,
}

#[derive(Serialize)]
struct StoreShape {
    schema_version: u64,
    cipher_version: String,
    bytes: u64,
}

pub(crate) fn run(globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let (status, forecast) = session::with_store(globals, output, |sdk| Ok((sdk.status()?, sdk.forecast()?)))?;
    output.result("snaptrak.status/1", &shape(status, forecast), words)?;
    Ok(Exit::Done)
}

fn shape(status: StoreStatus, forecast: Option<Forecast>) -> Shape {
    Shape {
        by_state: status.by_state,
        waiting: status.waiting,
        waiting_bytes: status.waiting_bytes,
        oldest_ms: status.oldest.map(|moment| moment.0),
        parked: status.parked.iter().map(parked).collect(),
        room: forecast.map(|room| Room { photos: room.photos, bytes: room.bytes, low: room.low }),
        store: StoreShape {
            schema_version: status.schema_version,
            cipher_version: status.cipher_version,
            bytes: status.bytes,
        },
    }
}

fn parked(parked: &ParkedStep) -> Parked {
    Parked { id: parked.id, step: parked.step, code: parked.code }
}

fn words(shape: &Shape) -> String {
    let mut lines: Vec<String> = Vec::new();
    // In the order of the ladder, and only what there is.
    for state in AssetState::ALL.map(AssetState::as_str) {
        if let Some(count) = shape.by_state.get(state).filter(|count| **count > 0) {
            lines.push(format!("{state:<10} {count:>7}"));
        }
    }
    if lines.is_empty() {
        lines.push("No captures.".to_owned());
    }
    if shape.waiting > 0 {
        let oldest = shape.oldest_ms.map(|moment| format!(", the oldest since {} UTC", human::moment(moment)));
        let size = human::size(shape.waiting_bytes);
        lines.push(format!("\n{} wait for the server, {size} sealed{}", shape.waiting, oldest.unwrap_or_default()));
    }
    if !shape.parked.is_empty() {
        let rows: Vec<[String; 3]> = shape
            .parked
            .iter()
            .map(|parked| {
                let sentence = sentences::of_reason(parked.code).to_owned();
                [parked.id.to_string(), parked.step.as_str().to_owned(), sentence]
            })
            .collect();
        lines.push(format!("\n{}", human::table(["SET ASIDE", "STEP", "BECAUSE"], &rows)));
    }
    if let Some(room) = &shape.room {
        let low = if room.low { "; room is low: `snaptrak purge` frees what the server signed for" } else { "" };
        lines.push(format!("\nroom for {} more photos ({}){low}", room.photos, human::size(room.bytes)));
    }
    let store = &shape.store;
    lines.push(format!(
        "\nThe store takes {} (schema {}, SQLCipher {})",
        human::size(store.bytes),
        store.schema_version,
        human::printable(&store.cipher_version)
    ));
    lines.join("\n")
}
