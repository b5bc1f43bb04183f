//! Both engines beside the same libraries driven from Python, on the processor. To add a row, add a line to [`measure`].
//!
//! A peer is a process that loads the model once and then answers one line a round, so that rounds are interleaved; its answers
//! are compared with ours, bit for bit, before anything is measured. Models and libraries are those of `cargo xtask models`.

mod load;
mod peer;
mod runs;

pub(crate) use load::tell as tell_load;

use crate::answer::{Answer, NotRun, Row};
use peer::Place;
use snaptrak_domain::engine::{Accelerator, Engine, LoadOptions};
use snaptrak_inference::{Manifest, OrtEngine, TfliteEngine};
use std::{error::Error, path::PathBuf};

/// The engines' words, which the peer knows as well.
const ENGINES: [&str; 2] = ["ort", "tflite"];
/// As many threads as a phone has fast cores, and one.
const THREADS: [usize; 2] = [1, 2];
/// The model whose loading is measured.
const DETECTOR: &str = "ssd_mobilenetv2_oidv4";

/// Measures the row of this name.
type Measure<'a> = &'a dyn Fn(&str) -> Result<Row, Box<dyn Error>>;

fn open(engine: &str, place: &Place) -> Result<Box<dyn Engine>, Box<dyn Error>> {
    Ok(match engine {
        "ort" => Box::new(OrtEngine::open(&place.onnxruntime()?)?),
        _ => Box::new(TfliteEngine::open(&place.litert())?),
    })
}

fn options(threads: usize) -> LoadOptions {
    LoadOptions { accelerator: Accelerator::Cpu, threads }
}

/// Measures the rows whose name contains `only`. A row that fails is told and stops no other.
pub(crate) fn measure(cache: PathBuf, rounds: usize, only: &str) -> Result<Answer, Box<dyn Error>> {
    let place = Place { cache };
    let manifest = Manifest::load(&place.models())?;
    let (mut rows, mut not_run) = (Vec::new(), Vec::new());
    let mut measure = |name: String, row: Measure<'_>| {
        if name.contains(only) {
            match row(&name) {
                Ok(row) => rows.push(row),
                Err(error) => not_run.push(NotRun { name, why: error.to_string() }),
            }
        }
    };
    for engine in ENGINES {
        measure(format!("{engine}: a run but its work, at most"), &|name| runs::overhead(name, engine, &place, rounds));
        measure(format!("{engine}: the smallest run"), &|name| runs::smallest(name, engine, &place, rounds));
        measure(format!("{engine}: loading the detector"), &|name| load::cold(name, engine, &place, rounds));
        for model in &manifest.models {
            for threads in THREADS {
                measure(format!("{engine}: {}, {threads} threads", model.id), &|name| {
                    runs::throughput(name, engine, model, threads, &place, rounds)
                });
            }
        }
    }
    Ok(Answer::new(rows, not_run))
}
