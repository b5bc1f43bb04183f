//! The ONNX Runtime engine with the real library and the shipped models.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{CPU, engine, library, manifest, models, tensors_that_do_not_fit, wave};
use snaptrak_domain::engine::{Accelerator, Engine as _, EngineError, LoadOptions, ModelFile, Tensor};
use snaptrak_inference::{ModelEntry, OrtEngine, check_outputs, verify};
use std::path::Path;

fn verified(model: &ModelEntry) -> ModelFile {
    verify(&models(), model, model.variant_for("ort").unwrap()).unwrap()
}

#[test]
fn every_shipped_model_answers_as_its_contract_says_and_says_where_it_ran() {
    let engine = engine();
    assert!(engine.version().starts_with("onnxruntime 1."), "{}", engine.version());
    let manifest = manifest();
    assert!(!manifest.models.is_empty());
    for model in &manifest.models {
        let mut session = engine.load(&verified(model), CPU).unwrap();
        assert_eq!(session.accelerator_ran(), Accelerator::Cpu);
        let first = session.run(&[wave(model)]).unwrap();
        check_outputs(model, &first).unwrap();
        assert_eq!(first, session.run(&[wave(model)]).unwrap(), "{} gives the same twice", model.id);
    }
}

#[test]
fn one_thread_and_many_agree() {
    let engine = engine();
    let manifest = manifest();
    let model = &manifest.models[0];
    let run = |threads| {
        let options = LoadOptions { accelerator: Accelerator::Cpu, threads };
        engine.load(&verified(model), options).unwrap().run(&[wave(model)]).unwrap()
    };
    let tolerance = model.tolerance.unwrap().tensor_abs;
    for (one, many) in run(1).iter().zip(&run(usize::MAX)) {
        assert!(one.data.iter().zip(&many.data).all(|(a, b)| (a - b).abs() <= tolerance));
    }
}

#[test]
fn tensors_are_filled_again_whatever_they_held() {
    let engine = engine();
    let manifest = manifest();
    let model = &manifest.models[1];
    let mut session = engine.load(&verified(model), CPU).unwrap();
    let input = [wave(model)];
    let wanted = session.run(&input).unwrap();
    let foreign = Tensor { name: "other".into(), shape: vec![3], data: vec![f32::NAN; 3] };
    for held in [vec![], vec![foreign.clone()], vec![foreign; 7], wanted.clone()] {
        let mut outputs = held;
        session.run_into(&input, &mut outputs).unwrap();
        assert_eq!(outputs, wanted);
    }
}

#[test]
fn an_accelerator_that_is_not_there_is_refused_and_not_replaced() {
    let engine = engine();
    assert!(engine.accelerators().contains(&Accelerator::Cpu));
    assert!(engine.device(Accelerator::Cpu).unwrap().contains("CPUExecutionProvider"));
    let manifest = manifest();
    for accelerator in [Accelerator::Gpu, Accelerator::Npu] {
        assert_eq!(engine.device(accelerator).is_some(), engine.accelerators().contains(&accelerator));
        if engine.accelerators().contains(&accelerator) {
            continue;
        }
        let refused =
            engine.load(&verified(&manifest.models[0]), LoadOptions { accelerator, threads: 1 }).err().unwrap();
        assert_eq!(refused, EngineError::NoAccelerator { accelerator });
        assert_eq!(refused.reason().parameters["accelerator"], accelerator.as_str());
    }
}

#[test]
fn what_is_no_model_is_a_typed_error() {
    let engine = engine();
    let manifest = manifest();
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(verified(manifest.models.last().unwrap()).path).unwrap();
    let mut flipped = good.clone();
    for byte in flipped.iter_mut().step_by(1009) {
        *byte ^= 0x55;
    }
    let mut noise = 0x2545_f491_u32;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        noise as u8
    })
    .take(4096)
    .collect();
    let hostile: [(&str, &[u8]); 6] = [
        ("empty", &[]),
        ("one byte", &[0x08]),
        ("random", &random),
        ("half", &good[..good.len() / 2]),
        ("all but the last byte", &good[..good.len() - 1]),
        ("flipped", &flipped),
    ];
    for (name, bytes) in hostile {
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, bytes).unwrap();
        let answer = engine.load(&ModelFile { path, model_id: "hostile".into() }, CPU);
        assert!(matches!(answer.err(), Some(EngineError::Model { .. })), "{name}");
    }
    let missing = ModelFile { path: folder.path().join("nothing.onnx"), model_id: "missing".into() };
    assert!(matches!(engine.load(&missing, CPU).err(), Some(EngineError::Model { .. })));
    let a_folder = ModelFile { path: folder.path().to_owned(), model_id: "folder".into() };
    assert!(matches!(engine.load(&a_folder, CPU).err(), Some(EngineError::Model { .. })));
}

#[test]
fn tensors_that_do_not_fit_are_a_typed_error() {
    let engine = engine();
    let manifest = manifest();
    let model = &manifest.models[0];
    let mut session = engine.load(&verified(model), CPU).unwrap();
    let good = wave(model);
    let twice = vec![good.clone(), good.clone()];
    for inputs in tensors_that_do_not_fit(&good).into_iter().chain([twice]) {
        assert!(matches!(session.run(&inputs), Err(EngineError::Run { .. })));
    }
    session.run(&[good]).expect("a refused run leaves the session usable");
}

#[test]
fn two_instances_side_by_side_share_the_library_and_nothing_else() {
    let (first, second) = (engine(), OrtEngine::open(&library()).unwrap());
    let manifest = manifest();
    let model = &manifest.models[0];
    let mut one = first.load(&verified(model), CPU).unwrap();
    drop(first);
    let mut two = second.load(&verified(model), CPU).unwrap();
    drop(second);
    let threads = [std::thread::spawn({
        let input = wave(model);
        move || one.run(&[input]).unwrap()
    })];
    let mine = two.run(&[wave(model)]).unwrap();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), mine);
    }
    // A second library in one process is refused rather than silently replaced by the first.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libonnxruntime.so");
    std::fs::copy(library(), &copy).unwrap();
    assert!(matches!(OrtEngine::open(&copy), Err(EngineError::Library { .. })));
}

#[test]
fn the_same_library_by_another_path_is_the_same() {
    engine();
    let library = library();
    let roundabout = library.parent().unwrap().join("..").join("runtime").join(library.file_name().unwrap());
    OrtEngine::open(Path::new(&roundabout)).unwrap();
}
