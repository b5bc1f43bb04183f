//! Models of other precisions and of sizes that only a run tells, as tiny ones written by hand: 16-bit floats and 8-bit integers
//! inside, 32-bit floats outside, which is what this crate's tensors are.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{CPU, engine, tflite_engines};
use snaptrak_domain::engine::{Engine, EngineError, ModelFile, Session, Tensor};
use snaptrak_testkit::models::{
    floats,
    onnx::{self, FLOAT, FLOAT16, INT8, attribute, model, node, port, tensor},
    tflite::{self, Operation},
};

/// Two as a 16-bit float.
const TWO: [u8; 2] = [0x00, 0x40];

fn load(engine: &dyn Engine, bytes: &[u8]) -> Result<Box<dyn Session>, EngineError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    std::fs::write(&path, bytes).unwrap();
    engine.load(&ModelFile { path, model_id: "tiny".into() }, CPU)
}

fn input(shape: &[usize], value: f32) -> Tensor {
    Tensor { name: "x".into(), shape: shape.to_vec(), data: vec![value; shape.iter().product()] }
}

#[test]
fn onnx_computes_with_16_bit_floats_and_8_bit_integers() {
    let engine = engine();
    let sizes = [Ok(1), Ok(4)];
    let ends = || ([port("x", &sizes)], [port("y", &sizes)]);
    let (inputs, outputs) = ends();
    let halves = [
        node("Cast", "", &["x"], &["a"], &[attribute("to", FLOAT16)]),
        node("Mul", "", &["a", "w"], &["b"], &[]),
        node("Cast", "", &["b"], &["y"], &[attribute("to", FLOAT)]),
    ];
    let weights = tensor("w", FLOAT16, &[1, 4], &TWO.repeat(4));
    let bytes = model(&halves, &[weights], &inputs, &outputs);
    let answer = load(&engine, &bytes).unwrap().run(&[input(&[1, 4], 1.5)]).unwrap();
    assert_eq!(answer[0].data, [3.0; 4]);

    let integers = [
        node("DequantizeLinear", "", &["w", "scale", "zero"], &["a"], &[]),
        node("Mul", "", &["x", "a"], &["b"], &[]),
        node("QuantizeLinear", "", &["b", "scale", "zero"], &["c"], &[]),
        node("DequantizeLinear", "", &["c", "scale", "zero"], &["y"], &[]),
    ];
    let weights = [
        tensor("w", INT8, &[1, 4], &[4; 4]),
        tensor("scale", FLOAT, &[], &floats(&[0.5])),
        tensor("zero", INT8, &[], &[0]),
    ];
    let bytes = model(&integers, &weights, &inputs, &outputs);
    // Four halves, times 1.6, is 3.2, which is 3 in halves.
    let answer = load(&engine, &bytes).unwrap().run(&[input(&[1, 4], 1.6)]).unwrap();
    assert_eq!(answer[0].data, [3.0; 4]);
}

#[test]
fn tflite_computes_with_16_bit_floats_and_8_bit_integers() {
    let floats = |name| tflite::Tensor::floats(name, &[1, 4]);
    let packed = tflite::Tensor { element: tflite::FLOAT16, data: TWO.repeat(4), ..floats("packed") };
    let halves = tflite::Model {
        tensors: vec![floats("x"), packed, floats("w"), floats("y")],
        operations: vec![
            Operation::new(tflite::DEQUANTIZE, &[1], &[2]),
            Operation { options: Some((21, Vec::new())), ..Operation::new(tflite::MUL, &[0, 2], &[3]) },
        ],
        inputs: vec![0],
        outputs: vec![3],
    };
    let quantised = tflite::Tensor { element: tflite::INT8, scale: Some((0.5, 0)), ..floats("q") };
    let integers = tflite::Model {
        tensors: vec![floats("x"), quantised, floats("y")],
        operations: vec![Operation::new(tflite::QUANTIZE, &[0], &[1]), Operation::new(tflite::DEQUANTIZE, &[1], &[2])],
        inputs: vec![0],
        outputs: vec![2],
    };
    for engine in tflite_engines() {
        let answer = load(&engine, &halves.file()).unwrap().run(&[input(&[1, 4], 1.5)]).unwrap();
        assert_eq!(answer[0].data, [3.0; 4], "{}", engine.version());
        let answer = load(&engine, &integers.file()).unwrap().run(&[input(&[1, 4], 3.2)]).unwrap();
        assert_eq!(answer[0].data, [3.0; 4], "{}", engine.version());
    }
}

/// The caller's tensors are used again where their sizes are the same, and made to fit where they are not.
#[test]
fn sizes_that_a_run_tells_are_taken_and_others_are_refused() {
    let engine = engine();
    let open = [Err("rows"), Ok(4)];
    let relu = node("Relu", "", &["x"], &["y"], &[]);
    let bytes = model(&[relu], &[], &[port("x", &open)], &[port("y", &open)]);
    let mut session = load(&engine, &bytes).unwrap();
    let mut outputs = Vec::new();
    for rows in [1, 7, 7, 2] {
        session.run_into(&[input(&[rows, 4], 0.5)], &mut outputs).unwrap();
        assert_eq!((&outputs[0].shape, &outputs[0].data), (&vec![rows, 4], &vec![0.5; rows * 4]));
    }
    for shape in [&[1, 3][..], &[4], &[0, 4], &[1, 1, 4]] {
        assert!(matches!(session.run(&[input(shape, 0.5)]), Err(EngineError::Run { .. })), "{shape:?}");
    }
    session.run(&[input(&[3, 4], 0.5)]).unwrap();
}

#[test]
fn ends_that_are_not_32_bit_floats_are_a_typed_error() {
    let cast = node("Cast", "", &["x"], &["y"], &[attribute("to", FLOAT16)]);
    let sizes = [Ok(1), Ok(4)];
    let halves = onnx::Message(model(&[cast], &[], &[port("x", &sizes)], &[port("y", &sizes)]));
    let refused = load(&engine(), &halves.0).err().unwrap();
    assert!(matches!(refused, EngineError::Model { .. }), "{refused}");
    let quantised =
        tflite::Tensor { element: tflite::INT8, scale: Some((0.5, 0)), ..tflite::Tensor::floats("y", &[1, 4]) };
    let integers = tflite::Model {
        tensors: vec![tflite::Tensor::floats("x", &[1, 4]), quantised],
        operations: vec![Operation::new(tflite::QUANTIZE, &[0], &[1])],
        inputs: vec![0],
        outputs: vec![1],
    };
    for engine in tflite_engines() {
        let refused = load(&engine, &integers.file()).err().unwrap();
        assert!(matches!(&refused, EngineError::Model { detail, .. } if detail.contains("32-bit floats")), "{refused}");
    }
}
