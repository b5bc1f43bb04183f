//! Activation with the real library: a model that gives its golden output is used, one that does not is not.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{CPU, engine, manifest, models, tflite_engines};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use snaptrak_domain::{DeviceId, Sha256Digest, engine::Engine, engine::EngineError, engine::Tensor};
use snaptrak_inference::registry::{
    Accepted, Activated, EngineSelfTest, QUOTA_BYTES, Registry, RegistryOptions, Release, SelfTestFailure, Source,
};
use snaptrak_inference::verify;
use std::{fs, path::Path};

const MODEL: &str = "blazeface_back";

fn pin(folder: &Path, name: &str, bytes: &[u8]) -> Value {
    fs::write(folder.join(name), bytes).unwrap();
    let sha256: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"file": name, "bytes": bytes.len(), "sha256": sha256})
}

fn golden(folder: &Path, tensor: &Tensor, file: &str, add: f32) -> Value {
    let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| (value + add).to_le_bytes()).collect();
    let mut pinned = pin(folder, file, &bytes);
    pinned["name"] = json!(tensor.name);
    pinned
}

/// The shipped face model as a release, with a golden input and outputs that are off by `add`.
fn release(folder: &Path, version: u64, add: f32) -> Release {
    let mut shipped: Value = serde_json::from_slice(&fs::read(models().join("manifest.json")).unwrap()).unwrap();
    shipped["models"].as_array_mut().unwrap().retain(|model| model["id"] == MODEL);
    let manifest = manifest();
    let model = manifest.model(MODEL).unwrap();
    let variant = model.variant_for("ort").unwrap();
    fs::copy(models().join(&variant.file), folder.join(&variant.file)).unwrap();
    let mut session = engine().load(&verify(folder, model, variant).unwrap(), CPU).unwrap();
    let contract = &model.inputs[0];
    let values = contract.shape.iter().product::<usize>();
    let data = (0..values).map(|at| ((at % 251) as f32 / 125.0) - 1.0).collect();
    let input = Tensor { name: contract.name.clone(), shape: contract.shape.clone(), data };
    let outputs = session.run(std::slice::from_ref(&input)).unwrap();
    let outputs =
        outputs.iter().enumerate().map(|(at, output)| golden(folder, output, &format!("output-{at}.f32"), add));
    shipped["models"][0]["self_test"] =
        json!({"inputs": [golden(folder, &input, "input.f32", 0.0)], "outputs": outputs.collect::<Vec<_>>()});
    let accepted = Accepted { version, sha256: Sha256Digest([version as u8; 32]) };
    Release { accepted, manifest: serde_json::to_vec(&shipped).unwrap(), signed: b"signed".to_vec() }
}

#[test]
fn what_gives_its_golden_output_is_used_and_what_does_not_is_not() {
    let engine = engine();
    let test = EngineSelfTest { engine: &engine, options: CPU };
    let (place, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = RegistryOptions {
        folder: place.path().join("models"),
        packaged: Some(models()),
        device_id: DeviceId::from_bytes([1; 16]),
        engines: vec![engine.id().to_owned()],
        quota_bytes: QUOTA_BYTES,
    };
    let mut registry = Registry::open(options).unwrap();
    let within = manifest().model(MODEL).unwrap().tolerance.unwrap().tensor_abs;

    let good = release(from.path(), 1, within / 2.0);
    assert!(matches!(registry.activate(&good, from.path(), &test).unwrap(), Activated::Confirmed));
    let in_use = registry.in_use().unwrap();
    assert_eq!((in_use.source, in_use.manifest.models.len()), (Source::Version(1), 1));

    let other = release(from.path(), 2, within * 3.0);
    let answer = registry.activate(&other, from.path(), &test).unwrap();
    let Activated::RolledBack { failure: SelfTestFailure::Differs { model_id, difference, .. } } = answer else {
        panic!("{answer:?}")
    };
    assert!(model_id == MODEL && difference > within * 2.0 && difference < within * 4.0, "{difference}");
    assert_eq!(registry.in_use().unwrap().source, Source::Version(1));

    // Signed and whole, and yet no model.
    let mut noise: Value = serde_json::from_slice(&release(from.path(), 3, 0.0).manifest).unwrap();
    let file = noise["models"][0]["variants"][0]["file"].as_str().unwrap().to_owned();
    let pinned = pin(from.path(), &file, &[0x5a; 4_096]);
    noise["models"][0]["variants"] = json!([pinned]);
    noise["models"][0]["variants"][0]["engine"] = json!("ort");
    noise["models"][0]["variants"][0]["precision"] = json!("f32");
    let noise = Release { manifest: serde_json::to_vec(&noise).unwrap(), ..release_of(3) };
    let answer = registry.activate(&noise, from.path(), &test).unwrap();
    let refused = matches!(
        answer,
        Activated::RolledBack { failure: SelfTestFailure::Engine(EngineError::Model { ref model_id, .. }) } if model_id == MODEL
    );
    assert!(refused, "{answer:?}");
    assert_eq!(registry.in_use().unwrap().source, Source::Version(1));
}

fn release_of(version: u64) -> Release {
    let accepted = Accepted { version, sha256: Sha256Digest([version as u8; 32]) };
    Release { accepted, manifest: Vec::new(), signed: b"signed".to_vec() }
}

/// Options of a device with one engine and nothing packaged.
fn options(place: &Path, engine: &dyn Engine) -> RegistryOptions {
    RegistryOptions {
        folder: place.join("models"),
        packaged: None,
        device_id: DeviceId::from_bytes([1; 16]),
        engines: vec![engine.id().to_owned()],
        quota_bytes: QUOTA_BYTES,
    }
}

#[test]
fn the_shipped_models_pass_without_golden_tensors_on_every_engine() {
    let release = Release { manifest: fs::read(models().join("manifest.json")).unwrap(), ..release_of(1) };
    let [litert, classic] = tflite_engines();
    for engine in [&engine() as &dyn Engine, &litert, &classic] {
        let place = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(options(place.path(), engine)).unwrap();
        let test = EngineSelfTest { engine, options: CPU };
        let activated = registry.activate(&release, &models(), &test).unwrap();
        assert!(matches!(activated, Activated::Confirmed), "{}: {activated:?}", engine.version());
        assert_eq!(registry.in_use().unwrap().manifest, manifest());
    }
}

#[test]
fn a_file_that_answers_otherwise_than_its_manifest_says_is_not_used() {
    let engine = engine();
    let test = EngineSelfTest { engine: &engine, options: CPU };
    let place = tempfile::tempdir().unwrap();
    let mut registry = Registry::open(options(place.path(), &engine)).unwrap();
    let mut shipped: Value = serde_json::from_slice(&fs::read(models().join("manifest.json")).unwrap()).unwrap();
    for model in shipped["models"].as_array().unwrap() {
        for variant in model["variants"].as_array().unwrap() {
            let outputs = variant["answers"].as_array().unwrap();
            assert!(!outputs.is_empty(), "{}: every shipped file says what it answers", variant["file"]);
        }
    }
    let mut with = |version: u64, value: f64| {
        shipped["models"][1]["variants"][0]["answers"][0]["values"][0] = json!(value);
        let release = Release { manifest: serde_json::to_vec(&shipped).unwrap(), ..release_of(version) };
        registry.activate(&release, &models(), &test)
    };
    let right = manifest().model(MODEL).unwrap().variants[0].answers[0].values[0];
    let answer = with(1, f64::from(right) + f64::from(right.abs().max(1.0)) * 0.003).unwrap();
    let Activated::RolledBack { failure: SelfTestFailure::Differs { model_id, difference, .. } } = answer else {
        panic!("{answer:?}")
    };
    assert!(model_id == MODEL && difference > 0.002 && difference < 0.004, "{difference}");
    assert!(matches!(with(2, f64::from(right)).unwrap(), Activated::Confirmed));
}

#[test]
fn a_self_test_that_cannot_be_is_refused_before_anything_is_copied() {
    let (place, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let good: Value = serde_json::from_slice(&release(from.path(), 1, 0.0).manifest).unwrap();
    let changes: [(&str, Value); 5] = [
        ("/models/0/self_test/inputs/0/file", json!("../input.f32")),
        ("/models/0/self_test/inputs/0/bytes", json!(4)),
        ("/models/0/self_test/inputs/0/name", json!("other")),
        ("/models/0/self_test/outputs", json!([])),
        ("/models/0/self_test/outputs/0/file", json!("blazeface_back.onnx")),
    ];
    let engine = engine();
    for (pointer, value) in changes {
        let mut manifest = good.clone();
        *manifest.pointer_mut(pointer).unwrap() = value;
        let release = Release { manifest: serde_json::to_vec(&manifest).unwrap(), ..release_of(1) };
        let test = EngineSelfTest { engine: &engine, options: CPU };
        let refused = Registry::open(options(place.path(), &engine)).unwrap().activate(&release, from.path(), &test);
        assert!(refused.is_err(), "{pointer}");
        assert!(!place.path().join("models").exists(), "{pointer}");
    }
}
