//! The same library driven by its own Python package gives the same, to the last bit.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{cache, litert_library, manifest, model_for, wave};
use snaptrak_domain::engine::{Accelerator, Engine as _, LoadOptions};
use snaptrak_inference::TfliteEngine;
use std::{path::Path, process::Command};

#[test]
fn answers_are_those_of_python_to_the_last_bit() {
    let python = cache().join("tools/bin/python");
    assert!(python.exists(), "there is no {}: run `cargo xtask models` first", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reference/litert_outputs.py");
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    let engine = TfliteEngine::open(&litert_library()).unwrap();
    for model in &manifest().models {
        let (model, file) = model_for(&engine, model);
        let tensor = wave(&model);
        let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(&input, bytes).unwrap();
        for threads in [1, 2] {
            let mut run = Command::new(&python);
            run.arg(&script).arg(&file.path).arg(&input).arg(threads.to_string()).arg(&output);
            let said = run.output().unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            let theirs = std::fs::read(&output).unwrap();
            let options = LoadOptions { accelerator: Accelerator::Cpu, threads };
            let ours = engine.load(&file, options).unwrap().run(std::slice::from_ref(&tensor)).unwrap();
            let ours: Vec<u8> =
                ours.iter().flat_map(|tensor| &tensor.data).flat_map(|value| value.to_le_bytes()).collect();
            assert!(ours == theirs, "{} with {threads} threads", model.id);
        }
    }
}
