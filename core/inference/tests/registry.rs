//! The manifest: what is read, what is refused, and files that are not what it says.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};
use snaptrak_domain::ReasonCode;
use snaptrak_inference::{Manifest, ManifestError, VerifyError, registry::Decoder, verify};
use std::path::{Path, PathBuf};

fn shipped_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

fn shipped() -> Value {
    serde_json::from_slice(&std::fs::read(shipped_folder().join("manifest.json")).unwrap()).unwrap()
}

fn parse(value: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(&serde_json::to_vec(value).unwrap())
}

#[test]
fn the_shipped_manifest_is_valid_and_every_model_has_a_file_for_each_engine() {
    let manifest = Manifest::load(&shipped_folder()).unwrap();
    assert!(manifest.models.len() >= 2);
    for model in &manifest.models {
        for engine in ["ort", "tflite"] {
            assert!(model.variant_for(engine).is_some(), "{} for {engine}", model.id);
        }
        assert!(manifest.model(&model.id).is_some());
    }
}

#[test]
fn a_missing_manifest_an_unknown_schema_and_noise_are_three_answers() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Manifest::load(folder.path()), Err(ManifestError::Missing { .. })));
    let newer = json!({"schema": "snaptrak.models/2", "version": 1, "models": "a new shape"});
    assert!(matches!(parse(&newer), Err(ManifestError::UnknownSchema { schema }) if schema == "snaptrak.models/2"));
    for noise in [&b""[..], b"{}", b"[]", b"\xff\x00", b"{\"schema\":\"snaptrak.models/1\"}"] {
        assert!(matches!(Manifest::parse(noise), Err(ManifestError::Malformed { .. })));
    }
}

#[test]
fn a_path_may_not_leave_the_folder() {
    for file in ["../x.onnx", "/etc/passwd", "a/b.onnx", "a\\b.onnx", "C:x", "..", ".", ".hidden", "", "a\0b", "ä.onnx"]
    {
        let mut manifest = shipped();
        manifest["models"][0]["variants"][0]["file"] = json!(file);
        assert!(matches!(parse(&manifest), Err(ManifestError::Invalid { .. })), "{file:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let cases: [(&str, Value); 14] = [
        ("/models/0/inputs/0/shape", json!([1, 300, 300, 4])),
        ("/models/0/inputs/0/shape", json!([1, 0, 300, 3])),
        ("/models/0/inputs/0/shape", json!([1, 1_000_000, 1_000_000, 3])),
        ("/models/0/inputs", json!([])),
        ("/models/0/outputs/0/shape", json!([1, 1916, 4])),
        ("/models/0/labels", json!(["one"])),
        ("/models/0/thresholds/score", json!(1.5)),
        ("/models/0/nms/iou", json!(-0.1)),
        ("/models/0/boxes_max", json!(1_000_000_000)),
        ("/models/0/decoder/box_scales/h", json!(0.0)),
        ("/models/0/decoder/anchors/strides", json!([0, 0])),
        ("/models/0/variants", json!([])),
        ("/models/1/decoder/layers/0/stride", json!(0)),
        ("/models/1/id", shipped()["models"][0]["id"].clone()),
    ];
    for (pointer, value) in cases {
        let mut manifest = shipped();
        *manifest.pointer_mut(pointer).unwrap() = value.clone();
        assert!(matches!(parse(&manifest), Err(ManifestError::Invalid { .. })), "{pointer} = {value}");
    }
    // What a file says of itself must fit together as the entry must.
    let face = &shipped()["models"][1]["variants"][1];
    let mut torn = face.clone();
    torn["decoder"]["layers"][1]["boxes"] = json!("others");
    torn["outputs"].as_array_mut().unwrap().push(json!({"name": "others", "dtype": "f32", "shape": [1, 896, 16]}));
    for (pointer, value) in [
        ("/models/0/variants/1/names/nothing", json!("x")),
        ("/models/0/variants/1/names/box_encodings", json!("raw_outputs/class_predictions")),
        ("/models/1/variants/1/outputs/0/shape", json!([1, 895, 1])),
        ("/models/1/variants/1/outputs/0/shape", json!([1, 512, 1])),
        ("/models/1/variants/1/outputs", json!(null)),
        ("/models/1/variants/1/decoder", json!(null)),
        ("/models/1/variants/1/decoder/layers/0/scores", json!("nothing")),
        ("/models/1/variants/1", torn),
        ("/models/0/variants/0/answers/0/output", json!("nothing")),
        ("/models/0/variants/0/answers/0/at/0", json!(1917 * 4)),
        ("/models/0/variants/0/answers/0/values", json!([1.0])),
        ("/models/0/variants/0/answers/0", json!({"output": "box_encodings", "at": [], "values": []})),
    ] {
        let mut manifest = shipped();
        match manifest.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => drop(
                manifest["models"][0]["variants"][1]["names"]
                    .as_object_mut()
                    .unwrap()
                    .insert("nothing".into(), value.clone()),
            ),
        }
        assert!(matches!(parse(&manifest), Err(ManifestError::Invalid { .. })), "{pointer} = {value}");
    }
    for (pointer, value) in [
        ("/models/0/task", json!("predict_the_future")),
        ("/models/0/decoder/kind", json!("magic")),
        ("/models/0/variants/0/sha256", json!("00")),
        ("/models/0/inputs/0/shape", json!([-1, 300, 300, 3])),
    ] {
        let mut manifest = shipped();
        *manifest.pointer_mut(pointer).unwrap() = value.clone();
        assert!(matches!(parse(&manifest), Err(ManifestError::Malformed { .. })), "{pointer} = {value}");
    }
}

#[test]
fn a_file_may_call_and_cut_the_tensors_in_its_own_way() {
    let manifest = parse(&shipped()).unwrap();
    let [detector, face] = [0, 1].map(|index| {
        let model = &manifest.models[index];
        (model, model.as_in(model.variant_for("tflite").unwrap()))
    });
    assert_eq!((&*detector.0.inputs[0].name, &*detector.1.inputs[0].name), ("image", "normalized_input_image_tensor"));
    assert_eq!(detector.1.inputs[0].shape, detector.0.inputs[0].shape);
    let Decoder::Ssd(ssd) = &detector.1.decoder else { panic!("another decoder") };
    assert_eq!((&ssd.boxes, &ssd.scores), (&detector.1.outputs[0].name, &detector.1.outputs[1].name));
    assert_eq!(detector.0.as_in(detector.0.variant_for("ort").unwrap()), *detector.0, "as it is");
    let first_rows = |decoder: &Decoder| match decoder {
        Decoder::Blazeface(face) => face.first_rows(256),
        Decoder::Ssd(_) => panic!("another decoder"),
    };
    assert_eq!(first_rows(&face.0.decoder), [0, 0], "each in an output of its own");
    assert_eq!(first_rows(&face.1.decoder), [0, 512], "one after the other in the same");
}

#[test]
fn a_file_is_compared_with_the_manifest_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = shipped();
    manifest["models"][0]["variants"][0]["bytes"] = json!(3);
    // SHA-256 of "abc", FIPS 180-2.
    manifest["models"][0]["variants"][0]["sha256"] =
        json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let manifest = parse(&manifest).unwrap();
    let model = &manifest.models[0];
    let variant = &model.variants[0];
    let check = |content: Option<&[u8]>| {
        let path = folder.path().join(&variant.file);
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => assert!(!path.exists()),
        }
        verify(folder.path(), model, variant)
    };
    let missing = check(None).unwrap_err();
    assert!(matches!(missing, VerifyError::Missing { .. }));
    assert_eq!(missing.reason().code, ReasonCode::ModelMissing);
    assert_eq!(check(Some(b"abc")).unwrap().model_id, model.id);
    assert!(matches!(check(Some(b"ab")), Err(VerifyError::WrongLength { bytes: 2, wanted_bytes: 3, .. })));
    let other = check(Some(b"abd")).unwrap_err();
    assert!(matches!(other, VerifyError::WrongDigest { .. }));
    assert_eq!(other.reason().code, ReasonCode::ModelDamaged);
}
