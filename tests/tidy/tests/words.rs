//! Words that may not be committed: hosts of registries, paths of a machine, and calls that have one room.

use snaptrak_tidy::{files, has_extension, text};
use std::path::Path;

/// Written in two halves, so that this file does not find itself.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("py", "pi.org", "packages are fetched by name with their ordinary client"),
    ("files.python", "hosted.org", "packages are fetched by name with their ordinary client"),
    ("registry.npm", "js.org", "packages are fetched by name with their ordinary client"),
    ("repo1.ma", "ven.org", "packages are fetched by name with their ordinary client"),
    ("repo.maven.ap", "ache.org", "packages are fetched by name with their ordinary client"),
    ("deb.deb", "ian.org", "packages are fetched by name with their ordinary client"),
    ("static.cr", "ates.io", "packages are fetched by name with their ordinary client"),
    ("index.cr", "ates.io", "packages are fetched by name with their ordinary client"),
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/home", "/", "a path of one machine"),
];

/// Cargo.lock names its registry by an address that cargo writes itself.
fn is_written_by_cargo(file: &Path) -> bool {
    file == Path::new("Cargo.lock")
}

#[test]
fn no_host_and_no_path_of_a_machine() {
    for file in files().iter().filter(|file| !is_written_by_cargo(file)) {
        let Some(source) = text(file) else { continue };
        for (first, second, why) in FORBIDDEN {
            let word = format!("{first}{second}");
            assert!(!source.contains(&word), "{} contains {word}: {why}", file.display());
        }
    }
}

/// The rooms of the programs' words: the reference server's, the bench's, xtask's. The command line writes to its handles.
const PRINTING: &[&str] = &[
    "tests/server/src/print.rs",
    "tests/bench/src/answer.rs",
    "tests/flips/src/main.rs",
    "xtask/src/terminal.rs",
    INSTRUMENTS,
];

/// A developer's instruments (one of them is what `cargo xtask models check` runs): they measure, and answer on their standard
/// output.
const INSTRUMENTS: &str = "core/inference/examples/";

/// Calls that have one room: (call, rooms, why).
const ROOMS: &[(&str, &[&str], &str)] = &[
    ("SystemTime::now", &["core/sdk/src/platform.rs", "tests/", "bindings/cli/", "xtask/"], "time is an argument"),
    (
        "Instant::now",
        &["core/sdk/src/platform.rs", "tests/", "bindings/cli/", "xtask/", INSTRUMENTS],
        "time is an argument",
    ),
    ("getrandom::fill", &["core/sdk/src/platform.rs", "tests/", "bindings/cli/"], "chance is an argument"),
    (
        "SystemRandom::new",
        &["core/seal/src/software_signer.rs", "core/cipher/src/", "tests/", "xtask/"],
        "chance is an argument",
    ),
    ("print!(", PRINTING, "printing has one room in each program"),
    ("println!(", PRINTING, "printing has one room in each program"),
    ("eprintln!(", PRINTING, "printing has one room in each program"),
    ("load_from_memory", &[], "decodes without a bound"),
    ("rusqlite::", &["core/store/", "tests/"], "SQL has one room"),
    ("set_var(", &["core/inference/src/ort_engine/"], "the environment is the process's"),
];

#[test]
fn calls_stay_in_their_rooms() {
    for file in files().iter().filter(|file| has_extension(file, "rs") && !file.starts_with("tests/tidy")) {
        let name = file.to_string_lossy();
        let source = text(file).unwrap_or_default();
        let shipped = source.split("\n#[cfg(test)]").next().unwrap_or_default();
        let is_test = name.contains("/tests/") || name.contains("/benches/") || name.contains("test_");
        for (call, rooms, why) in ROOMS {
            let at_home = is_test || rooms.iter().any(|room| name.starts_with(room));
            let code = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
            let called = code.into_iter().any(|line| line.contains(call));
            assert!(at_home || !called, "{name} calls {call}: {why}");
        }
    }
}
