//! Where the data key comes from: a file, the environment, or a file made at the first start.
//!
//! The key is 64 lowercase hexadecimal digits. A folder whose key is missing is never given a new one: what it holds would
//! be lost behind a key that opens nothing.

use crate::at_rest::KEY_BYTES;
use crate::error::Error;
use crate::folder::{Folder, write_new_private};
use snaptrak_domain::{Random, Sha256Digest};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The variable that may hold the data key.
pub const DATA_KEY_VARIABLE: &str = "SNAPTRAK_SERVER_KEY";

/// Where to look for the data key.
#[derive(Clone, Default)]
pub enum DataKeySource {
    /// A file with 64 hexadecimal digits.
    File(PathBuf),
    /// The digits themselves, as they stood in the environment.
    Given(Zeroizing<String>),
    /// `data.key` in the server's folder, made at the first start.
    #[default]
    Folder,
}

impl std::fmt::Debug for DataKeySource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::File(_) => "DataKeySource::File",
            Self::Given(_) => "DataKeySource::Given(redacted)",
            Self::Folder => "DataKeySource::Folder",
        })
    }
}

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// The key of a folder that has been served before.
pub(crate) fn load(source: &DataKeySource, folder: &Folder) -> Result<Key, Error> {
    match source {
        DataKeySource::File(path) => read(path, "a file"),
        DataKeySource::Given(digits) => parse(digits, "the environment"),
        DataKeySource::Folder if folder.data_key().is_file() => read(&folder.data_key(), "the folder"),
        DataKeySource::Folder => Err(Error::MissingDataKey),
    }
}

/// The key of a folder; made if none is named and the folder is new.
pub(crate) fn load_or_make(source: &DataKeySource, folder: &Folder, random: &dyn Random) -> Result<Key, Error> {
    let path = folder.data_key();
    let make = matches!(source, DataKeySource::Folder) && !path.is_file() && !folder.database().is_file();
    if make {
        let mut key = Key::default();
        random.fill(key.as_mut_slice())?;
        let mut digits = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        for byte in key.iter() {
            write!(digits, "{byte:02x}").expect("writing to a string does not fail");
        }
        digits.push('\n');
        write_new_private(&path, digits.as_bytes())?;
        tracing::warn!("made a data key beside the data that it protects; give --data-key-file to keep them apart");
    }
    load(source, folder)
}

fn read(path: &Path, origin: &'static str) -> Result<Key, Error> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(Error::file("read", path))?;
    parse(&text, origin)
}

fn parse(digits: &str, origin: &'static str) -> Result<Key, Error> {
    let key: Sha256Digest = digits.trim_end().parse().map_err(|_| Error::MalformedDataKey { origin })?;
    Ok(Zeroizing::new(key.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::OsRandom;

    #[test]
    fn a_key_is_made_once_and_never_for_a_folder_with_data() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let (folder, _lock) = Folder::own(root.path()).expect("an empty place");
        let made = load_or_make(&DataKeySource::Folder, &folder, &OsRandom).expect("a new folder");
        assert_eq!(load_or_make(&DataKeySource::Folder, &folder, &OsRandom).expect("again"), made);
        std::fs::write(folder.database(), b"").expect("a database");
        std::fs::remove_file(folder.data_key()).expect("the key was there");
        assert!(matches!(load_or_make(&DataKeySource::Folder, &folder, &OsRandom), Err(Error::MissingDataKey)));
        assert!(!folder.data_key().exists());
    }

    #[test]
    fn anything_but_64_digits_is_refused() {
        for digits in ["", "00", &"0".repeat(63), &"G".repeat(64)] {
            assert!(matches!(parse(digits, "a file"), Err(Error::MalformedDataKey { .. })));
        }
        assert_eq!(parse(&format!("{}\n", "0a".repeat(32)), "a file").expect("a key"), Zeroizing::new([10; 32]));
    }
}
