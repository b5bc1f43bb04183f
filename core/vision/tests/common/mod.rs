//! Where the fetched library, models and pictures are, and an analyser on them.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

use snaptrak_domain::engine::Engine;
use snaptrak_inference::{Manifest, OrtEngine, TfliteEngine};
use snaptrak_vision::{Analyser, AnalyserOptions, MonotonicMsFn};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub fn cache() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    std::env::var_os("SNAPTRAK_CACHE").map_or_else(default, PathBuf::from)
}

/// A shipped picture; a test that needs it fails without it.
pub fn picture(name: &str) -> Vec<u8> {
    let path = cache().join("pictures").join(name);
    std::fs::read(&path).unwrap_or_else(|_| panic!("there is no {}: run `cargo xtask pictures` first", path.display()))
}

pub fn models() -> PathBuf {
    let folder = cache().join("models");
    assert!(folder.join("manifest.json").exists(), "there are no models: run `cargo xtask models` first");
    folder
}

pub fn engine() -> OrtEngine {
    let found = std::fs::read_dir(cache().join("runtime")).ok().and_then(|files| {
        let names = files.filter_map(Result::ok).map(|file| file.path());
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime")).max()
    });
    let library = found.unwrap_or_else(|| panic!("there is no ONNX Runtime: run `cargo xtask models` first"));
    OrtEngine::open(&library).unwrap()
}

/// A clock that goes one millisecond a look.
pub fn ticking() -> MonotonicMsFn {
    let ticks = std::sync::atomic::AtomicU64::new(0);
    Arc::new(move || ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64)
}

pub fn analyser() -> Analyser {
    analyser_on(&engine())
}

pub fn analyser_on(engine: &dyn Engine) -> Analyser {
    let manifest = Manifest::load(&models()).unwrap();
    Analyser::new(engine, &manifest, &models(), &AnalyserOptions::default(), ticking()).unwrap()
}

/// The libraries that run TFLite models: LiteRT and TensorFlow Lite.
pub fn tflite_engines() -> [TfliteEngine; 2] {
    ["litert/libLiteRt.so", "tensorflow-lite/libtensorflowlite_c.so"].map(|file| {
        let library = cache().join("runtime").join(file);
        assert!(library.is_file(), "there is no {}: run `cargo xtask models` first", library.display());
        TfliteEngine::open(&library).unwrap()
    })
}
