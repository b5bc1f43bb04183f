//! GPU and NPU paths on devices that stand in for real ones: SwiftShader (a GPU in software) and Intel's NPU libraries with
//! their graphs on the processor. Each test runs in a process of its own, whose environment names the device's libraries.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    CPU, device, in_child, largest_difference, litert_library, manifest, model_for, swiftshader, wave, with_npu,
};
use snaptrak_domain::engine::{Accelerator, Engine, EngineError, LoadOptions, Placement};
use snaptrak_inference::TfliteEngine;
use std::path::PathBuf;

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
