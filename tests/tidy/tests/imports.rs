//! Imports point one way: `domain <- seal <- {store, sync}`, `cipher <- store`, `domain <- inference <- {vision, knowledge}`, all of them
//! `<- sdk <- {ffi, cli}`. The reference server stands on the formats alone, so that it cannot lean on the client.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// What each crate of ours may import in its shipped code.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("snaptrak-domain", &[] as &[&str]),
        ("snaptrak-seal", &["snaptrak-domain"]),
        ("snaptrak-cipher", &[]),
        ("snaptrak-store", &["snaptrak-domain", "snaptrak-seal", "snaptrak-cipher"]),
        ("snaptrak-sync", &["snaptrak-domain", "snaptrak-seal"]),
        ("snaptrak-inference", &["snaptrak-domain"]),
        ("snaptrak-vision", &["snaptrak-domain", "snaptrak-inference"]),
        (
            "snaptrak",
            &[
                "snaptrak-domain",
                "snaptrak-seal",
                "snaptrak-store",
                "snaptrak-sync",
                "snaptrak-inference",
                "snaptrak-vision",
            ],
        ),
        ("snaptrak-cli", &["snaptrak"]),
        ("snaptrak-ffi", &["snaptrak"]),
        ("snaptrak-bindgen", &[]),
        // Of the cipher nothing but its symbol, as in the end-to-end tests: the workspace has one SQLite, which asks for it.
        ("snaptrak-server", &["snaptrak-domain", "snaptrak-seal", "snaptrak-cipher"]),
        ("snaptrak-testkit", &["snaptrak-domain", "snaptrak-seal"]),
        ("snaptrak-driver", &[]),
        ("snaptrak-e2e", &["snaptrak-driver", "snaptrak-cipher"]),
        ("snaptrak-faults", &["snaptrak-driver"]),
        (
            "snaptrak-bench",
            &[
                "snaptrak-domain",
                "snaptrak-inference",
                "snaptrak-seal",
                "snaptrak-store",
                "snaptrak-testkit",
                "snaptrak",
            ],
        ),
        ("snaptrak-probe", &["snaptrak", "snaptrak-ffi"]),
        ("snaptrak-flips", &["snaptrak-domain", "snaptrak-store", "snaptrak-testkit"]),
        ("snaptrak-tidy", &[]),
        ("xtask", &["snaptrak-driver"]),
    ])
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata works offline without dependencies");
    let names: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let allowed = allowed();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(may_import) = allowed.get(package.name.as_str()) else {
            wrong.push(format!("{} has no row in this test: say what it may import", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| names.contains(&dependency.name)) {
            // Development dependencies may reach the testkit and the server; only shipped code has a direction.
            if dependency.kind == DependencyKind::Normal && !may_import.contains(&dependency.name.as_str()) {
                wrong.push(format!("{} imports {}", package.name, dependency.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_core_knows_no_binding_generator() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata works offline without dependencies");
    for package in metadata.packages.iter().filter(|package| package.manifest_path.as_str().contains("/core/")) {
        assert!(
            !package.dependencies.iter().any(|dependency| dependency.name.starts_with("uniffi")),
            "{} depends on uniffi: bindings/ffi is its only room",
            package.name
        );
    }
}
