//! Where the fetched library and models are.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

use snaptrak_domain::engine::{Accelerator, LoadOptions};
use snaptrak_inference::{Manifest, OrtEngine};
use std::path::{Path, PathBuf};

pub const CPU: LoadOptions = LoadOptions { accelerator: Accelerator::Cpu, threads: 2 };

pub fn cache() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    std::env::var_os("SNAPTRAK_CACHE").map_or_else(default, PathBuf::from)
}

/// The runtime's library; a test that needs it fails without it.
pub fn library() -> PathBuf {
    let found = std::fs::read_dir(cache().join("runtime")).ok().and_then(|files| {
        let names = files.filter_map(Result::ok).map(|file| file.path());
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime")).max()
    });
    found.unwrap_or_else(|| panic!("there is no ONNX Runtime in {}: run `cargo xtask models` first", cache().display()))
}

pub fn models() -> PathBuf {
    let folder = cache().join("models");
    assert!(folder.join("manifest.json").exists(), "there are no models: run `cargo xtask models` first");
    folder
}

pub fn manifest() -> Manifest {
    Manifest::load(&models()).unwrap()
}

pub fn engine() -> OrtEngine {
    OrtEngine::open(&library()).unwrap()
}
