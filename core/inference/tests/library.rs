//! Libraries that are none. A process of its own, since the first library that loads stays.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{built, library};
use snaptrak_domain::{ReasonCode, engine::EngineError};
use snaptrak_inference::OrtEngine;

#[test]
fn a_library_that_is_none_is_a_typed_error_and_leaves_room_for_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "not a library").unwrap();
    for path in [folder.path().join("nothing.so"), text, folder.path().to_owned()] {
        let refused = OrtEngine::open(&path).unwrap_err();
        assert!(matches!(refused, EngineError::Library { .. }), "{}", path.display());
        assert_eq!(refused.reason().code, ReasonCode::EngineMissing);
    }
    // Libraries that load: no ONNX Runtime, too old, of another generation, and one whose version lies.
    for (source, expected) in [
        ("int nothing;", "not ONNX Runtime"),
        (&*runtime("0", "1.99.0"), "not ONNX Runtime"),
        (&runtime("&base", "1.17.3"), "this is version 1.17.3"),
        (&runtime("&base", "2.0.0"), "this is version 2.0.0"),
        (&runtime("&base", "nonsense"), "this is version nonsense"),
        (&runtime("&base", "1.99.0"), "this is version 1.99.0"),
    ] {
        let refused = OrtEngine::open(&built(folder.path(), source)).unwrap_err();
        assert!(matches!(&refused, EngineError::Library { detail } if detail.contains(expected)), "{refused}");
    }
    OrtEngine::open(&library()).unwrap();
}

/// A library with ONNX Runtime's one symbol, which gives out no API.
fn runtime(base: &str, version: &str) -> String {
    format!(
        "static const void *api(unsigned version) {{ return 0; }}
         static const char *text(void) {{ return \"{version}\"; }}
         static const struct {{ const void *(*api)(unsigned); const char *(*text)(void); }} base = {{ api, text }};
         const void *OrtGetApiBase(void) {{ return {base}; }}"
    )
}
