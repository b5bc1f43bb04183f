//! Looks for a word in every file of a folder, in each form in which a program might have left it.

use crate::folder::everything;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A word that must not be found.
#[derive(Debug, Clone)]
pub struct Canary {
    name: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    /// A word; `name` says in a failure what it was.
    pub fn new(name: &str, word: &str) -> Self {
        Self::of_bytes(name, word.as_bytes()).with_utf16(word)
    }

    /// Bytes.
    pub fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![
            ("raw", bytes.to_vec()),
            ("hexadecimal", hex.clone().into_bytes()),
            ("hexadecimal, upper case", hex.to_uppercase().into_bytes()),
        ];
        // Base64 of a longer text that holds the word shows it in one of three alignments.
        for skipped in 0..3 {
            let padded = [&vec![0; skipped][..], bytes].concat();
            let whole = padded.len() / 3 * 3;
            let text = STANDARD_NO_PAD.encode(&padded[..whole]);
            // The first group holds foreign bytes unless the word begins it.
            let inner = if skipped == 0 { &text[..] } else { &text[4..] };
            forms.push(("base64", inner.as_bytes().to_vec()));
        }
        Self { name: name.to_owned(), forms }
    }

    fn with_utf16(mut self, word: &str) -> Self {
        self.forms.push(("UTF-16 LE", word.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        self.forms.push(("UTF-16 BE", word.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        self
    }
}

/// Where any of the words stands, in the bytes or in the name of anything under a path.
pub fn traces(path: &Path, canaries: &[Canary]) -> Vec<String> {
    everything(path).iter().flat_map(|found| traces_in(found, path, canaries)).collect()
}

fn traces_in(found: &Path, root: &Path, canaries: &[Canary]) -> Vec<String> {
    let inside: PathBuf = found.strip_prefix(root).unwrap_or(found).to_owned();
    let mut haystack = inside.to_string_lossy().into_owned().into_bytes();
    if found.is_file() {
        haystack.push(b'\n');
        haystack.extend(fs::read(found).unwrap());
    }
    let mut traces = Vec::new();
    for canary in canaries {
        for (form, needle) in canary.forms.iter().filter(|(_, needle)| holds(&haystack, needle)) {
            traces.push(format!("{} as {form} ({} bytes) in {}", canary.name, needle.len(), found.display()));
        }
    }
    traces
}

/// Compares only where the first byte fits: the folders hold tens of megabytes.
fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let ends = haystack.len().saturating_sub(needle.len() - 1);
    let mut from = 0;
    while let Some(offset) = haystack[from..ends.max(from)].iter().position(|byte| *byte == first) {
        let at = from + offset;
        if haystack[at..].starts_with(needle) {
            return true;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_found_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let word = "Rotkehlchen-4711";
        let canary = [Canary::new("word", word)];
        let utf16 = |to: fn(u16) -> [u8; 2]| word.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        let mut hidden: Vec<Vec<u8>> = vec![utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), word.into()];
        for before in ["", "a", "ab", "abc", "a longer beginning"] {
            hidden.push(STANDARD_NO_PAD.encode(format!("{before}{word} and more")).into_bytes());
        }
        hidden.push(word.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
        for (number, bytes) in hidden.iter().enumerate() {
            let file = folder.path().join(format!("{number}"));
            fs::write(&file, [b"RRRR", &bytes[..], b"after"].concat()).unwrap();
            assert!(!traces(&file, &canary).is_empty(), "form {number}");
        }
        let named = folder.path().join(word);
        fs::write(&named, "nothing").unwrap();
        assert_eq!(traces(folder.path(), &canary).len(), hidden.len() + 1);
        fs::write(&named, "nothing").unwrap();
        assert!(traces(folder.path(), &[Canary::new("other", "Zaunkoenig-0815")]).is_empty());
    }
}
