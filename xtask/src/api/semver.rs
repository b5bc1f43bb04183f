//! Whether the façade still keeps what its version promises to Rust programs.
//!
//! The promise is a listing with the version that made it, `core/sdk/api/promised.txt`. What is gone since, or has another
//! signature, and what a program has to name where it is new (a field of a struct that it may make, a case of an enum that it may
//! match) breaks programs; then the version has to leave the range that Cargo takes for compatible, and the promise is made anew.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use crate::cache::repository;
use crate::error::{AtPath, Error, Result};
use crate::terminal;

fn promise() -> PathBuf {
    repository().join("core/sdk/api/promised.txt")
}

/// Promises `listing` under this workspace's version.
pub(super) fn promise_anew(listing: &str) -> Result<()> {
    super::write(&promise(), &format!("{}\n{listing}", env!("CARGO_PKG_VERSION")))
}

/// Whether `listing` keeps the promise, or the version says that it does not; shows what does not.
pub(super) fn holds(listing: &str) -> Result<bool> {
    let file = promise();
    let promised = fs::read_to_string(&file).at(&file)?;
    let (version, promised) = promised.split_once('\n').unwrap_or((&promised, ""));
    let now = env!("CARGO_PKG_VERSION");
    let (Some(then), Some(range)) = (compatible_range(version), compatible_range(now)) else {
        return Err(Error::Missing {
            what: format!("{} does not begin with a version", file.display()),
            next: "`cargo xtask api --promise`".to_owned(),
        });
    };
    let broken = broken(promised, listing);
    if broken.is_empty() || then != range {
        return Ok(true);
    }
    broken.iter().for_each(|what| terminal::result(what));
    terminal::result(&format!(
        "{} changes break programs that were written for {version}, and {now} promises that none does: raise the version in \
         Cargo.toml, then `cargo xtask api --promise`",
        broken.len()
    ));
    Ok(false)
}

/// The part of a version that must be equal for Cargo to take another one in its place.
fn compatible_range(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    match (parts.next()??, parts.next()??, parts.next()??) {
        (0, 0, patch) => Some((0, 0, patch)),
        (0, minor, _) => Some((0, minor, 0)),
        (major, _, _) => Some((major, 0, 0)),
    }
}

fn broken(promised: &str, listing: &str) -> Vec<String> {
    let then: HashSet<&str> = promised.lines().collect();
    let now: HashSet<&str> = listing.lines().collect();
    let open: HashSet<&str> =
        then.iter().filter_map(|line| type_of(line.strip_prefix("#[non_exhaustive] ")?)).collect();
    let closed: HashSet<&str> = then.iter().filter_map(|line| type_of(line)).collect();
    let gone = promised.lines().filter(|line| !now.contains(line)).map(|line| format!("gone: {line}"));
    let new = listing
        .lines()
        .filter(|line| !then.contains(line))
        .filter(|line| part_of(line).is_some_and(|whole| closed.contains(whole) && !open.contains(whole)));
    gone.chain(new.map(|line| format!("has to be named: {line}"))).collect()
}

/// The path of the struct or enum that a line declares.
fn type_of(line: &str) -> Option<&str> {
    let declared = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    declared.split(['<', '(', ' ']).next()
}

/// The path of what a field or a case belongs to: their lines have no keyword, `pub a::Struct::field: u8`, `pub a::Enum::Case`.
fn part_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("pub ")?.split(": ").next()?.split('(').next()?;
    if name.contains(' ') {
        return None;
    }
    name.rsplit_once("::").map(|(whole, _)| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISED: &str = "pub fn a::f(n: u8) -> u8\npub struct a::S\npub a::S::x: u8\npub enum a::E\npub a::E::One\n\
                            #[non_exhaustive] pub struct a::Open\n#[non_exhaustive] pub enum a::Many\n";

    #[test]
    fn what_is_added_beside_breaks_nothing() {
        let more = "pub fn a::g()\npub struct a::T\npub a::T::x: u8\npub a::Open::y: u8\npub a::Many::Two(u8)\n\
                    pub fn a::S::method(&self)\npub a::E::One\n";
        assert_eq!(broken(PROMISED, &format!("{PROMISED}{more}")), Vec::<String>::new());
    }

    #[test]
    fn what_is_gone_changed_or_has_to_be_named_breaks() {
        let changed = PROMISED.replace("n: u8", "n: u16");
        assert_eq!(broken(PROMISED, &changed), ["gone: pub fn a::f(n: u8) -> u8"]);
        let named = format!("{PROMISED}pub a::S::y: core::option::Option<u8>\npub a::E::Two(u8)\n");
        assert_eq!(broken(PROMISED, &named).len(), 2);
    }

    #[test]
    fn a_version_is_compatible_as_cargo_takes_it() {
        assert_eq!(compatible_range("0.1.0"), compatible_range("0.1.9"));
        assert_ne!(compatible_range("0.1.0"), compatible_range("0.2.0"));
        assert_eq!(compatible_range("1.2.3"), compatible_range("1.9.0"));
        assert_ne!(compatible_range("0.0.1"), compatible_range("0.0.2"));
        assert_eq!(compatible_range("words"), None);
    }
}
