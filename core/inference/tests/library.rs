//! Libraries that are none. A process of its own, since the first library that loads stays.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::library;
use snaptrak_domain::{ReasonCode, engine::EngineError};
use snaptrak_inference::OrtEngine;
use std::path::PathBuf;

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
    if let Some(other) = another_library() {
        let refused = OrtEngine::open(&other).unwrap_err();
        assert!(matches!(refused, EngineError::Library { .. }), "{refused}");
    }
    OrtEngine::open(&library()).unwrap();
}

/// A real library that is not ONNX Runtime.
fn another_library() -> Option<PathBuf> {
    ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}
