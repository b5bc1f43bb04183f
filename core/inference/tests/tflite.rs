//! The engine for TFLite models with both real libraries and the shipped models.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    CPU, engine, largest_difference, litert_library, manifest, model_for, tensors_that_do_not_fit, tflite_engines, wave,
};
use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Placement, Tensor};
use snaptrak_inference::{TfliteEngine, check_outputs};

#[test]
fn every_shipped_model_answers_as_its_contract_says_and_says_where_it_ran() {
    let [litert, classic] = tflite_engines();
    assert_eq!((&*litert.version(), litert.id()), ("litert 2.3", "tflite"));
    assert!(classic.version().starts_with("tensorflow-lite 2."), "{}", classic.version());
    for (engine, is_litert) in [(litert, true), (classic, false)] {
        for model in &manifest().models {
            let placement = match (is_litert, &*model.id) {
                // It joins six tensors at once, which XNNPACK does not take.
                (true, "ssd_mobilenetv2_oidv4") => Placement::Mixed,
                (true, _) => Placement::Whole,
                (false, _) => Placement::Unknown,
            };
            let (model, file) = model_for(&engine, model);
            let mut session = engine.load(&file, CPU).unwrap();
            assert_eq!((session.accelerator_ran(), session.placement()), (Accelerator::Cpu, placement), "{}", model.id);
            let first = session.run(&[wave(&model)]).unwrap();
            check_outputs(&model, &first).unwrap();
            assert_eq!(first, session.run(&[wave(&model)]).unwrap(), "{} gives the same twice", model.id);
        }
    }
}

#[test]
fn the_same_model_gives_the_same_on_every_engine_within_its_tolerance() {
    let ort = engine();
    for model in &manifest().models {
        let (of_ort, file) = model_for(&ort, model);
        let wanted = ort.load(&file, CPU).unwrap().run(&[wave(&of_ort)]).unwrap();
        for engine in tflite_engines() {
            let (of_tflite, file) = model_for(&engine, model);
            let found = engine.load(&file, CPU).unwrap().run(&[wave(&of_tflite)]).unwrap();
            let difference = largest_difference((&of_ort, &wanted), (&of_tflite, &found));
            assert!(difference <= model.tolerance.unwrap().tensor_abs, "{}: {difference}", engine.version());
            assert!(difference > 0.0, "two implementations that agree to the last bit were one");
        }
    }
}

#[test]
fn one_thread_and_many_agree() {
    for engine in tflite_engines() {
        let (model, file) = model_for(&engine, &manifest().models[0]);
        let run = |threads| {
            let options = LoadOptions { accelerator: Accelerator::Cpu, threads };
            engine.load(&file, options).unwrap().run(&[wave(&model)]).unwrap()
        };
        let difference = largest_difference((&model, &run(0)), (&model, &run(usize::MAX)));
        assert!(difference <= model.tolerance.unwrap().tensor_abs, "{difference}");
    }
}

#[test]
fn tensors_are_filled_again_whatever_they_held() {
    for engine in tflite_engines() {
        let (model, file) = model_for(&engine, &manifest().models[1]);
        let mut session = engine.load(&file, CPU).unwrap();
        let input = [wave(&model)];
        let wanted = session.run(&input).unwrap();
        let foreign = Tensor { name: "other".into(), shape: vec![3], data: vec![f32::NAN; 3] };
        for held in [vec![], vec![foreign.clone()], vec![foreign; 7], wanted.clone()] {
            let mut outputs = held;
            session.run_into(&input, &mut outputs).unwrap();
            assert_eq!(outputs, wanted);
        }
    }
}

#[test]
fn an_accelerator_that_is_not_there_is_refused_and_not_replaced() {
    // Alone in a folder, the library has no accelerators beside it.
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("libLiteRt.so");
    std::fs::copy(litert_library(), &alone).unwrap();
    let [_, classic] = tflite_engines();
    for engine in [TfliteEngine::open(&alone).unwrap(), classic] {
        assert_eq!(engine.accelerators(), [Accelerator::Cpu]);
        let (_, file) = model_for(&engine, &manifest().models[1]);
        for accelerator in [Accelerator::Gpu, Accelerator::Npu] {
            let refused = engine.load(&file, LoadOptions { accelerator, threads: 1 }).err().unwrap();
            assert_eq!(refused, EngineError::NoAccelerator { accelerator });
        }
    }
}

#[test]
fn what_is_no_model_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    for engine in tflite_engines() {
        let (_, good) = model_for(&engine, &manifest().models[1]);
        let good = std::fs::read(good.path).unwrap();
        let mut noise = 0x2545_f491_u32;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            noise as u8
        })
        .take(4096)
        .collect();
        // A root that lies two gigabytes away, and one whose length is as large.
        let mut far = good.clone();
        far[..4].copy_from_slice(&0x7fff_fff0_u32.to_le_bytes());
        let mut long = good[..64].to_vec();
        long[8..].fill(0x7f);
        let identifier_only = [&[8, 0, 0, 0][..], b"TFL3", &[0; 56]].concat();
        let onnx = model_for(&common::engine(), &manifest().models[1]).1.path;
        let hostile: [(&str, &[u8]); 9] = [
            ("empty", &[]),
            ("one byte", &[0x08]),
            ("random", &random),
            ("half", &good[..good.len() / 2]),
            ("its first kilobyte", &good[..1024]),
            ("far", &far),
            ("long", &long),
            ("an identifier and nothing", &identifier_only),
            ("another engine's", &std::fs::read(onnx).unwrap()),
        ];
        for (name, bytes) in hostile {
            let path = folder.path().join("model.tflite");
            std::fs::write(&path, bytes).unwrap();
            let answer = engine.load(&ModelFile { path, model_id: "hostile".into() }, CPU);
            assert!(matches!(answer.err(), Some(EngineError::Model { .. })), "{}: {name}", engine.version());
        }
        for path in [folder.path().join("nothing"), folder.path().to_owned()] {
            let answer = engine.load(&ModelFile { path, model_id: "missing".into() }, CPU);
            assert!(matches!(answer.err(), Some(EngineError::Model { .. })));
        }
    }
}

#[test]
fn tensors_that_do_not_fit_are_a_typed_error() {
    for engine in tflite_engines() {
        let (model, file) = model_for(&engine, &manifest().models[1]);
        let mut session = engine.load(&file, CPU).unwrap();
        let good = wave(&model);
        let twice = vec![good.clone(), good.clone()];
        for inputs in tensors_that_do_not_fit(&good).into_iter().chain([twice]) {
            assert!(matches!(session.run(&inputs), Err(EngineError::Run { .. })));
        }
        session.run(&[good]).expect("a refused run leaves the session usable");
    }
}

#[test]
fn two_instances_side_by_side_share_the_library_and_nothing_else() {
    for [first, second] in [tflite_engines(), tflite_engines()] {
        let (model, file) = model_for(&first, &manifest().models[0]);
        let mut sessions: Vec<_> = [&first, &first].map(|engine| engine.load(&file, CPU).unwrap()).into();
        let mut other = second.load(&file, CPU).unwrap();
        drop((first, second));
        let mut last = sessions.pop().unwrap();
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|mut session| {
                let input = wave(&model);
                std::thread::spawn(move || session.run(&[input]).unwrap())
            })
            .collect();
        let mine = last.run(&[wave(&model)]).unwrap();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), mine);
        }
        other.run(&[wave(&model)]).unwrap();
    }
}
