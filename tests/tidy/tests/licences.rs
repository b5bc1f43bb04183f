//! Licences and bans of `deny.toml`, checked against what cargo resolved. Advisories need a feed and are left to public CI.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use serde::Deserialize;
use snaptrak_tidy::root;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
    #[serde(default)]
    wrappers: Vec<String>,
    reason: String,
}

fn rules() -> Deny {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    toml::from_str(&text).expect("deny.toml has lists of licences and bans")
}

fn metadata() -> Metadata {
    MetadataCommand::new().exec().expect("cargo metadata resolves the lock file")
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let licences = rules().licenses;
    let allowed: BTreeSet<String> = licences.allow.into_iter().collect();
    let exceptions: BTreeMap<String, Vec<String>> =
        licences.exceptions.into_iter().map(|exception| (exception.name, exception.allow)).collect();
    let mut wrong = Vec::new();
    for package in metadata().packages {
        let Some(licence) = &package.license else {
            wrong.push(format!("{} names no licence", package.name));
            continue;
        };
        let expression = match spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => {
                wrong.push(format!("{}: {licence}: {error}", package.name));
                continue;
            }
        };
        let excepted = exceptions.get(package.name.as_str());
        let is_allowed = |name: String| allowed.contains(&name) || excepted.is_some_and(|list| list.contains(&name));
        if !expression.evaluate(|requirement| is_allowed(requirement.to_string())) {
            wrong.push(format!("{}: {licence}", package.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_banned_crate_is_resolved() {
    let metadata = metadata();
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let graph = metadata.resolve.as_ref().expect("metadata with dependencies has a graph");
    for ban in rules().bans.deny {
        for node in &graph.nodes {
            for dependency in &node.deps {
                let parent = names[&node.id];
                let is_it = names[&dependency.pkg] == ban.name;
                let shipped = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
                assert!(
                    !is_it || !shipped || ban.wrappers.iter().any(|wrapper| wrapper == parent),
                    "{parent} brings {}: {}",
                    ban.name,
                    ban.reason
                );
            }
        }
    }
}
