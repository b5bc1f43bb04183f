//! The program under test, a store of its own, and the checks that hold for every answer.

use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A folder with a passphrase file and a place for a store; gone when dropped.
pub(crate) struct Place {
    folder: TempDir,
}

/// One run of the program.
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Place {
    /// Without a store.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        let passphrase = place.file("passphrase", format!("{PASSPHRASE}\n").as_bytes());
        fs::set_permissions(passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        place
    }

    /// With a store.
    pub(crate) fn with_store() -> Self {
        let place = Self::empty();
        assert_eq!(place.json(["init"]).0, 0);
        place
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes a file beside the store.
    pub(crate) fn file(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The program with this place's store and passphrase, and nothing of the caller's environment that it would read.
    pub(crate) fn program<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Command {
        let mut command = self.bare(words);
        command.env("SNAPTRAK_STORE", self.store()).env("SNAPTRAK_PASSPHRASE_FILE", self.path("passphrase"));
        command
    }

    /// The program without a store and a passphrase.
    pub(crate) fn bare<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snaptrak"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SNAPTRAK_") {
                command.env_remove(name);
            }
        }
        // No models and no inference library, whatever lies about on this machine.
        command.env("SNAPTRAK_CACHE", self.path("no-cache")).env("HOME", self.folder.path());
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Runs for a person.
    pub(crate) fn words<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> Ran {
        run(&mut self.program(words))
    }

    /// Runs for a script: standard output must be exactly one object with a schema.
    pub(crate) fn json<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, words: I) -> (i32, Value) {
        let words: Vec<OsString> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        one_object(run(self.program(words).arg("--json")))
    }

    /// Captures one file that must be captured; its entry.
    pub(crate) fn capture(&self, file: &Path) -> Value {
        let (exit, answer) = self.json([OsStr::new("capture"), file.as_os_str()]);
        assert_eq!(exit, 0, "{answer}");
        answer["captures"][0].clone()
    }
}

pub(crate) fn run(command: &mut Command) -> Ran {
    ran(command.output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), None, "killed by a signal");
    let exit = output.status.code().unwrap();
    let ran = Ran { exit, stdout: output.stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned() };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

/// The one object on standard output.
pub(crate) fn one_object(ran: Ran) -> (i32, Value) {
    let text = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}, standard error: {}", ran.stderr);
    let answer: Value = serde_json::from_str(&text).unwrap();
    let schema = answer["schema"].as_str().unwrap();
    assert!(schema.starts_with("snaptrak.") && schema.ends_with("/1"), "{schema}");
    if schema == "snaptrak.error/1" {
        assert_fields(&answer, &["code", "message", "next"]);
        assert_ne!(ran.exit, 0, "{answer}");
    }
    (ran.exit, answer)
}

/// Runs a command that must fail, for a script and for a person: the same exit code, the code in the object, words with a
/// next step on standard error.
pub(crate) fn assert_fails(mut command: impl FnMut() -> Command, exit: i32, code: &str) {
    let (found, answer) = one_object(run(command().arg("--json")));
    assert_eq!((found, answer["code"].as_str()), (exit, Some(code)), "{answer}");
    let for_a_person = run(&mut command());
    assert_eq!(for_a_person.exit, exit);
    assert!(for_a_person.stdout.is_empty());
    assert!(
        for_a_person.stderr.contains("error: ") && for_a_person.stderr.contains("\nnext: "),
        "{}",
        for_a_person.stderr
    );
}

/// The object has these fields, whatever else it has.
pub(crate) fn assert_fields(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "no field {field} in {object}");
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hyphenated UUID of version 7.
pub(crate) fn assert_id(value: &Value) -> String {
    let text = value.as_str().unwrap();
    assert_eq!((text.len(), &text[14..15], &text[8..9]), (36, "7", "-"), "{text}");
    text.to_owned()
}

/// A small JPEG, as a camera's thumbnail would be: enough of a header to be known as a photo.
pub(crate) fn jpeg() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10];
    bytes.extend_from_slice(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    bytes.extend_from_slice(&[0xff, 0xdb, 0x00, 0x43, 0x00]);
    bytes.extend(1..=64_u8);
    bytes
}
