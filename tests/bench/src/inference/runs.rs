//! Runs of a loaded model: of the shipped ones, and of one so small that nearly everything is what is around the work.

use super::{
    open, options,
    peer::{Peer, Place},
};
use crate::{
    answer::Row,
    measure::{Better, Figure, pair, seconds},
};
use snaptrak_domain::engine::{ModelFile, Session, Tensor};
use snaptrak_inference::{ModelEntry, verify};
use snaptrak_testkit::models;
use std::{
    error::Error,
    path::{Path, PathBuf},
};

/// What may be around a run, in microseconds.
const OVERHEAD_US_MAX: f64 = 5.0;
/// Runs of the smallest model in a round.
const SMALL_RUNS: usize = 20_000;
/// Values of the smallest model.
const SMALL_VALUES: usize = 16;
/// A round of a shipped model takes at least as long, so that a neighbour's time slice does not count for much.
const ROUND_SECONDS: f64 = 0.6;

/// A session of ours beside a peer's, both with the same input; they gave the same answer.
struct Sides {
    session: Box<dyn Session>,
    input: [Tensor; 1],
    outputs: Vec<Tensor>,
    peer: Peer,
    _work: tempfile::TempDir,
}

impl Sides {
    fn new(
        engine: &str,
        (file, input): (PathBuf, Tensor),
        threads: usize,
        place: &Place,
    ) -> Result<Self, Box<dyn Error>> {
        let work = tempfile::tempdir()?;
        let (given, answered) = (work.path().join("input"), work.path().join("output"));
        std::fs::write(&given, models::floats(&input.data))?;
        let model = ModelFile { path: file, model_id: "bench".to_owned() };
        let peer = Peer::start(place, engine, &model.path, threads, (&given, &answered))?;
        let mut session = open(engine, place)?.load(&model, options(threads))?;
        let input = [input];
        let outputs = session.run(&input)?;
        let ours: Vec<u8> = outputs.iter().flat_map(|output| models::floats(&output.data)).collect();
        if ours != std::fs::read(&answered)? {
            return Err("the answers are not the peer's to the last bit".into());
        }
        Ok(Self { session, input, outputs, peer, _work: work })
    }

    /// Seconds of so many runs of ours.
    fn seconds(&mut self, runs: usize) -> Result<f64, Box<dyn Error>> {
        seconds(|| Ok((0..runs).try_for_each(|_| self.session.run_into(&self.input, &mut self.outputs))?))
    }
}

/// A slow wave: neither constant nor noise.
fn wave(name: &str, shape: &[usize]) -> Tensor {
    let values: usize = shape.iter().product();
    let data = (0..values).map(|index| ((index % 997) as f32 / 498.5) - 1.0).collect();
    Tensor { name: name.to_owned(), shape: shape.to_vec(), data }
}

/// Runs a second of a shipped model.
pub(super) fn throughput(
    name: &str,
    engine: &str,
    model: &ModelEntry,
    threads: usize,
    place: &Place,
    rounds: usize,
) -> Result<Row, Box<dyn Error>> {
    let variant = model.variant_for(engine).ok_or("the model has no file for this engine")?;
    let file = verify(&place.models(), model, variant)?;
    let model = model.as_in(variant);
    let input = wave(&model.inputs[0].name, &model.inputs[0].shape);
    let mut sides = Sides::new(engine, (file.path, input), threads, place)?;
    let runs = ((ROUND_SECONDS / sides.seconds(1)?.max(1e-6)) as usize).max(3);
    let figure = Figure { name, unit: "runs/s", better: Better::Larger, target: Some(1.0), rounds };
    let sides = std::cell::RefCell::new(sides);
    pair(
        &figure,
        &mut || Ok(runs as f64 / sides.borrow_mut().seconds(runs)?),
        &mut || Ok(runs as f64 / sides.borrow_mut().peer.seconds(runs)?),
        None,
    )
}

fn small(engine: &str, place: &Place, work: &Path) -> Result<Sides, Box<dyn Error>> {
    let file = work.join("small");
    let bytes = if engine == "ort" {
        models::onnx::relu(SMALL_VALUES as u64)
    } else {
        models::tflite::relu(SMALL_VALUES as i32).file()
    };
    std::fs::write(&file, bytes)?;
    Sides::new(engine, (file, wave("x", &[1, SMALL_VALUES])), 1, place)
}

/// The whole of a run that has next to nothing to do, ours and the library's part, beside what ours alone may take.
pub(super) fn overhead(name: &str, engine: &str, place: &Place, rounds: usize) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir()?;
    let mut sides = small(engine, place, work.path())?;
    let figure = Figure { name, unit: "us", better: Better::Smaller, target: Some(1.0), rounds };
    let each = |seconds: f64| seconds * 1e6 / SMALL_RUNS as f64;
    pair(&figure, &mut || Ok(each(sides.seconds(SMALL_RUNS)?)), &mut || Ok(OVERHEAD_US_MAX), None)
}

/// The same beside the peer's.
pub(super) fn smallest(name: &str, engine: &str, place: &Place, rounds: usize) -> Result<Row, Box<dyn Error>> {
    let work = tempfile::tempdir()?;
    let sides = std::cell::RefCell::new(small(engine, place, work.path())?);
    let figure = Figure { name, unit: "us", better: Better::Smaller, target: Some(1.0), rounds };
    let each = |seconds: f64| seconds * 1e6 / SMALL_RUNS as f64;
    pair(
        &figure,
        &mut || Ok(each(sides.borrow_mut().seconds(SMALL_RUNS)?)),
        &mut || Ok(each(sides.borrow_mut().peer.seconds(SMALL_RUNS)?)),
        None,
    )
}
