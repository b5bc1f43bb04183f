//! ONNX Runtime's providers in libraries of their own, on devices that stand in for real ones: WebGPU on SwiftShader (a GPU in
//! software, some hundreds of times slower than the processor, hence the tiny models) and Intel's OpenVINO on the processor.
//! Each test runs in a process of its own, whose environment names the device's libraries.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{
    CPU, device, engine, has_emulator, in_child, in_child_on, largest_difference, manifest, model_for, swiftshader,
    wave, with_openvino, with_webgpu,
};
use snaptrak_domain::engine::{Accelerator, Engine as _, EngineError, LoadOptions, ModelFile, Placement, Tensor};
use snaptrak_inference::{OrtEngine, OrtLibraries};
use snaptrak_testkit::models::{
    floats,
    onnx::{self, model, node, port, tensor},
};
use std::path::{Path, PathBuf};

const GPU: LoadOptions = LoadOptions { accelerator: Accelerator::Gpu, threads: 1 };
const NPU: LoadOptions = LoadOptions { accelerator: Accelerator::Npu, threads: 1 };

/// Two layers of a network with its softmax.
fn layers() -> Vec<u8> {
    let weights: Vec<f32> = (0..64 * 64).map(|index| ((index * 37 % 101) as f32 - 50.0) / 400.0).collect();
    let sizes = [Ok(1), Ok(64)];
    let nodes = [
        node("MatMul", "", &["x", "w"], &["a"], &[]),
        node("Relu", "", &["a"], &["b"], &[]),
        node("MatMul", "", &["b", "w"], &["c"], &[]),
        node("Softmax", "", &["c"], &["y"], &[]),
    ];
    let weights = tensor("w", onnx::FLOAT, &[64, 64], &floats(&weights));
    model(&nodes, &[weights], &[port("x", &sizes)], &[port("y", &sizes)])
}

fn file(folder: &Path, bytes: &[u8]) -> ModelFile {
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    ModelFile { path, model_id: "tiny".into() }
}

fn input() -> Tensor {
    Tensor { name: "x".into(), shape: vec![1, 64], data: (0..64).map(|index| (index as f32 / 9.0).sin()).collect() }
}

fn webgpu() -> Vec<(&'static str, PathBuf)> {
    swiftshader().into_iter().chain([("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", PathBuf::from("1"))]).collect()
}

#[test]
fn a_gpu_answers_as_the_processor_does() {
    in_child("a_gpu_answers_as_the_processor_does", &webgpu(), || {
        let engine = OrtEngine::open_with(&with_webgpu()).unwrap();
        assert_eq!(engine.accelerators(), [Accelerator::Cpu, Accelerator::Gpu]);
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), &layers());
        let wanted = engine.load(&file, CPU).unwrap().run(&[input()]).unwrap();
        let mut session = engine.load(&file, GPU).unwrap();
        assert_eq!((session.accelerator_ran(), session.placement()), (Accelerator::Gpu, Placement::Whole));
        let mut found = session.run(&[input()]).unwrap();
        assert_eq!((&found[0].name, &found[0].shape), (&wanted[0].name, &wanted[0].shape));
        let pairs = found[0].data.iter().zip(&wanted[0].data);
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "{difference}");
        let first = found.clone();
        session.run_into(&[input()], &mut found).unwrap();
        assert_eq!(first, found, "it gives the same twice");
    });
}

#[test]
fn an_engine_that_was_not_given_a_provider_does_not_use_it() {
    in_child("an_engine_that_was_not_given_a_provider_does_not_use_it", &webgpu(), || {
        let with = OrtEngine::open_with(&with_webgpu()).unwrap();
        let without = engine();
        assert_eq!(without.accelerators(), [Accelerator::Cpu]);
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), &layers());
        let refused = without.load(&file, GPU).err().unwrap();
        assert_eq!(refused, EngineError::NoAccelerator { accelerator: Accelerator::Gpu });
        // A second instance takes what the process has, and a different library under the same name is refused.
        OrtEngine::open_with(&with_webgpu()).unwrap();
        let mut other = with_webgpu();
        other.providers[0].library = device("ort-openvino").join("libonnxruntime_providers_openvino_plugin.so");
        assert!(matches!(OrtEngine::open_with(&other), Err(EngineError::Library { .. })));
        drop(with);
    });
}

#[test]
fn what_a_gpu_does_not_take_is_refused_and_not_left_to_the_processor() {
    in_child("what_a_gpu_does_not_take_is_refused_and_not_left_to_the_processor", &webgpu(), || {
        let engine = OrtEngine::open_with(&with_webgpu()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let determinant = node("Det", "", &["x"], &["y"], &[]);
        let outputs = [port("y", &[Ok(1)])];
        let bytes = model(&[determinant], &[], &[port("x", &[Ok(1), Ok(2), Ok(2)])], &outputs);
        let file = file(folder.path(), &bytes);
        engine.load(&file, CPU).unwrap();
        let refused = engine.load(&file, GPU).err().unwrap();
        assert!(matches!(refused, EngineError::NotPlaced { accelerator: Accelerator::Gpu, .. }), "{refused}");
    });
}

/// Whether Intel made the processor that this runs on. Asked of itself, as the provider does: one that is played answers too.
fn is_intel() -> bool {
    let maker = std::arch::x86_64::__cpuid(0);
    [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

/// Intel's provider offers a device on Intel's processors alone. On another one this runs on an emulated one of theirs, if QEMU is
/// there; without it, what is left to see is that there is no device.
#[test]
fn an_npu_answers_as_the_processor_does() {
    let name = "an_npu_answers_as_the_processor_does";
    // Otherwise it computes with 16 bits where the processor can.
    let environment = [("ONEDNN_MAX_CPU_ISA", PathBuf::from("AVX2"))];
    let work = || {
        let engine = OrtEngine::open_with(&with_openvino()).unwrap();
        if !is_intel() {
            assert!(!has_emulator(), "this is the emulated one");
            return assert_no_npu(&engine);
        }
        assert!(engine.accelerators().contains(&Accelerator::Npu));
        for model in &manifest().models {
            let (model, file) = model_for(&engine, model);
            let wanted = engine.load(&file, CPU).unwrap().run(&[wave(&model)]).unwrap();
            let mut session = engine.load(&file, NPU).unwrap();
            assert_eq!((session.accelerator_ran(), session.placement()), (Accelerator::Npu, Placement::Whole));
            let found = session.run(&[wave(&model)]).unwrap();
            let difference = largest_difference((&model, &wanted), (&model, &found));
            assert!(difference <= model.tolerance.unwrap().tensor_abs, "{}: {difference}", model.id);
        }
    };
    if !is_intel() && has_emulator() {
        in_child_on("Skylake-Client", name, &environment, work);
    } else {
        in_child(name, &environment, work);
    }
}

fn assert_no_npu(engine: &OrtEngine) {
    assert!(!engine.accelerators().contains(&Accelerator::Npu));
    for model in &manifest().models {
        let refused = engine.load(&model_for(engine, model).1, NPU).err().unwrap();
        assert_eq!(refused, EngineError::NoAccelerator { accelerator: Accelerator::Npu });
    }
}

#[test]
fn a_provider_without_its_device_says_so() {
    let name = "a_provider_without_its_device_says_so";
    let work = || {
        let engine = OrtEngine::open_with(&with_openvino()).unwrap();
        if !is_intel() {
            assert_no_npu(&engine);
        }
    };
    if is_intel() && has_emulator() {
        in_child_on("EPYC", name, &[], work);
    } else {
        in_child(name, &[], work);
    }
}

#[test]
fn a_provider_that_is_none_is_a_typed_error_and_the_processor_still_runs() {
    in_child("a_provider_that_is_none_is_a_typed_error_and_the_processor_still_runs", &[], || {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libprovider.so");
        std::fs::write(&text, "not a library").unwrap();
        for library in [text, folder.path().join("nothing.so"), common::library()] {
            let mut libraries: OrtLibraries = with_webgpu();
            libraries.providers[0].library = library;
            assert!(matches!(OrtEngine::open_with(&libraries), Err(EngineError::Library { .. })));
        }
        // Without a device to be found, the provider has none.
        let engine = OrtEngine::open_with(&with_webgpu()).unwrap();
        let file = file(folder.path(), &layers());
        let refused = engine.load(&file, GPU).err().unwrap();
        assert!(matches!(refused, EngineError::NoAccelerator { .. } | EngineError::NotPlaced { .. }), "{refused}");
        engine.load(&file, CPU).unwrap().run(&[input()]).unwrap();
    });
}
