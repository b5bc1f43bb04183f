//! What every shipped file answers to the wave: the `answers` of `models/manifest.json`, for whoever ships another file.
//!
//!     cargo run -p snaptrak-inference --example wave_answers
//!
//! Prints a line a file: its name, and the JSON that belongs into its variant.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a developer's instrument")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{CPU, litert_library, manifest, models};
use serde_json::{Value, json};
use snaptrak_domain::engine::Engine;
use snaptrak_inference::registry::test_inputs;
use snaptrak_inference::{TfliteEngine, verify};

/// Values of an output: enough that another model does not have them by chance.
const VALUES: usize = 6;

fn main() {
    let litert = TfliteEngine::open(&litert_library()).unwrap();
    for engine in [&common::engine() as &dyn Engine, &litert] {
        for model in &manifest().models {
            let variant = model.variant_for(engine.id()).unwrap();
            let file = verify(&models(), model, variant).unwrap();
            // The first input is the wave where the manifest has no golden tensors.
            let input = test_inputs(&models(), model, variant).remove(0);
            let outputs = engine.load(&file, CPU).unwrap().run(&input).unwrap();
            let answers = outputs.iter().map(|output| {
                let middle = |part: usize| output.data.len() * (2 * part + 1) / (2 * VALUES);
                let at: Vec<usize> = (0..VALUES).map(middle).collect();
                let values: Vec<f32> = at.iter().map(|at| output.data[*at]).collect();
                json!({"output": output.name, "at": at, "values": values})
            });
            println!("{} {}", variant.file, Value::from_iter(answers));
        }
    }
}
