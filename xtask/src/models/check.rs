//! `cargo xtask models check`: every model on every engine and accelerator that this machine has or can stand in for.
//!
//! Owns: which paths there are, and the table. Running a model is the inference crate's business (its example
//! `check_models`); each path has a process of its own, because the environment names a device's libraries. Fails when an
//! answer is further from the reference than the manifest allows, or a path that should run does not.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::devices;
use crate::cache::{Cache, repository};
use crate::error::{Error, Result};
use crate::{process, terminal};

/// One engine's library on one accelerator.
struct Path {
    library: &'static str,
    accelerator: &'static str,
    /// Whether something stands in for the accelerator: its milliseconds say nothing of a real one.
    emulated_by: Option<&'static str>,
    /// Whether each model is run once, where the stand-in takes many seconds for it.
    once: bool,
    /// It has a device on Intel's processors alone: the one that is played for it where this one has another maker.
    on_intel: Option<&'static str>,
    /// What the process finds in its environment: names with folders of the cache or with words.
    environment: &'static [(&'static str, Value)],
}

enum Value {
    Cached(&'static str),
    Word(&'static str),
}

/// What there is no stand-in for, and why.
const NOT_RUN: [(&str, &str); 1] = [(
    "ort on cuda",
    "no package here has its provider, and no NVIDIA GPU is asked for; an app brings it as an `OrtProvider`",
)];

/// ONNX Runtime on this processor, which the others differ from.
const REFERENCE: Path =
    Path { library: "ort", accelerator: "cpu", emulated_by: None, once: false, on_intel: None, environment: &[] };

const PATHS: [Path; 7] = [
    REFERENCE,
    Path { library: "litert", ..REFERENCE },
    Path { library: "tensorflow-lite", ..REFERENCE },
    Path {
        library: "litert",
        accelerator: "gpu",
        emulated_by: Some("SwiftShader"),
        environment: &[
            ("VK_ICD_FILENAMES", Value::Cached("devices/swiftshader/vk_swiftshader_icd.json")),
            ("LD_LIBRARY_PATH", Value::Cached("devices/swiftshader")),
        ],
        ..REFERENCE
    },
    Path {
        library: "litert",
        accelerator: "npu",
        emulated_by: Some("OpenVINO on the processor"),
        environment: &[
            ("LD_LIBRARY_PATH", Value::Cached("devices/openvino")),
            // Otherwise it computes with 16 bits where the processor can.
            ("ONEDNN_MAX_CPU_ISA", Value::Word("AVX2")),
        ],
        ..REFERENCE
    },
    Path {
        accelerator: "gpu",
        emulated_by: Some("SwiftShader"),
        once: true,
        environment: &[
            ("VK_ICD_FILENAMES", Value::Cached("devices/swiftshader/vk_swiftshader_icd.json")),
            ("LD_LIBRARY_PATH", Value::Cached("devices/swiftshader")),
            ("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", Value::Word("1")),
        ],
        ..REFERENCE
    },
    Path {
        accelerator: "npu",
        emulated_by: Some("OpenVINO on the processor"),
        on_intel: Some("Skylake-Client"),
        environment: &[("ONEDNN_MAX_CPU_ISA", Value::Word("AVX2"))],
        ..REFERENCE
    },
];

impl Path {
    /// Whether it may be refused: where there is neither an Intel processor nor anything that plays one.
    fn may_lack(&self) -> bool {
        self.on_intel.is_some() && !is_intel() && process::find(EMULATOR).is_none()
    }

    /// The program on the processor that it needs, and what that is called in the table.
    fn on_its_processor(&self, program: &std::path::Path) -> (Command, String) {
        let device = self.emulated_by.map_or_else(|| "this processor".to_owned(), |by| format!("emulated: {by}"));
        let Some((played, emulator)) = self.on_intel.filter(|_| !is_intel()).zip(process::find(EMULATOR)) else {
            return (Command::new(program), device);
        };
        let mut command = Command::new(emulator);
        command.args(["-cpu", played]).arg(program);
        (command, format!("{device}, an Intel one that QEMU plays"))
    }
}

/// Plays a processor of another maker.
const EMULATOR: &str = "qemu-x86_64";

fn is_intel() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("GenuineIntel"))
}

/// What the example says of one model.
#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Ran {
        model: String,
        engine: String,
        ran: String,
        placed: String,
        difference: f64,
        /// The same, of values above 1 as a share of them: what the tolerance is about.
        share: f64,
        load_ms: f64,
        run_ms: f64,
        tolerance: f64,
    },
    Refused {
        model: String,
        engine: String,
        error: String,
    },
}

/// Prints the table; an error when an answer is too far from the reference.
pub(super) fn run(cache: &Cache) -> Result<()> {
    super::ensure(cache)?;
    crate::pictures::ensure(cache)?;
    let obstacle = devices::obstacle();
    if obstacle.is_none() {
        devices::ensure(cache)?;
    }
    let program = build()?;
    terminal::result(
        "| model | engine | asked | ran | placed | max. difference | of large values their share | load ms | run ms | device |",
    );
    terminal::result("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut wrong = Vec::new();
    for path in &PATHS {
        if let (Some(why), Some(device)) = (&obstacle, path.emulated_by) {
            terminal::progress(&format!("not run: {} on {device}: {why}", path.library));
            continue;
        }
        let (mut check, device) = path.on_its_processor(&program);
        check
            .args([path.library, path.accelerator])
            .args(path.once.then_some("once"))
            .env("SNAPTRAK_CACHE", cache.path(""));
        for (name, value) in path.environment {
            match value {
                Value::Cached(place) => check.env(name, cache.path(place)),
                Value::Word(word) => check.env(name, word),
            };
        }
        for line in process::run(&mut check)?.lines().filter(|line| line.starts_with('{')) {
            let row =
                serde_json::from_str(line).map_err(|source| Error::Description { path: program.clone(), source })?;
            terminal::result(&in_words(path, &device, &row));
            wrong.extend(what_is_wrong(path, &row));
        }
    }
    for (what, why) in NOT_RUN {
        terminal::result(&format!("not run: {what}: {why}"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Missing {
        what: format!("models did not answer as they should: {}", wrong.join("; ")),
        next: "compare with a run on another machine".to_owned(),
    })
}

/// Builds the example. Its milliseconds are the library's: our share of them is a few microseconds.
fn build() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--package", "snaptrak-inference", "--example", "check_models"]);
    process::run(cargo.env("CARGO_INCREMENTAL", "0").current_dir(repository()))?;
    Ok(crate::packages::built().join("examples/check_models"))
}

fn in_words(path: &Path, device: &str, row: &Row) -> String {
    let asked = path.accelerator;
    match row {
        Row::Ran { model, engine, ran, placed, difference, share, load_ms, run_ms, .. } => format!(
            "| {model} | {engine} | {asked} | {ran} | {placed} | {difference:.1e} | {share:.1e} | {load_ms:.0} | {run_ms:.1} | {device} |"
        ),
        Row::Refused { model, engine, error } => {
            format!("| {model} | {engine} | {asked} | refused | | | | | | {device}: {error} |")
        }
    }
}

fn what_is_wrong(path: &Path, row: &Row) -> Option<String> {
    match row {
        Row::Ran { model, ran, share, tolerance, .. } => {
            let is_well = ran == path.accelerator && share <= tolerance;
            (!is_well).then(|| format!("{model} by {} on the {ran} differs by {share}", path.library))
        }
        Row::Refused { .. } if path.may_lack() => None,
        Row::Refused { model, error, .. } => Some(format!("{model} by {}: {error}", path.library)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_answer_too_far_off_another_device_and_a_refusal_are_wrong() {
        let row = |ran: &str, difference: f64| Row::Ran {
            model: "m".into(),
            engine: "e".into(),
            ran: ran.into(),
            placed: "whole".into(),
            difference,
            share: difference,
            load_ms: 1.0,
            run_ms: 1.0,
            tolerance: 0.001,
        };
        let gpu = PATHS.iter().find(|path| path.accelerator == "gpu").unwrap();
        assert_eq!(what_is_wrong(gpu, &row("gpu", 0.0005)), None);
        assert!(what_is_wrong(gpu, &row("gpu", 0.002)).is_some());
        assert!(what_is_wrong(gpu, &row("gpu", f64::NAN)).is_some());
        assert!(what_is_wrong(gpu, &row("cpu", 0.0)).is_some());
        let refused: Row = serde_json::from_str(r#"{"model":"m","engine":"e","error":"no"}"#).unwrap();
        assert!(what_is_wrong(gpu, &refused).is_some());
        let on_intel = PATHS.iter().find(|path| path.on_intel.is_some()).unwrap();
        assert_eq!(what_is_wrong(on_intel, &refused).is_none(), on_intel.may_lack());
        let (_, device) = gpu.on_its_processor(std::path::Path::new("program"));
        assert!(in_words(gpu, &device, &row("gpu", 0.0)).contains("emulated: SwiftShader"));
    }
}
