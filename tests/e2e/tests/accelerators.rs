//! Accelerators as an app meets them: chosen by themselves, explained, and left alone once they brought the process down.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snaptrak_driver::Station;
use std::{fs, os::unix::process::ExitStatusExt as _, process::Command};

const SEGMENTATION_FAULT: i32 = 11;

/// The entries of `snaptrak accelerators` for one accelerator.
fn explained(station: &Station, accelerator: &str) -> Vec<Value> {
    let report = station.client.tell(&["accelerators"]).unwrap();
    assert_eq!((&report["schema"], &report["notes"]), (&json!("snaptrak.accelerators/1"), &json!([])));
    let entries = report["accelerators"].as_array().unwrap().clone();
    entries.into_iter().filter(|entry| entry["accelerator"] == accelerator).collect()
}

fn findings(station: &Station, id: &str) -> Vec<Value> {
    station.client.tell(&["show", id]).unwrap()["findings"].as_array().unwrap().clone()
}

#[test]
fn what_a_machine_lacks_is_explained_and_the_processor_answers() {
    let station = Station::new().unwrap();
    assert_eq!(explained(&station, "gpu"), [] as [Value; 0], "nothing is measured before it is asked for");
    let captured = station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    assert_eq!(station.client.tell(&["analyse"]).unwrap()["analysed"], 1);
    for finding in findings(&station, &captured[0].id) {
        assert_eq!((&finding["accelerator_asked"], &finding["accelerator_ran"]), (&json!("auto"), &json!("cpu")));
    }
    for accelerator in ["npu", "gpu"] {
        let entries = explained(&station, accelerator);
        assert_eq!(entries.len(), 2, "one for each model");
        for entry in entries {
            assert_eq!((&entry["engine"], &entry["place"]), (&json!("ort"), &json!("foreground")));
            assert_eq!((&entry["verdict"], &entry["code"]), (&json!("unusable"), &json!("not_offered")));
            assert_eq!((&entry["strikes"], &entry["run_ms"]), (&json!(0), &Value::Null));
            assert!(entry["retry_at_ms"].as_i64() > entry["since_ms"].as_i64());
            assert_eq!(entry["retry_on"], json!(["library", "device", "driver", "model"]));
            assert!(entry["library"].as_str().unwrap().starts_with("onnxruntime 1."));
            assert_eq!(entry["model_sha256"].as_str().unwrap().len(), 64);
        }
    }
    let behind = station.client.tell(&["accelerators", "--try", "--background"]).unwrap();
    assert_eq!(behind["accelerators"].as_array().unwrap().len(), 8, "behind has verdicts of its own");
    let words = station.client.command_for_a_person(&["accelerators"]).output().unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("gpu (behind)") && words.contains("tried again"), "{words}");
    let forgotten = station.client.tell(&["accelerators", "--forget"]).unwrap();
    assert_eq!(forgotten["accelerators"], json!([]));
}

/// LiteRT with a GPU's library beside it whose loading ends the process.
fn with_a_plug_in_that_crashes(station: &Station) -> String {
    let folder = station.path("litert");
    fs::create_dir(&folder).unwrap();
    let code = folder.join("crash.c");
    fs::write(&code, "__attribute__((constructor)) static void crash(void) { *(volatile int *)0 = 1; }\n").unwrap();
    let plug_in = folder.join("libLiteRtWebGpuAccelerator.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&plug_in, &code]).status().unwrap();
    assert!(built.success());
    let library = folder.join("libLiteRt.so");
    fs::copy(station.cache.folder().join("runtime/litert/libLiteRt.so"), &library).unwrap();
    library.to_str().unwrap().to_owned()
}

fn analyse<'a>(library: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--tflite-library", library, "analyse", "--engine", "tflite"], more].concat()
}

#[test]
fn a_plug_in_that_kills_the_process_does_so_twice_and_no_more() {
    let station = Station::new().unwrap();
    let picture = station.cache.picture("astronaut.png").unwrap();
    let library = with_a_plug_in_that_crashes(&station);
    // What the processor says, asked for by name.
    let judged = station.capture(&[&picture]).unwrap();
    assert_eq!(station.client.tell(&analyse(&library, &["--accelerator", "cpu"])).unwrap()["analysed"], 1);
    let boxes = |id: &str| findings(&station, id).iter().map(|finding| finding["boxes"].clone()).collect::<Vec<_>>();
    let wanted = boxes(&judged[0].id);

    let captured = station.capture(&[&picture]).unwrap();
    for death in 1..=2 {
        let ended = station.client.command(&analyse(&library, &[])).current_dir(station.folder()).output().unwrap();
        assert_eq!(ended.status.signal(), Some(SEGMENTATION_FAULT), "{death}: {}", ended.status);
    }
    let report = station.client.tell(&analyse(&library, &[])).unwrap();
    assert_eq!((&report["analysed"], &report["left"]), (&json!(1), &json!(0)), "{report}");
    assert_eq!(boxes(&captured[0].id), wanted);
    for finding in findings(&station, &captured[0].id) {
        assert_eq!((&finding["accelerator_asked"], &finding["accelerator_ran"]), (&json!("auto"), &json!("cpu")));
    }
    // The model of which it died; the others are not tried there, or each would cost two deaths again.
    let entries = explained(&station, "gpu");
    assert_eq!(entries.len(), 1);
    let condemned = &entries[0];
    assert_eq!((&condemned["verdict"], &condemned["code"]), (&json!("condemned"), &json!("died")));
    assert_eq!(condemned["strikes"], 2);

    station.capture(&[&picture]).unwrap();
    assert_eq!(station.client.tell(&analyse(&library, &[])).unwrap()["analysed"], 1, "and never again");
    assert_eq!(station.client.tell(&["verify"]).unwrap()["chain_ok"], true);
}

#[test]
fn one_that_was_asked_for_by_name_and_kills_the_process_is_refused_after_two_deaths() {
    let station = Station::new().unwrap();
    station.capture(&[station.cache.picture("astronaut.png").unwrap()]).unwrap();
    let library = with_a_plug_in_that_crashes(&station);
    let named = analyse(&library, &["--accelerator", "gpu"]);
    for deaths in 1..=2 {
        let ended = station.client.command(&named).current_dir(station.folder()).output().unwrap();
        assert_eq!(ended.status.signal(), Some(SEGMENTATION_FAULT), "{deaths}: {}", ended.status);
        assert_eq!(explained(&station, "gpu")[0]["strikes"], deaths);
    }
    let refused = station.client.ask(&named).unwrap();
    assert_eq!((refused.code, &refused.json["code"]), (1, &json!("engine_missing")), "{}", refused.json);
    assert!(refused.json["message"].as_str().unwrap().contains("verdict died"), "{}", refused.json);
    assert_eq!(explained(&station, "gpu")[0]["code"], "died");
    assert_eq!(station.client.tell(&analyse(&library, &[])).unwrap()["analysed"], 1, "the processor is there");
}
