//! One path of `cargo xtask models check`: every model on one engine and accelerator, compared with ONNX Runtime on the
//! processor, on real photos.
//!
//!     check_models ort|litert|tensorflow-lite cpu|gpu|npu [once]
//!
//! With `once` it runs each model once, for a stand-in that takes many seconds.
//!
//! Prints a JSON object a line, for each model. The environment names the accelerator's device, so that every path has a
//! process of its own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a developer's instrument")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{
    CPU, cache, classic_library, largest_difference, largest_share, manifest, model_for, with_npu, with_openvino,
    with_webgpu,
};
use image::imageops::{self, FilterType};
use serde_json::json;
use snaptrak_domain::engine::{Accelerator, Engine, LoadOptions, Tensor};
use snaptrak_inference::{ModelEntry, OrtEngine, TfliteEngine};
use std::time::Instant;

/// Runs before those that are timed: pools start, caches fill, a GPU compiles.
const WARM_RUNS: usize = 2;
/// Timed runs, of which the median is said.
const RUNS: usize = 5;
/// Between the values of two models.
type Difference = fn((&ModelEntry, &[Tensor]), (&ModelEntry, &[Tensor])) -> f32;

/// A person, and things on a table.
const PHOTOS: [&str; 2] = ["astronaut.png", "coffee.png"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (library, accelerator, once) = match &arguments[..] {
        [library, accelerator] => (library, accelerator, false),
        [library, accelerator, once] if once == "once" => (library, accelerator, true),
        _ => panic!("two or three arguments: library, accelerator, once"),
    };
    let asked = Accelerator::ALL.into_iter().find(|known| known.as_str() == accelerator).unwrap();
    let (warm_runs, runs) = if once { (0, 1) } else { (WARM_RUNS, RUNS) };
    let engine: Box<dyn Engine> = match library.as_str() {
        "ort" => match asked {
            Accelerator::Cpu => Box::new(common::engine()),
            Accelerator::Gpu => Box::new(OrtEngine::open_with(&with_webgpu()).unwrap()),
            Accelerator::Npu => Box::new(OrtEngine::open_with(&with_openvino()).unwrap()),
        },
        "litert" => Box::new(TfliteEngine::open_with(&with_npu()).unwrap()),
        "tensorflow-lite" => Box::new(TfliteEngine::open(&classic_library()).unwrap()),
        other => panic!("unknown library {other}"),
    };
    let reference = common::engine();
    for model in &manifest().models {
        let (of_reference, file) = model_for(&reference, model);
        let mut session = reference.load(&file, CPU).unwrap();
        let wanted = PHOTOS.map(|photo| session.run(&[packed(photo, &of_reference)]).unwrap());
        let (of_engine, file) = model_for(engine.as_ref(), model);
        let inputs = PHOTOS.map(|photo| [packed(photo, &of_engine)]);
        let started = now();
        let mut session = match engine.load(&file, LoadOptions { accelerator: asked, ..CPU }) {
            Ok(session) => session,
            Err(error) => {
                println!("{}", json!({"model": model.id, "engine": engine.version(), "error": error.to_string()}));
                continue;
            }
        };
        let load_ms = milliseconds(started);
        let mut outputs = Vec::new();
        for _ in 0..warm_runs {
            session.run_into(&inputs[0], &mut outputs).unwrap();
        }
        let mut run_ms: Vec<f64> = (0..runs)
            .map(|_| {
                let started = now();
                session.run_into(&inputs[0], &mut outputs).unwrap();
                milliseconds(started)
            })
            .collect();
        run_ms.sort_by(f64::total_cmp);
        let found = inputs.each_ref().map(|input| session.run(input).unwrap());
        let most = |of: Difference| {
            let pairs = wanted.iter().zip(&found);
            // What is no number is the largest.
            pairs.map(|(a, b)| of((&of_reference, a), (&of_engine, b))).max_by(f32::total_cmp).unwrap()
        };
        let row = json!({
            "model": model.id, "engine": engine.version(), "ran": session.accelerator_ran().as_str(),
            "placed": session.placement().as_str(), "difference": most(largest_difference), "share": most(largest_share),
            "load_ms": load_ms,
            "run_ms": run_ms[runs / 2], "tolerance": model.tolerance.unwrap().tensor_abs,
        });
        println!("{row}");
    }
}

/// A photo as the model's input. Proportions do not matter here: every engine is shown the same.
#[expect(clippy::disallowed_methods, reason = "it is one of the samples, whose sizes are known")]
fn packed(photo: &str, model: &ModelEntry) -> Tensor {
    let contract = &model.inputs[0];
    let [1, height, width, 3] = contract.shape[..] else { panic!("{} takes no picture", model.id) };
    let picture = image::open(cache().join("pictures").join(photo)).unwrap().to_rgb8();
    let picture = imageops::resize(&picture, width as u32, height as u32, FilterType::Triangle);
    let value = |byte: &u8| f32::from(*byte) * contract.normalisation.scale + contract.normalisation.offset;
    Tensor {
        name: contract.name.clone(),
        shape: contract.shape.clone(),
        data: picture.as_raw().iter().map(value).collect(),
    }
}

#[expect(clippy::disallowed_methods, reason = "an instrument measures")]
fn now() -> Instant {
    Instant::now()
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}
