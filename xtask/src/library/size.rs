//! What the library weighs, what takes the room, and that it does not grow unnoticed.
//!
//! Owns: the figure that later libraries are compared with (`bindings/ffi/size.json`) and the rule that the changelog states it,
//! so that a library cannot grow by more than a twentieth without a line for those who ship it.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::map::{self, Parts};
use super::{Check, link::Linked};
use crate::cache::repository;
use crate::error::{AtPath, Error, Result};
use crate::terminal;

/// What it should weigh, with everything but the inference engines, OpenSSL counted, on x86-64. Told beside the figure: it is not met
/// yet, and what must not happen meanwhile is growth.
const BYTES_TARGET: u64 = 8_500_000;

/// Growth that nobody has to explain, in hundredths.
const GROWTH_MAX_PERCENT: u64 = 5;

/// Rows of the report; what is smaller is one row.
const ROWS: usize = 18;

/// The accepted figure.
#[derive(Serialize, Deserialize)]
struct Accepted {
    bytes: u64,
    parts: Parts,
}

/// Tells what takes the room, and compares.
pub(super) fn check(linked: &Linked) -> Result<Check> {
    let measured = measure(linked)?;
    report(&measured);
    let accepted = accepted()?;
    let changelog = fs::read_to_string(repository().join("CHANGELOG.md")).at(&repository().join("CHANGELOG.md"))?;
    Ok(Check { name: "has not grown unnoticed", wrong: grown(measured.bytes, &accepted, &changelog) })
}

/// Makes today's figure the one that is compared with. Growth is accepted only once the changelog tells of it.
pub(super) fn accept(linked: &Linked) -> Result<()> {
    let measured = measure(linked)?;
    let text = serde_json::to_string_pretty(&measured)
        .map_err(|source| Error::Description { path: accepted_file(), source })?;
    fs::write(accepted_file(), text + "\n").at(&accepted_file())?;
    terminal::progress(&format!("accepted; CHANGELOG.md has to say: {}", sentence(measured.bytes)));
    Ok(())
}

fn measure(linked: &Linked) -> Result<Accepted> {
    let bytes = fs::metadata(&linked.stripped).at(&linked.stripped)?.len();
    let map = fs::read_to_string(&linked.map).at(&linked.map)?;
    Ok(Accepted { bytes, parts: map::parts(&map) })
}

fn accepted_file() -> PathBuf {
    repository().join("bindings/ffi/size.json")
}

fn accepted() -> Result<Accepted> {
    let file = accepted_file();
    let text = fs::read_to_string(&file).at(&file)?;
    serde_json::from_str(&text).map_err(|source| Error::Description { path: file, source })
}

fn grown(bytes: u64, accepted: &Accepted, changelog: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if bytes * 100 > accepted.bytes * (100 + GROWTH_MAX_PERCENT) {
        wrong.push(format!(
            "{bytes} bytes, {} were accepted: write why into CHANGELOG.md (`{}`), then `cargo xtask library --accept`",
            accepted.bytes,
            sentence(bytes)
        ));
    }
    if !changelog.contains(&sentence(accepted.bytes)) {
        wrong.push(format!("CHANGELOG.md does not say what was accepted: `{}`", sentence(accepted.bytes)));
    }
    wrong
}

/// What the changelog says of the size.
fn sentence(bytes: u64) -> String {
    format!("The native library takes {} MB", megabytes(bytes, 1))
}

fn megabytes(bytes: u64, digits: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size of some megabytes, rounded for a person")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.digits$}")
}

fn report(measured: &Accepted) {
    let row = |name: &str, bytes: u64| terminal::result(&format!("    {name:<28} {:>7} MB", megabytes(bytes, 3)));
    terminal::result(&format!(
        "native library, stripped: {} MB, target {} MB{}; of it:",
        megabytes(measured.bytes, 3),
        megabytes(BYTES_TARGET, 1),
        if measured.bytes > BYTES_TARGET { " !" } else { "" }
    ));
    let mut parts: Vec<(&String, &u64)> = measured.parts.iter().collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    let (large, small) = parts.split_at(parts.len().min(ROWS));
    large.iter().for_each(|(name, bytes)| row(name, **bytes));
    row(&format!("{} smaller parts", small.len()), small.iter().map(|(_, bytes)| **bytes).sum());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(bytes: u64) -> Accepted {
        Accepted { bytes, parts: Parts::new() }
    }

    #[test]
    fn growth_needs_a_line_in_the_changelog() {
        let says = "- The native library takes 6.0 MB.";
        assert!(grown(6_000_000, &accepted(6_000_000), says).is_empty());
        assert!(grown(6_300_000, &accepted(6_000_000), says).is_empty());
        assert_eq!(grown(6_300_001, &accepted(6_000_000), says).len(), 1);
        // Accepting a larger figure is not enough: the changelog still states the old one.
        assert_eq!(grown(6_400_000, &accepted(6_400_000), says).len(), 1);
    }
}
