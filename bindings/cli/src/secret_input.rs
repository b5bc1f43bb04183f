//! Passphrases and passwords: from a file that was named, or typed on the terminal. Never from the environment or the
//! command line itself, where other processes can read them.

use crate::{error::Error, output::Output, passphrase::PassphraseSource, prompt};
use snaptrak::Secret;
use std::{fs::File, io::Read, path::Path};
use zeroize::Zeroizing;

/// Bytes of a passphrase or password: a long sentence, and a wrongly named file is noticed.
const SECRET_BYTES_MAX: usize = 4096;

/// The secret in a file: its bytes without one trailing line end. `what` names it in messages.
pub(crate) fn from_file(path: &Path, what: &'static str, output: &Output) -> Result<Secret, Error> {
    let unreadable = |reason: &str| Error::Secret { message: format!("the {what} file {reason}") };
    let file = File::open(path).map_err(|source| unreadable(&format!("cannot be opened: {source}")))?;
    warn_of_readers(&file, what, output);
    // One byte more than allowed tells a longer file; reserved at once, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    file.take(SECRET_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(&format!("cannot be read: {source}")))?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(unreadable(&format!("is longer than {SECRET_BYTES_MAX} bytes")));
    }
    let secret = without_line_end(&bytes);
    if secret.is_empty() {
        return Err(unreadable("is empty"));
    }
    Ok(Secret::new(secret.to_vec()))
}

/// The secret that a person types; `None` where there is no terminal or the person ended the question.
pub(crate) fn typed(question: &str) -> Option<Secret> {
    prompt::hidden_line(question).filter(|secret| !secret.expose().is_empty())
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn warn_of_readers(file: &File, what: &str, output: &Output) {
    use std::os::unix::fs::PermissionsExt;
    // Pipes and devices have no rights worth warning of: `<(command)` is a good way to give a passphrase.
    let open_to_others = file.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o077 != 0);
    if open_to_others {
        output.warn(&format!("other people on this machine can read the {what} file; chmod 600 it"));
    }
}

/// A passphrase that was read from a file before the store is touched.
pub(crate) struct Known(pub(crate) Secret);

impl PassphraseSource for Known {
    fn passphrase(&self, _new: bool) -> Option<Secret> {
        Some(self.0.clone())
    }
}

/// A person at the terminal.
pub(crate) struct Person;

impl PassphraseSource for Person {
    fn passphrase(&self, new: bool) -> Option<Secret> {
        if !new {
            return typed("Passphrase: ");
        }
        let first = typed("New passphrase: ")?;
        let second = typed("The same again: ")?;
        if first == second {
            return Some(first);
        }
        prompt::remark("The two differ.");
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::output::Form;

    fn read(bytes: &[u8]) -> Result<Secret, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        from_file(file.path(), "passphrase", &Output::new(Form::Words, true))
    }

    #[test]
    fn one_line_end_is_not_part_of_it_and_blanks_are() {
        assert_eq!(read(b" a b \n").unwrap().expose(), b" a b ");
        assert_eq!(read(b"a\r\n").unwrap().expose(), b"a");
        assert_eq!(read(b"a\n\n").unwrap().expose(), b"a\n");
        assert_eq!(read(b"\xff").unwrap().expose(), b"\xff");
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for wrong in [&b""[..], b"\n", &[b'a'; SECRET_BYTES_MAX + 1]] {
            assert_eq!(read(wrong).unwrap_err().code(), "secret_unreadable");
        }
        let missing = from_file(Path::new("/nowhere/at/all"), "passphrase", &Output::new(Form::Words, true));
        assert_eq!(missing.unwrap_err().code(), "secret_unreadable");
    }
}
