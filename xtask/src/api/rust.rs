//! The façade's listing, from rustdoc: its own items, and of the crates beneath it those that it hands on.
//!
//! rustdoc writes its description as JSON only when told that the form may change, which is told to it alone and not to the
//! compiler, or everything would be compiled again. The form belongs to the tool-chain that `rust-toolchain.toml` pins, and the
//! version of `public-api` to that form.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cache::repository;
use crate::error::{AtPath, Error, Result};
use crate::packages::target;
use crate::process;

/// The façade, and whose items it hands on.
const FACADE: &str = "snaptrak";
const BENEATH: [&str; 3] = ["snaptrak-domain", "snaptrak-store", "snaptrak-sync"];

const RUSTDOC: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";

/// Lists it.
pub(super) fn listing() -> Result<String> {
    let descriptions = describe()?;
    let description = |name: &str| descriptions.join(name.replace('-', "_")).with_extension("json");
    let handed_on = handed_on(&description(FACADE))?;
    let mut lines = items(&description(FACADE))?;
    for name in BENEATH {
        lines.extend(items(&description(name))?.into_iter().filter(|line| is_of(line, &handed_on)));
    }
    Ok(lines.join("\n") + "\n")
}

/// Lets rustdoc describe the crates; the folder of what it wrote.
fn describe() -> Result<PathBuf> {
    let folder = target().join("api");
    fs::create_dir_all(&folder).at(&folder)?;
    let rustdoc = folder.join("rustdoc");
    fs::write(&rustdoc, RUSTDOC).at(&rustdoc)?;
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).at(&rustdoc)?;
    let mut cargo = process::cargo();
    // The features of the whole workspace, as every other group has them.
    cargo.args(["doc", "--workspace", "--exclude", "snaptrak-bindgen", "--no-deps", "--locked"]);
    cargo.env("CARGO_INCREMENTAL", "0").env("RUSTDOC", &rustdoc);
    cargo.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json").current_dir(repository());
    process::run(&mut cargo)?;
    Ok(target().join("doc"))
}

fn items(description: &Path) -> Result<Vec<String>> {
    let listed =
        public_api::Builder::from_rustdoc_json(description).omit_blanket_impls(true).omit_auto_trait_impls(true);
    let api = listed.build().map_err(|error| Error::Failed {
        program: "public-api".to_owned(),
        status: description.display().to_string(),
        said: error.to_string(),
    })?;
    Ok(api.items().map(ToString::to_string).collect())
}

/// The paths of other crates' items that the façade exports.
fn handed_on(description: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(description).at(description)?;
    let described: Value =
        serde_json::from_str(&text).map_err(|source| Error::Description { path: description.to_owned(), source })?;
    let items = described["index"].as_object().into_iter().flat_map(|index| index.values());
    Ok(items.filter_map(|item| item["inner"]["use"]["source"].as_str()).map(str::to_owned).collect())
}

/// Whether the line tells of one of `paths`, or of what belongs to it.
fn is_of(line: &str, paths: &BTreeSet<String>) -> bool {
    let told = match (line.starts_with("impl"), line.rsplit_once(" for ")) {
        (true, Some((_, implementor))) => implementor,
        _ => line,
    };
    let Some(start) = told.find("snaptrak_") else { return false };
    let path: String = told[start..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
    // What a trait asks of its implementors stands behind a colon.
    let path = path.trim_end_matches(':');
    paths.iter().any(|one| path.strip_prefix(one).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_handed_on_is_listed() {
        let paths = BTreeSet::from(["snaptrak_domain::Kind".to_owned()]);
        for line in [
            "pub enum snaptrak_domain::Kind",
            "pub trait snaptrak_domain::Kind: core::marker::Send",
            "pub snaptrak_domain::Kind::Photo",
            "pub const fn snaptrak_domain::Kind::as_str(self) -> &'static str",
            "impl core::clone::Clone for snaptrak_domain::Kind",
        ] {
            assert!(is_of(line, &paths), "{line}");
        }
        for line in [
            "pub struct snaptrak_domain::KindOfPage",
            "pub fn snaptrak_domain::of(kind: snaptrak_domain::Kind)",
            "impl core::convert::From<snaptrak_domain::Kind> for snaptrak_domain::Other",
        ] {
            assert!(!is_of(line, &paths), "{line}");
        }
    }
}
