//! The same libraries driven by their own Python packages give the same, to the last bit.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{cache, engine, litert_library, manifest, model_for, wave};
use snaptrak_domain::engine::{Accelerator, Engine, LoadOptions};
use snaptrak_inference::TfliteEngine;
use snaptrak_testkit::models::floats;
use std::{path::Path, process::Command};

#[test]
fn onnx_runtime_answers_as_python_does_to_the_last_bit() {
    compare(&engine(), "ort_outputs.py");
}

#[test]
fn litert_answers_as_python_does_to_the_last_bit() {
    compare(&TfliteEngine::open(&litert_library()).unwrap(), "litert_outputs.py");
}

fn compare(engine: &dyn Engine, script: &str) {
    let python = cache().join("tools/bin/python");
    assert!(python.exists(), "there is no {}: run `cargo xtask models` first", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reference").join(script);
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    for model in &manifest().models {
        let (model, file) = model_for(engine, model);
        let tensor = wave(&model);
        std::fs::write(&input, floats(&tensor.data)).unwrap();
        for threads in [1, 2] {
            let mut run = Command::new(&python);
            run.arg(&script).arg(&file.path).arg(&input).arg(threads.to_string()).arg(&output);
            let said = run.output().unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            let theirs = std::fs::read(&output).unwrap();
            let options = LoadOptions { accelerator: Accelerator::Cpu, threads };
            let ours = engine.load(&file, options).unwrap().run(std::slice::from_ref(&tensor)).unwrap();
            let ours: Vec<u8> = ours.iter().flat_map(|tensor| floats(&tensor.data)).collect();
            assert!(ours == theirs, "{} with {threads} threads", model.id);
        }
    }
}
