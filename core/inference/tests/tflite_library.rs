//! Libraries that the TFLite engine does not take: what they are is known before any of their code runs.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{built, classic_library, litert_library};
use snaptrak_domain::{
    ReasonCode,
    engine::{Engine as _, EngineError},
};
use snaptrak_inference::TfliteEngine;
use std::path::Path;

/// Ends the process when the library is loaded.
const ENDS_THE_PROCESS: &str =
    "#include <stdlib.h>\n__attribute__((constructor)) static void loaded(void) { abort(); }\n";

#[test]
fn a_library_of_another_version_is_refused_before_it_runs_and_the_refusal_names_both() {
    let folder = tempfile::tempdir().unwrap();
    // 165 functions are those of LiteRT 2.2.0.
    for (functions, expected) in [(165, "table of 165 functions, and 2.3 with 169"), (170, "170"), (0, "0")] {
        let source = format!(
            "{ENDS_THE_PROCESS}
             void *kLiteRtRuntimeBuiltin[{functions}] = {{}}; int LiteRtCreateEnvironment(void) {{ return 0; }}"
        );
        refused(&built(folder.path(), &source), expected);
    }
}

#[test]
fn what_is_no_such_library_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let neither = built(folder.path(), &format!("{ENDS_THE_PROCESS} int nothing;"));
    refused(&neither, "neither LiteRT 2.3 nor");
    let wanting = format!(
        "{ENDS_THE_PROCESS} extern void *kLiteRtRuntimeBuiltin[169]; void *x(void) {{ return kLiteRtRuntimeBuiltin; }}"
    );
    refused(&built(folder.path(), &wanting), "neither LiteRT 2.3 nor");
    // Right by its table, and nothing behind it.
    refused(&built(folder.path(), "void *kLiteRtRuntimeBuiltin[169] = {};"), "LiteRtCreateEnvironment");
    refused(&built(folder.path(), "int TfLiteInterpreterCreate;"), "TfLiteVersion");
    refused(&folder.path().join("nothing.so"), "not found");
    refused(folder.path(), "");
    let whole = std::fs::read(&neither).unwrap();
    let text = folder.path().join("text.so");
    for content in [&b""[..], b"not a library", &whole[..40], &whole[..64], &whole[..whole.len() / 2]] {
        std::fs::write(&text, content).unwrap();
        refused(&text, "not a library for this system");
    }
    // Headers that point anywhere and claim any length end as an error too.
    for (at, byte) in (0..64).flat_map(|at| [(at, 0xff), (at, 0x7f), (at, 0)]) {
        let mut twisted = whole.clone();
        twisted[at] = byte;
        if twisted != whole {
            std::fs::write(&text, &twisted).unwrap();
            refused(&text, "");
        }
    }
}

#[test]
fn tensorflow_lite_of_another_generation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "ModelCreateWithErrorReporter",
        "ModelDelete",
        "InterpreterOptionsCreate",
        "InterpreterOptionsDelete",
        "InterpreterOptionsSetNumThreads",
        "InterpreterOptionsSetErrorReporter",
        "InterpreterCreate",
        "InterpreterDelete",
        "InterpreterAllocateTensors",
        "InterpreterGetInputTensorCount",
        "InterpreterGetOutputTensorCount",
        "InterpreterGetInputTensor",
        "InterpreterGetOutputTensor",
        "TensorType",
        "TensorName",
        "TensorNumDims",
        "TensorDim",
        "TensorCopyFromBuffer",
        "TensorCopyToBuffer",
        "InterpreterResizeInputTensor",
        "InterpreterInvoke",
    ];
    let functions: String = names.iter().map(|name| format!("int TfLite{name}(void) {{ return 0; }}\n")).collect();
    for version in ["1.15.0", "3.0.0", "nonsense"] {
        let source = format!("{functions} const char *TfLiteVersion(void) {{ return \"{version}\"; }}");
        refused(&built(folder.path(), &source), &format!("this is TensorFlow Lite {version}"));
    }
}

#[test]
fn the_real_ones_are_taken() {
    for library in [litert_library(), classic_library()] {
        assert_eq!(TfliteEngine::open(&library).unwrap().id(), "tflite");
    }
}

fn refused(library: &Path, expected: &str) {
    let refused = TfliteEngine::open(library).unwrap_err();
    assert!(matches!(&refused, EngineError::Library { detail } if detail.contains(expected)), "{refused}");
    assert_eq!(refused.reason().code, ReasonCode::EngineMissing);
}
