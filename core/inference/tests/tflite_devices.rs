//! GPU and NPU paths on devices that stand in for real ones: SwiftShader (a GPU in software) and Intel's NPU libraries with
//! their graphs on the processor. Each test runs in a process of its own, whose environment names the device's libraries.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    CPU, device, in_child, largest_difference, litert_library, manifest, model_for, swiftshader, wave, with_npu,
};
use snaptrak_domain::{
    Conditions, LastExit,
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Placement},
    verdict::{Verdict, VerdictCode},
};
use snaptrak_inference::{
    SelectingEngine, Selection, SelectionOptions, TfliteEngine,
    registry::{InUse, Source},
    selection::Patience,
};
use snaptrak_testkit::{FakeClock, models::tflite};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// On a processor that can, these libraries compute with 16 bits, whatever the model's compiler was told: what runs the
/// compiled code asks again. Answers then differ by a third. Without those instructions it is 32 bits.
fn openvino() -> [(&'static str, PathBuf); 2] {
    [("LD_LIBRARY_PATH", device("openvino")), ("ONEDNN_MAX_CPU_ISA", "AVX2".into())]
}

fn compare_with_the_processor(engine: &TfliteEngine, accelerator: Accelerator) {
    assert!(engine.accelerators().contains(&accelerator));
    for model in &manifest().models {
        let tolerance = model.tolerance.unwrap().tensor_abs;
        let (model, file) = model_for(engine, model);
        let input = [wave(&model)];
        let wanted = engine.load(&file, CPU).unwrap().run(&input).unwrap();
        let mut session = engine.load(&file, LoadOptions { accelerator, threads: 1 }).unwrap();
        assert_eq!((session.accelerator_ran(), session.placement()), (accelerator, Placement::Whole));
        let mut found = session.run(&input).unwrap();
        let difference = largest_difference((&model, &wanted), (&model, &found));
        assert!(difference <= tolerance, "{}: {difference}", model.id);
        assert!(difference > 0.0, "{} did not run elsewhere", model.id);
        let first = found.clone();
        session.run_into(&input, &mut found).unwrap();
        assert_eq!(first, found, "{} gives the same twice", model.id);
    }
}

#[test]
fn a_gpu_answers_as_the_processor_does() {
    in_child("a_gpu_answers_as_the_processor_does", &swiftshader(), || {
        compare_with_the_processor(&TfliteEngine::open(&litert_library()).unwrap(), Accelerator::Gpu);
    });
}

/// What makes a model ready for a GPU wants to know all of it.
#[test]
fn a_gpu_is_not_given_a_model_whose_sizes_only_a_run_tells() {
    in_child("a_gpu_is_not_given_a_model_whose_sizes_only_a_run_tells", &swiftshader(), || {
        let folder = tempfile::tempdir().unwrap();
        let file = ModelFile { path: folder.path().join("model.tflite"), model_id: "open".into() };
        let mut model = tflite::relu(4);
        model.tensors.iter_mut().for_each(|tensor| tensor.open = vec![-1, 4]);
        std::fs::write(&file.path, model.file()).unwrap();
        let engine = TfliteEngine::open(&litert_library()).unwrap();
        engine.load(&file, CPU).unwrap();
        let refused = engine.load(&file, LoadOptions { accelerator: Accelerator::Gpu, threads: 1 }).err().unwrap();
        let is_said = matches!(&refused, EngineError::NotPlaced { detail, .. } if detail.contains("only a run tells"));
        assert!(is_said, "{refused}");
    });
}

#[test]
fn an_npu_answers_as_the_processor_does() {
    in_child("an_npu_answers_as_the_processor_does", &openvino(), || {
        compare_with_the_processor(&TfliteEngine::open_with(&with_npu()).unwrap(), Accelerator::Npu);
    });
}

#[test]
fn a_library_without_its_device_is_a_typed_error_and_the_processor_still_runs() {
    in_child("a_library_without_its_device_is_a_typed_error_and_the_processor_still_runs", &[], || {
        let engine = TfliteEngine::open_with(&with_npu()).unwrap();
        let (model, file) = model_for(&engine, &manifest().models[1]);
        for accelerator in [Accelerator::Gpu, Accelerator::Npu] {
            let refused = engine.load(&file, LoadOptions { accelerator, threads: 1 }).err().unwrap();
            let is_typed = matches!(refused, EngineError::NotPlaced { .. } | EngineError::NoAccelerator { .. });
            assert!(is_typed, "{refused}");
            assert_eq!(refused.reason().parameters["accelerator"], accelerator.as_str());
        }
        engine.load(&file, CPU).unwrap().run(&[wave(&model)]).unwrap();
    });
}

/// The face model where a selection puts it, and what it says of the accelerator. The answers are the processor's.
fn selected(engine: TfliteEngine, accelerator: Accelerator) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
    let started = std::time::Instant::now();
    // In software a device takes its time.
    let patience = Patience { run: Duration::from_secs(120), load: Duration::from_secs(300), ..Patience::default() };
    let selection = Arc::new(Selection::open(SelectionOptions {
        folder: folder.path().join("accelerators"),
        driver: "stand-in".into(),
        last_exit: LastExit::default(),
        gpu_in_background: true,
        patience,
        clock: Arc::new(FakeClock::new()),
        stopwatch: Arc::new(move || started.elapsed().as_secs_f64() * 1e3),
    }));
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let in_use = InUse { source: Source::Packaged, folder: common::models(), manifest: manifest() };
    let selecting = SelectingEngine::new(Arc::clone(&engine), Arc::clone(&selection), in_use, Conditions::default());
    let manifest = manifest();
    let model = manifest.model("blazeface_back").unwrap();
    let tolerance = model.tolerance.unwrap().tensor_abs;
    let (entry, file) = model_for(engine.as_ref(), model);
    let input = [wave(&entry)];
    let wanted = engine.load(&file, CPU).unwrap().run(&input).unwrap();
    let mut session = selecting.load(&file, CPU).unwrap();
    for _ in 0..2 {
        let found = session.run(&input).unwrap();
        assert!(largest_difference((&entry, &wanted), (&entry, &found)) <= tolerance);
    }
    assert!(session.confirm());
    let is_it = |verdict: &Verdict| verdict.candidate.accelerator == accelerator;
    let verdict = selection.verdicts().into_iter().find(is_it).unwrap();
    let taken = if verdict.code == VerdictCode::Usable { accelerator } else { Accelerator::Cpu };
    assert_eq!(session.accelerator_ran(), taken);
    let difference = verdict.difference.unwrap();
    assert!(difference > 0.0 && difference <= tolerance, "{difference}: it ran elsewhere, and answered alike");
    assert!(verdict.cpu_ms.unwrap() > 0.0);
    verdict
}

#[test]
fn a_gpu_in_software_is_measured_and_found_slow() {
    in_child("a_gpu_in_software_is_measured_and_found_slow", &swiftshader(), || {
        let verdict = selected(TfliteEngine::open(&litert_library()).unwrap(), Accelerator::Gpu);
        // Hundreds of times, on any machine.
        assert_eq!(verdict.code, VerdictCode::Slow);
    });
}

#[test]
fn an_npu_is_measured_and_taken_if_it_is_quicker() {
    in_child("an_npu_is_measured_and_taken_if_it_is_quicker", &openvino(), || {
        let verdict = selected(TfliteEngine::open_with(&with_npu()).unwrap(), Accelerator::Npu);
        let is_quicker = verdict.run_ms.unwrap() <= verdict.cpu_ms.unwrap() * 0.8;
        assert_eq!(verdict.code, if is_quicker { VerdictCode::Usable } else { VerdictCode::Slow });
    });
}
