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
    let of_8_bits = |name| tflite::Tensor { element: tflite::INT8, scale: Some((0.5, 0)), ..floats(name) };
    // Four halves, times 1.6, which is 1.5 in halves, is three.
    let weighted = tflite::Model {
        tensors: vec![
            floats("x"),
            of_8_bits("q"),
            tflite::Tensor { data: vec![4; 4], ..of_8_bits("w") },
            of_8_bits("p"),
            floats("y"),
        ],
        operations: vec![
            Operation::new(tflite::QUANTIZE, &[0], &[1]),
            Operation { options: Some((21, Vec::new())), ..Operation::new(tflite::MUL, &[1, 2], &[3]) },
            Operation::new(tflite::DEQUANTIZE, &[3], &[4]),
        ],
        inputs: vec![0],
        outputs: vec![4],
    };
    for engine in tflite_engines() {
        let answer = load(&engine, &weighted.file()).unwrap().run(&[input(&[1, 4], 1.6)]).unwrap();
        assert_eq!(answer[0].data, [3.0; 4], "{}", engine.version());
        let answer = load(&engine, &halves.file()).unwrap().run(&[input(&[1, 4], 1.5)]).unwrap();
        assert_eq!(answer[0].data, [3.0; 4], "{}", engine.version());
        let answer = load(&engine, &integers.file()).unwrap().run(&[input(&[1, 4], 3.2)]).unwrap();
        assert_eq!(answer[0].data, [3.0; 4], "{}", engine.version());
    }
}

/// `y = relu(x * w)` with so many rows of four, or with any number of them.
fn tflite_rows(rows: Option<i32>) -> Vec<u8> {
    let open = if rows.is_some() { Vec::new() } else { vec![-1, 4] };
    let ends = |name| tflite::Tensor { open: open.clone(), ..tflite::Tensor::floats(name, &[rows.unwrap_or(1), 4]) };
    let weights = tflite::Tensor { data: floats(&[0.3, -1.7, 2.1, 0.9]), ..tflite::Tensor::floats("w", &[1, 4]) };
    let model = tflite::Model {
        tensors: vec![ends("x"), weights, ends("z"), ends("y")],
        operations: vec![
            Operation { options: Some((21, Vec::new())), ..Operation::new(tflite::MUL, &[0, 1], &[2]) },
            Operation::new(tflite::RELU, &[2], &[3]),
        ],
        inputs: vec![0],
        outputs: vec![3],
    };
    model.file()
}

/// The same as ONNX.
fn onnx_rows(rows: Option<i32>) -> Vec<u8> {
    let sizes = [rows.map_or(Err("rows"), |rows| Ok(rows as u64)), Ok(4)];
    let nodes = [node("Mul", "", &["x", "w"], &["z"], &[]), node("Relu", "", &["z"], &["y"], &[])];
    let weights = tensor("w", FLOAT, &[1, 4], &floats(&[0.3, -1.7, 2.1, 0.9]));
    model(&nodes, &[weights], &[port("x", &sizes)], &[port("y", &sizes)])
}

/// Two rows of weights, which go with one row, with two, and with no other number.
#[test]
fn sizes_that_the_file_allows_and_its_operations_do_not_are_an_error_after_which_it_goes_on() {
    let weights = tflite::Tensor { data: floats(&[0.5; 8]), ..tflite::Tensor::floats("w", &[2, 4]) };
    let open = |name| tflite::Tensor { open: vec![-1, 4], ..tflite::Tensor::floats(name, &[1, 4]) };
    let model = tflite::Model {
        tensors: vec![open("x"), weights, tflite::Tensor { sizes: vec![2, 4], ..open("y") }],
        operations: vec![Operation { options: Some((21, Vec::new())), ..Operation::new(tflite::MUL, &[0, 1], &[2]) }],
        inputs: vec![0],
        outputs: vec![2],
    };
    for engine in tflite_engines() {
        let mut session = load(&engine, &model.file()).unwrap();
        for (rows, is_good) in [(2, true), (3, false), (3, false), (2, true), (1, true), (5, false), (2, true)] {
            match session.run(&[input(&[rows, 4], 3.0)]) {
                Ok(answer) => {
                    assert!(is_good, "{}: {rows} rows", engine.version());
                    assert_eq!((&answer[0].name[..], &answer[0].shape[..]), ("y", &[2, 4][..]));
                    assert_eq!(answer[0].data, [1.5; 8]);
                }
                Err(error) => {
                    assert!(!is_good, "{}: {rows} rows: {error}", engine.version());
                    assert!(matches!(error, EngineError::Run { .. }));
                }
            }
        }
    }
}

/// A file with so many rows, or with any number of them.
type RowsOf = fn(Option<i32>) -> Vec<u8>;

/// The caller's tensors are used again where their sizes are the same, and made to fit where they are not.
#[test]
fn sizes_that_a_run_tells_are_taken_and_others_are_refused() {
    let [litert, classic] = tflite_engines();
    let engines: [(Box<dyn Engine>, RowsOf); 3] =
        [(Box::new(engine()), onnx_rows), (Box::new(litert), tflite_rows), (Box::new(classic), tflite_rows)];
    for (engine, rows_of) in engines {
        let (engine, version) = (engine.as_ref(), engine.version());
        let mut session = load(engine, &rows_of(None)).unwrap();
        let mut outputs = Vec::new();
        for rows in [1, 7, 7, 2, 300, 1] {
            let data = (0..rows * 4).map(|index| (index as f32 / 7.0).sin()).collect();
            let input = [Tensor { name: "x".into(), shape: vec![rows, 4], data }];
            session.run_into(&input, &mut outputs).unwrap();
            let fixed = load(engine, &rows_of(Some(rows as i32))).unwrap().run(&input).unwrap();
            assert_eq!(outputs, fixed, "{version}: bit for bit as with {rows} rows that the file says");
            assert!(outputs[0].data.iter().any(|value| *value > 0.0));
        }
        for shape in [&[1, 3][..], &[4], &[0, 4], &[1, 1, 4]] {
            let refused = session.run(&[input(shape, 0.5)]);
            assert!(matches!(refused, Err(EngineError::Run { .. })), "{version}: {shape:?}");
        }
        session.run(&[input(&[3, 4], 0.5)]).unwrap();
        let fixed = load(engine, &rows_of(Some(2))).unwrap().run(&[input(&[3, 4], 0.5)]);
        assert!(matches!(fixed, Err(EngineError::Run { .. })), "{version}: what the file says stands");
    }
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
