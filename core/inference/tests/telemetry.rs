//! The official library writes below the home folder unless it is told not to before it is loaded. A process of its own
//! loads it with an empty home folder, runs a model, and the folder must still be empty.
#![allow(clippy::unwrap_used)]

mod common;

use snaptrak_domain::engine::{Engine as _, Tensor};
use snaptrak_inference::verify;
use std::{path::Path, process::Command};

/// Set in the child only.
const CHILD: &str = "SNAPTRAK_TELEMETRY_CHILD";

#[test]
fn no_file_appears_below_the_home_folder() {
    if std::env::var_os(CHILD).is_some() {
        load_and_run();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["no_file_appears_below_the_home_folder", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .env("HOME", home.path())
        .env("SNAPTRAK_CACHE", common::cache().canonicalize().unwrap())
        .env_remove("ORT_DISABLE_TELEMETRY")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(files_below(home.path()), Vec::<String>::new());
}

fn load_and_run() {
    let engine = common::engine();
    let manifest = common::manifest();
    let model = &manifest.models[0];
    let file = verify(&common::models(), model, model.variant_for("ort").unwrap()).unwrap();
    let contract = &model.inputs[0];
    let values = contract.shape.iter().product();
    let input = Tensor { name: contract.name.clone(), shape: contract.shape.clone(), data: vec![0.0; values] };
    engine.load(&file, common::CPU).unwrap().run(&[input]).unwrap();
}

fn files_below(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            let below = if path.is_dir() { files_below(&path) } else { Vec::new() };
            std::iter::once(path.display().to_string()).chain(below)
        })
        .collect()
}
