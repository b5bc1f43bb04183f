//! One picture on each engine: the same is found, and `show` says which engine found it.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::Station;

/// What `show` says of a picture that this engine analysed.
fn findings(engine: &[&str]) -> Vec<Value> {
    let station = Station::new().unwrap();
    let captured = station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    let report = station.client.tell(&[&["analyse"], engine].concat()).unwrap();
    assert_eq!((&report["analysed"], &report["left"]), (&json!(1), &json!(0)), "{report}");
    let shown = station.client.tell(&["show", &captured[0].id]).unwrap();
    shown["findings"].as_array().unwrap().clone()
}

#[test]
fn both_engines_find_the_same_and_the_first_is_the_default() {
    let (default, ort) = (findings(&[]), findings(&["--engine", "ort"]));
    let tflite = findings(&["--engine", "tflite", "--accelerator", "cpu"]);
    assert_eq!((default.len(), ort.len(), tflite.len()), (2, 2, 2));
    for ((default, ort), tflite) in default.iter().zip(&ort).zip(&tflite) {
        assert_eq!(default["engine"], ort["engine"]);
        assert!(ort["engine"].as_str().unwrap().starts_with("onnxruntime 1."), "{}", ort["engine"]);
        assert_eq!(tflite["engine"], "litert 2.3");
        assert_eq!((&tflite["model_id"], &tflite["task"]), (&ort["model_id"], &ort["task"]));
        assert_ne!(tflite["model_sha256"], ort["model_sha256"], "each has its own file");
        assert_eq!((&tflite["accelerator_asked"], &tflite["accelerator_ran"]), (&json!("cpu"), &json!("cpu")));
        let (theirs, ours) = (ort["boxes"].as_array().unwrap(), tflite["boxes"].as_array().unwrap());
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours["label"], theirs["label"]);
            let difference = (ours["score"].as_f64().unwrap() - theirs["score"].as_f64().unwrap()).abs();
            assert!(difference < 0.01, "{ours} {theirs}");
        }
    }
    assert!(default.iter().any(|finding| !finding["boxes"].as_array().unwrap().is_empty()), "something was found");
}

#[test]
fn an_accelerator_that_this_machine_lacks_is_said_and_everything_waits() {
    let station = Station::new().unwrap();
    station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    let answer = station.client.ask(&["analyse", "--engine", "tflite", "--accelerator", "npu"]).unwrap();
    assert_eq!((answer.code, &answer.json["code"]), (1, &json!("engine_missing")), "{}", answer.json);
    assert_eq!(station.client.tell(&["status"]).unwrap()["parked"], json!([]));
    let report = station.client.tell(&["analyse", "--engine", "tflite"]).unwrap();
    assert_eq!(report["analysed"], 1);
}
