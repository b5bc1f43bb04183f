//! The command line on every accelerator that this machine can stand in for: a GPU in software (SwiftShader), and Intel's NPU
//! libraries with their graphs on the processor. What is found there is what the processor finds.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};
use snaptrak_driver::{Client, Station};
use std::path::PathBuf;

const FACES: &str = "blazeface_back";

/// What stands in for a device.
fn device(station: &Station, name: &str) -> PathBuf {
    let folder = station.cache.folder().join("devices").join(name);
    assert!(folder.is_dir(), "there is no {}: run `cargo xtask models devices` first", folder.display());
    folder.canonicalize().unwrap()
}

fn on_swiftshader(station: &Station) -> Client {
    let folder = device(station, "swiftshader");
    let client = station.client.clone().with_environment("LD_LIBRARY_PATH", &folder);
    client.with_environment("VK_ICD_FILENAMES", folder.join("vk_swiftshader_icd.json"))
}

/// Its libraries compute with 16 bits on a processor that can, unless they are told that it cannot.
fn on_openvino(station: &Station) -> Client {
    let client = station.client.clone().with_environment("LD_LIBRARY_PATH", device(station, "openvino"));
    client.with_environment("ONEDNN_MAX_CPU_ISA", "AVX2")
}

fn webgpu(station: &Station, layout: &str) -> Vec<String> {
    let library = device(station, "ort-webgpu").join("libonnxruntime_providers_webgpu.so");
    let provider = format!("WebGpuExecutionProvider:gpu={}", library.display());
    let told = format!("WebGpuExecutionProvider:preferredLayout={layout}");
    let words = ["--runtime-provider", &provider, "--runtime-option", &told];
    [&words[..], &["--runtime-stand-in", "WebGpuExecutionProvider"]].concat().iter().map(ToString::to_string).collect()
}

fn intel(station: &Station) -> Vec<String> {
    let folder = station.cache.folder().join("runtime/litert/intel").canonicalize().unwrap();
    let at = |part: &str| folder.join(part).display().to_string();
    let (compiler, dispatch) = (at("compiler"), at("dispatch"));
    let words = ["--tflite-npu-compiler", &compiler, "--tflite-npu-dispatch", &dispatch];
    let told = ["--tflite-npu-option", "intel_openvino=graph.0.graph_backend = 0"];
    [&words[..], &told].concat().iter().map(ToString::to_string).collect()
}

/// The face that is found in a new capture of a person.
fn face(station: &Station, client: &Client, options: &[String], (engine, accelerator): (&str, &str)) -> Value {
    let captured = station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    let words = ["analyse", "--engine", engine, "--accelerator", accelerator, "--model", FACES];
    let words: Vec<&str> = options.iter().map(String::as_str).chain(words).collect();
    assert_eq!(client.tell(&words).unwrap()["analysed"], 1);
    let shown = station.client.tell(&["show", &captured[0].id]).unwrap();
    let [finding] = &shown["findings"].as_array().unwrap()[..] else { panic!("{shown}") };
    let went = (&finding["accelerator_asked"], &finding["accelerator_ran"]);
    assert_eq!(went, (&json!(accelerator), &json!(accelerator)), "{finding}");
    let [face] = &finding["boxes"].as_array().unwrap()[..] else { panic!("{finding}") };
    face.clone()
}

/// Within a pixel of the picture, and a hundredth of the score.
fn assert_same(found: &Value, wanted: &Value) {
    assert_eq!(found["label"], wanted["label"]);
    for (field, within) in [("x", 1.0), ("y", 1.0), ("w", 1.0), ("h", 1.0), ("score", 0.01)] {
        let difference = (found[field].as_f64().unwrap() - wanted[field].as_f64().unwrap()).abs();
        assert!(difference <= within, "{field}: {found} {wanted}");
    }
}

#[test]
fn onnx_runtime_finds_on_a_gpu_what_it_finds_on_the_processor() {
    let station = Station::new().unwrap();
    // Its provider leaves devices in software alone unless it is told otherwise.
    let gpu = on_swiftshader(&station).with_environment("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1");
    let wanted = face(&station, &station.client, &[], ("ort", "cpu"));
    assert_same(&face(&station, &gpu, &webgpu(&station, "NCHW"), ("ort", "gpu")), &wanted);

    station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    let no_layout = webgpu(&station, "sideways");
    let words = ["analyse", "--accelerator", "gpu", "--model", FACES];
    let words: Vec<&str> = no_layout.iter().map(String::as_str).chain(words).collect();
    let refused = gpu.ask(&words).unwrap();
    assert_eq!((refused.code, &refused.json["code"]), (1, &json!("engine_missing")), "the option is its to read");
}

#[test]
fn litert_finds_on_a_gpu_and_an_npu_what_it_finds_on_the_processor() {
    let station = Station::new().unwrap();
    let wanted = face(&station, &station.client, &[], ("tflite", "cpu"));
    assert_same(&face(&station, &on_swiftshader(&station), &[], ("tflite", "gpu")), &wanted);
    assert_same(&face(&station, &on_openvino(&station), &intel(&station), ("tflite", "npu")), &wanted);
}

#[test]
fn what_was_measured_on_a_device_is_explained() {
    let station = Station::new().unwrap();
    let words = ["accelerators", "--try", "--engine", "tflite", "--model", FACES];
    let options = intel(&station);
    let with_npu: Vec<&str> = options.iter().map(String::as_str).chain(words).collect();
    for (client, words, accelerator) in
        [(on_swiftshader(&station), &words[..], "gpu"), (on_openvino(&station), &with_npu, "npu")]
    {
        client.tell(&["accelerators", "--forget"]).unwrap();
        let report = client.tell(words).unwrap();
        let mut entries = report["accelerators"].as_array().unwrap().iter();
        let entry = entries.find(|entry| entry["accelerator"] == accelerator).unwrap();
        // As quick as this machine is at the moment.
        assert!(["slow", "usable"].contains(&entry["code"].as_str().unwrap()), "{entry}");
        assert!(entry["run_ms"].as_f64() > Some(0.0) && entry["cpu_ms"].as_f64() > Some(0.0), "{entry}");
        let difference = entry["difference"].as_f64().unwrap();
        assert!(difference > 0.0 && difference < 0.01, "it ran elsewhere, and rightly: {entry}");
    }
}

#[test]
fn what_an_analysis_cannot_have_is_said_by_name() {
    let station = Station::new().unwrap();
    station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    let refused = |words: &[&str]| {
        let answer = station.client.ask(&[words, &["analyse"]].concat()).unwrap();
        assert_eq!(answer.code, 1, "{}", answer.json);
        answer.json
    };
    let provider = refused(&["--runtime-provider", "Web:gpu=/nowhere/libweb.so"]);
    assert_eq!(provider["code"], "engine_missing");
    assert!(provider["message"].as_str().unwrap().contains("/nowhere/libweb.so"), "{provider}");
    assert_eq!(refused(&["--model-bytes-max", "1"])["code"], "model_missing");
    assert_eq!(station.client.tell(&["analyse"]).unwrap()["analysed"], 1, "it waited");
}
