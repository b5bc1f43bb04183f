//! Models that were made to do harm, or that nobody would make: each ends as a typed error on every engine, most of them before
//! the engine's library sees them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{CPU, engine, manifest, tflite_engines};
use snaptrak_domain::engine::{Engine, EngineError, ModelFile, Session, Tensor};
use snaptrak_inference::check_outputs;
use snaptrak_testkit::models::{
    floats,
    onnx::{self, INT64, Message, attribute, model, node, port, tensor, tensor_elsewhere},
    tflite::{self, Field, Node, Operation},
};

/// Values of a tensor above what any engine takes.
const TOO_MANY: u64 = (1 << 26) + 1;

fn load(engine: &dyn Engine, bytes: &[u8]) -> Result<Box<dyn Session>, EngineError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    std::fs::write(&path, bytes).unwrap();
    engine.load(&ModelFile { path, model_id: "hostile".into() }, CPU)
}

/// What the refusal of a file says; a file that is taken fails the test.
fn refused(engine: &dyn Engine, bytes: &[u8], what: &str) -> String {
    match load(engine, bytes) {
        Err(EngineError::Model { detail, .. }) => detail,
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} was taken by {}", engine.version()),
    }
}

fn input(values: usize) -> Tensor {
    Tensor { name: "x".into(), shape: vec![1, values], data: vec![-1.0; values] }
}

/// `y = x` by an operation that the library must compute, with an attribute of this kind.
fn with_attribute(attribute: &Message) -> Vec<u8> {
    let sizes = [Ok(1), Ok(4)];
    let relu = node("Relu", "", &["x"], &["y"], std::slice::from_ref(attribute));
    model(&[relu], &[], &[port("x", &sizes)], &[port("y", &sizes)])
}

fn with_weights(weights: &Message) -> Vec<u8> {
    let sizes = [Ok(1), Ok(4)];
    let add = node("Add", "", &["x", "w"], &["y"], &[]);
    model(&[add], std::slice::from_ref(weights), &[port("x", &sizes)], &[port("y", &sizes)])
}

#[test]
fn small_models_run_on_every_engine() {
    let weights = tensor("w", onnx::FLOAT, &[1, 4], &floats(&[2.0; 4]));
    let added = load(&engine(), &with_weights(&weights)).unwrap().run(&[input(4)]).unwrap();
    assert_eq!(added[0].data, [1.0; 4]);
    let cut = load(&engine(), &onnx::relu(4)).unwrap().run(&[input(4)]).unwrap();
    for engine in tflite_engines() {
        assert_eq!(load(&engine, &tflite::relu(4).file()).unwrap().run(&[input(4)]).unwrap(), cut);
    }
    assert_eq!((&*cut[0].name, &cut[0].data[..]), ("y", &[0.0; 4][..]));
}

#[test]
fn an_onnx_file_that_lies_about_itself_is_refused_before_the_library_sees_it() {
    let engine = engine();
    let sizes = [Ok(1), Ok(4)];
    let nested = (0..40).fold(with_attribute(&attribute("a", 1)), |inner, _| {
        // A model's graph is its field 7; here each graph holds an operation that holds the next.
        let graph = Message(inner);
        let holder = Message::default().bytes(1, "body").bytes(6, graph.0).number(20, 5);
        Message::default().bytes(1, node("Loop", "", &[], &[], &[holder]).0).0
    });
    let absurd = |sizes: &[Result<u64, &str>]| {
        let relu = node("Relu", "", &["x"], &["y"], &[]);
        model(&[relu], &[], &[port("x", &[Ok(1), Ok(4)])], &[port("y", sizes)])
    };
    let few = tensor("w", onnx::FLOAT, &[1, 4], &floats(&[2.0; 3]));
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("weights elsewhere", with_weights(&tensor_elsewhere("w", &[1, 4], "weights.bin")), "in another file"),
        ("weights outside", with_weights(&tensor_elsewhere("w", &[1, 4], "../../secret")), "in another file"),
        ("weights of the system", with_weights(&tensor_elsewhere("w", &[1, 4], "/etc/passwd")), "in another file"),
        ("too few bytes", with_weights(&few), "as many bytes as its sizes say"),
        ("no such type", with_weights(&tensor("w", 99, &[1, 4], &[0; 16])), "a type that there is not"),
        ("weights of no end", with_weights(&tensor("w", onnx::FLOAT, &[1 << 40, 4], &[])), "absurd sizes"),
        ("sizes below zero", with_weights(&tensor("w", onnx::FLOAT, &[u64::MAX, 4], &[0; 16])), "absurd sizes"),
        ("an absurd output", absurd(&[Ok(1 << 20), Ok(1 << 20)]), "absurd sizes"),
        ("no outputs", model(&[], &[], &[port("x", &sizes)], &[]), "no outputs or too many"),
        ("no graph", Message::default().number(1, 8).0, "no graph"),
        ("graphs in graphs", Message::default().bytes(7, nested).0, "too deep"),
    ];
    for (what, bytes, said) in cases {
        let detail = refused(&engine, &bytes, what);
        assert!(detail.contains(said), "{what}: {detail}");
    }
    // A graph of two gigabytes, by its own word.
    let header = [&[0x3a, 0xff, 0xff, 0xff, 0xff, 0x07][..], &[0; 64]].concat();
    assert!(refused(&engine, &header, "a header").contains("outside the file"));
    let whole = with_weights(&tensor("w", onnx::FLOAT, &[1, 4], &floats(&[2.0; 4])));
    for length in 0..whole.len() {
        refused(&engine, &whole[..length], "a file that was cut off");
    }
}

#[test]
fn what_only_the_library_can_tell_is_a_typed_error_as_well() {
    let engine = engine();
    let sizes = [Ok(1), Ok(4)];
    let unknown = node("Nothing", "com.example", &["x"], &["y"], &[]);
    refused(&engine, &model(&[unknown], &[], &[port("x", &sizes)], &[port("y", &sizes)]), "an unknown operation");
    let unlike = tensor("w", onnx::FLOAT, &[1, 3], &floats(&[2.0; 3]));
    refused(&engine, &with_weights(&unlike), "sizes that do not go together");
    let cast = node("Cast", "", &["x"], &["y"], &[attribute("to", INT64)]);
    refused(&engine, &model(&[cast], &[], &[port("x", &sizes)], &[port("y", &sizes)]), "an output of another type");
    for engine in tflite_engines() {
        let mut custom = tflite::relu(4);
        custom.operations[0] = Operation { name: Some("Nothing"), ..Operation::new(tflite::CUSTOM, &[0], &[1]) };
        // LiteRT looks for an operation of that name when it is first needed.
        let answer = load(&engine, &custom.file()).and_then(|mut session| session.run(&[input(4)]));
        assert!(matches!(answer, Err(EngineError::Model { .. } | EngineError::Run { .. })), "{}", engine.version());
        let mut newest = tflite::relu(4);
        newest.operations[0].kind = 9_999;
        refused(&engine, &newest.file(), "an operation of another century");
    }
}

/// Sizes that only a run tells: too large for us, and too large for any machine.
#[test]
fn an_absurd_output_of_a_run_is_a_typed_error_and_the_session_goes_on() {
    let engine = engine();
    for values in [TOO_MANY, 1 << 50] {
        let target = tensor("n", INT64, &[2], &[1_u64.to_le_bytes(), values.to_le_bytes()].concat());
        let expand = node("Expand", "", &["x", "n"], &["y"], &[]);
        let outputs = [port("y", &[Err("rows"), Err("columns")])];
        let bytes = model(&[expand], &[target], &[port("x", &[Ok(1), Err("columns")])], &outputs);
        let Ok(mut session) = load(&engine, &bytes) else { continue };
        for _ in 0..2 {
            assert!(matches!(session.run(&[input(1)]), Err(EngineError::Run { .. })), "{values}");
        }
    }
}

#[test]
fn a_tflite_file_that_lies_about_itself_is_refused_before_the_libraries_see_it() {
    type Change = fn(&mut tflite::Model);
    let changes: [(&str, Change, &str); 12] = [
        ("an input that is not there", |model| model.inputs = vec![7], "a tensor is not there"),
        ("an output below zero", |model| model.outputs = vec![-1], "a tensor is not there"),
        ("an operation's tensor", |model| model.operations[0].inputs = vec![2], "a tensor is not there"),
        ("an operation on nothing", |model| model.operations[0].inputs = vec![1], "nothing computes"),
        ("an output of nobody", |model| model.operations[0].outputs = vec![0], "has values already"),
        ("weights as input", |model| model.tensors[0].data = vec![0; 16], "has values already"),
        ("weights that are written", |model| model.tensors[1].data = vec![0; 16], "has values already"),
        ("too few bytes", |model| model.tensors[1].data = vec![0; 15], "as many bytes as its sizes say"),
        ("absurd sizes", |model| model.tensors[1].sizes = vec![1 << 16, 1 << 16], "absurd sizes"),
        ("sizes below zero", |model| model.tensors[1].sizes = vec![1, -4], "absurd sizes"),
        ("too many sizes", |model| model.tensors[1].sizes = vec![1; 9], "too many sizes"),
        ("no name", |model| model.operations[0].kind = tflite::CUSTOM, "has no name"),
    ];
    for engine in tflite_engines() {
        for (what, change, said) in changes {
            let mut model = tflite::relu(4);
            change(&mut model);
            let detail = refused(&engine, &model.file(), what);
            assert!(detail.contains(said), "{what}: {detail}");
        }
        let unpacked = halves(&[1, 4], &[4, 4]).file();
        assert!(refused(&engine, &unpacked, "unpacked weights").contains("other sizes"));
        load(&engine, &halves(&[1, 4], &[1, 4]).file()).unwrap();
        for (inputs, said) in [(&[0, 1][..], "lacks a tensor"), (&[0, 1, 0], "does not fit its weights")] {
            assert!(refused(&engine, &convolution(inputs).file(), said).contains(said));
        }
        load(&engine, &convolution(&[0, 1, 2]).file()).unwrap();
        let whole = tflite::relu(4).file();
        for length in 0..whole.len() - 1 {
            refused(&engine, &whole[..length], "a file that was cut off");
        }
    }
}

/// Of one pixel with one channel; the weights and the bias are tensors 1 and 2.
fn convolution(inputs: &[i32]) -> tflite::Model {
    let weights = |name, sizes: &[i32]| tflite::Tensor { data: floats(&[2.0]), ..tflite::Tensor::floats(name, sizes) };
    let pixel = |name| tflite::Tensor::floats(name, &[1, 1, 1, 1]);
    // `Conv2DOptions`: both strides are one.
    let options = vec![(1, Field::Word(1)), (2, Field::Word(1))];
    let operation = Operation { options: Some((1, options)), ..Operation::new(tflite::CONV_2D, inputs, &[3]) };
    tflite::Model {
        tensors: vec![pixel("x"), weights("w", &[1, 1, 1, 1]), weights("b", &[1]), pixel("y")],
        operations: vec![operation],
        inputs: vec![0],
        outputs: vec![3],
    }
}

/// `y = x * w`, where `w` is unpacked from 16 bits.
fn halves(packed: &[i32], unpacked: &[i32]) -> tflite::Model {
    let values = packed.iter().product::<i32>() as usize;
    let weights = tflite::Tensor {
        element: tflite::FLOAT16,
        data: [0x00, 0x40].repeat(values),
        ..tflite::Tensor::floats("packed", packed)
    };
    let floats = tflite::Tensor::floats;
    tflite::Model {
        tensors: vec![floats("x", &[1, 4]), weights, floats("w", unpacked), floats("y", &[1, 4])],
        operations: vec![
            Operation::new(tflite::DEQUANTIZE, &[1], &[2]),
            Operation { options: Some((21, Vec::new())), ..Operation::new(tflite::MUL, &[0, 2], &[3]) },
        ],
        inputs: vec![0],
        outputs: vec![3],
    }
}

#[test]
fn weights_in_other_files_and_signatures_of_nothing_are_refused() {
    let with = |field: usize, node: Node| {
        let Node::Table(mut fields) = tflite::relu(4).root() else { panic!("a root is a table") };
        fields.push((field, Field::Node(node)));
        tflite::file(&Node::Table(fields))
    };
    let entry = |index: u32| Node::Nodes(vec![Node::Table(vec![(0, tflite::text("x")), (1, Field::Word(index))])]);
    let signature = |input: u32, graph: u32| {
        let fields = vec![(0, Field::Node(entry(input))), (1, Field::Node(entry(1))), (2, tflite::text("main"))];
        Node::Nodes(vec![Node::Table(fields.into_iter().chain([(4, Field::Word(graph))]).collect())])
    };
    let elsewhere = Node::Nodes(vec![Node::Table(vec![(0, Field::Word(1))])]);
    for engine in tflite_engines() {
        load(&engine, &with(7, signature(0, 0))).unwrap();
        for (field, node, said) in [
            (8, elsewhere.clone(), "in another file"),
            (9, elsewhere.clone(), "in another file"),
            (7, signature(1, 0), "no input or output"),
            (7, signature(9, 0), "no input or output"),
            (7, signature(0, 3), "a graph is not there"),
            (6, entry(5), "metadata is not there"),
        ] {
            let detail = refused(&engine, &with(field, node), said);
            assert!(detail.contains(said), "{detail}");
        }
    }
}

#[test]
fn what_is_no_number_does_not_pass_the_contract() {
    let mut entry = manifest().models[1].clone();
    entry.outputs.truncate(1);
    entry.outputs[0].name = "y".into();
    entry.outputs[0].shape = vec![1, 4];
    let weights = tensor("w", onnx::FLOAT, &[1, 4], &floats(&[1.0, f32::NAN, 1.0, 1.0]));
    let outputs = load(&engine(), &with_weights(&weights)).unwrap().run(&[input(4)]).unwrap();
    assert!(
        matches!(check_outputs(&entry, &outputs), Err(EngineError::Run { detail, .. }) if detail.contains("finite"))
    );
    let fine = load(&engine(), &onnx::relu(4)).unwrap().run(&[input(4)]).unwrap();
    check_outputs(&entry, &fine).unwrap();
}
