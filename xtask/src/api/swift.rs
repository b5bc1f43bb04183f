//! Swift's listing: the symbol graph that the compiler's tool-chain writes of a built module, reduced to declarations.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cache::Cache;
use crate::error::{AtPath, Error, Result};
use crate::packages::{built, swift, target};
use crate::process;

/// The package's module, and the generated one that it hands on whole.
const MODULES: [&str; 2] = ["SnapTrak", "SnapTrakGenerated"];

/// Builds the package and lists it.
pub(super) fn make(cache: &Cache) -> Result<String> {
    if let Some(why) = swift::obstacle() {
        return Err(Error::Missing { what: why, next: "list it on such a machine".to_owned() });
    }
    swift::prepare(cache)?;
    process::run(swift::test(cache, &built()).args(["--filter", "NothingIsNamedSo"]))?;
    listing(cache)
}

/// Lists what was built.
pub(super) fn listing(cache: &Cache) -> Result<String> {
    let folder = target().join("api/symbols");
    fs::create_dir_all(&folder).at(&folder)?;
    let mut lines = BTreeSet::new();
    for module in MODULES {
        let mut extract = swift::command(cache, "swift-symbolgraph-extract");
        extract.args(["-module-name", module, "-target", "x86_64-pc-linux-gnu"]);
        extract.args([
            "-minimum-access-level",
            "public",
            "-skip-synthesized-members",
            "-I",
            "target/swift/debug/Modules",
        ]);
        extract.args(["-I", "bindings/swift/Generated/SnapTrakFFI"]);
        process::run(extract.arg("-output-dir").arg(&folder))?;
        let graph = folder.join(format!("{module}.symbols.json"));
        let text = fs::read_to_string(&graph).at(&graph)?;
        let graph = serde_json::from_str(&text).map_err(|source| Error::Description { path: graph, source })?;
        lines.extend(declarations(&graph));
    }
    Ok(lines.into_iter().collect::<Vec<_>>().join("\n") + "\n")
}

/// One line for each symbol: where it is, and its declaration.
fn declarations(graph: &Value) -> impl Iterator<Item = String> {
    graph["symbols"].as_array().into_iter().flatten().map(|symbol| {
        let words = |list: &Value, key: &str, between: &str| {
            let words = list.as_array().into_iter().flatten();
            words
                .filter_map(|word| if key.is_empty() { word.as_str() } else { word[key].as_str() })
                .collect::<Vec<_>>()
                .join(between)
        };
        let place = words(&symbol["pathComponents"], "", ".");
        format!("{place}: {}", words(&symbol["declarationFragments"], "spelling", ""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_its_place_and_its_declaration() {
        let graph = serde_json::json!({"symbols": [{
            "pathComponents": ["SnapTrak", "lock()"],
            "declarationFragments": [{"spelling": "func"}, {"spelling": " "}, {"spelling": "lock"}, {"spelling": "() throws"}],
        }]});
        assert_eq!(declarations(&graph).collect::<Vec<_>>(), ["SnapTrak.lock(): func lock() throws"]);
    }
}
