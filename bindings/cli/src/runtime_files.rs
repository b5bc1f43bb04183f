//! Where the inference library and the models are, when nobody says.
//!
//! `cargo xtask models` puts them into `.cache` at the root of the repository, and the program usually lies in `target` of
//! the same repository: so the folders above the program are searched, unless `SNAPTRAK_CACHE` names the cache. The current
//! folder is not: a library that happens to lie in a folder of evidence must not be run.

use std::{
    fs,
    path::{Path, PathBuf},
};

const CACHE_VARIABLE: &str = "SNAPTRAK_CACHE";
const CACHE: &str = ".cache";
const LIBRARY: &str = "libonnxruntime.";
/// Libraries that run TFLite models, the better one first.
const TFLITE_LIBRARIES: [&str; 2] = ["runtime/litert/libLiteRt.so", "runtime/tensorflow-lite/libtensorflowlite_c.so"];

/// Cache folders, nearest first.
pub(crate) fn caches() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os(CACHE_VARIABLE).filter(|value| !value.is_empty()) {
        return vec![named.into()];
    }
    let program = std::env::current_exe().and_then(fs::canonicalize);
    program.map(|program| above(&program)).unwrap_or_default()
}

fn above(program: &Path) -> Vec<PathBuf> {
    program.ancestors().skip(1).map(|folder| folder.join(CACHE)).collect()
}

/// The folder of models in the first cache that has one.
pub(crate) fn models(caches: &[PathBuf]) -> Option<PathBuf> {
    caches.iter().map(|cache| cache.join("models")).find(|folder| folder.join("manifest.json").is_file())
}

/// The inference library in the first cache that has one; of several the last by name.
pub(crate) fn runtime_library(caches: &[PathBuf]) -> Option<PathBuf> {
    caches.iter().find_map(|cache| {
        let entries = fs::read_dir(cache.join("runtime")).ok()?;
        entries.flatten().map(|entry| entry.path()).filter(|path| is_library(path)).max()
    })
}

/// The library for TFLite models in the first cache that has one.
pub(crate) fn tflite_library(caches: &[PathBuf]) -> Option<PathBuf> {
    let mut libraries = caches.iter().flat_map(|cache| TFLITE_LIBRARIES.map(|library| cache.join(library)));
    libraries.find(|library| library.is_file())
}

fn is_library(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let named = name.starts_with(LIBRARY);
    let shared = name.contains(".so") || name.ends_with(".dylib");
    named && shared && path.is_file()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_nearest_cache_with_the_file_wins() {
        let root = tempfile::tempdir().unwrap();
        let far = root.path().join("a/.cache");
        fs::create_dir_all(far.join("models")).unwrap();
        fs::create_dir_all(far.join("runtime")).unwrap();
        fs::write(far.join("models/manifest.json"), "{}").unwrap();
        for name in ["libonnxruntime.so.1.30.0", "libonnxruntime.so.1.31.1", "libonnxruntime.txt", "libother.so"] {
            fs::write(far.join("runtime").join(name), "").unwrap();
        }
        let caches = above(&root.path().join("a/target/debug/snaptrak"));
        assert_eq!(models(&caches), Some(far.join("models")));
        assert_eq!(runtime_library(&caches), Some(far.join("runtime/libonnxruntime.so.1.31.1")));
        assert_eq!(tflite_library(&caches), None);
        for library in TFLITE_LIBRARIES.iter().rev() {
            fs::create_dir_all(far.join(library).parent().unwrap()).unwrap();
            fs::write(far.join(library), "").unwrap();
            assert_eq!(tflite_library(&caches), Some(far.join(library)));
        }
        assert_eq!(models(&[root.path().join("nothing")]), None);
    }
}
