//! A file over 500 production lines is two ideas, unless it is a list.

use snaptrak_tidy::{files, has_extension, text};
use std::path::Path;

const LINES_MAX: usize = 500;

/// Lists: a table of codes, of routes, of rows; named one by one, with the reason.
const LISTS: &[(&str, &str)] = &[];

/// Lines up to the tests that stand at the end of a file.
fn production_lines(source: &str) -> usize {
    let end = source.find("\n#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    source[..end].lines().count()
}

fn is_production(file: &Path) -> bool {
    has_extension(file, "rs") && file.components().any(|part| part.as_os_str() == "src")
}

#[test]
fn no_file_holds_two_ideas() {
    let mut long = Vec::new();
    for file in files().iter().filter(|file| is_production(file)) {
        let lines = production_lines(&text(file).unwrap_or_default());
        let listed = LISTS.iter().any(|(name, _)| Path::new(name) == file);
        if lines > LINES_MAX && !listed {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn no_file_is_named_for_nothing() {
    for file in files().iter().filter(|file| has_extension(file, "rs")) {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        for word in ["utils", "util", "helpers", "helper", "common", "manager", "misc"] {
            assert_ne!(stem, word, "{}: a file is named for its noun or verb", file.display());
        }
    }
}
