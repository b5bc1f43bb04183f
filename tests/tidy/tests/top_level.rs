//! What may stand at the top level, and that each crate's README is its front page.

use snaptrak_tidy::{files, has_extension, root, text};
use std::collections::BTreeSet;

const ALLOWED: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitattributes",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Package.swift",
    "README.md",
    "android",
    "bindings",
    "clippy.toml",
    "core",
    "deny.toml",
    "ios",
    "models",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "xtask",
];

#[test]
fn the_top_level_holds_nothing_else() {
    let found: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| file.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned()))
        .collect();
    let strangers: Vec<&String> = found.iter().filter(|name| !ALLOWED.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "not of the top level: {strangers:?}");
}

#[test]
fn each_crate_has_its_readme_as_front_page() {
    for manifest in files().iter().filter(|file| file.ends_with("Cargo.toml") && file.starts_with("core")) {
        let folder = root().join(manifest.parent().expect("a manifest has a folder"));
        assert!(folder.join("README.md").is_file(), "{} has no README.md", folder.display());
        let front = std::fs::read_to_string(folder.join("src/lib.rs")).expect("a core crate has a lib.rs");
        assert!(front.contains("include_str!(\"../README.md\")"), "{} does not show its README", folder.display());
    }
}

#[test]
fn no_weights_or_build_outputs_are_committed() {
    for file in files() {
        for extension in ["onnx", "tflite", "so", "dylib", "a", "jar", "class", "whl", "pth", "bin"] {
            assert!(!has_extension(&file, extension), "{} is a build output or weights", file.display());
        }
        let bytes = std::fs::metadata(root().join(&file)).expect("a tracked file is there").len();
        assert!(bytes < 2_000_000, "{} has {bytes} bytes: fetch it by digest instead", file.display());
    }
}

#[test]
fn an_ignored_test_says_why() {
    let bare = concat!("#[", "ignore", "]");
    for file in files().iter().filter(|file| has_extension(file, "rs")) {
        let source = text(file).unwrap_or_default();
        assert!(!source.contains(bare), "{} ignores a test without a reason", file.display());
    }
}
