//! A model's file in memory, where the libraries want it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Bytes of a model: above every model that a phone runs for pictures, and below what makes a phone end the app. The format
/// itself ends at 2 GiB.
const MODEL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// What processors load at once; weights that lie across such a border are slower.
const ALIGNMENT: usize = 64;

/// The bytes, which neither move nor change while a library reads them. A mapped file would: it can be cut short under us,
/// and that ends the process.
#[derive(Debug)]
pub(crate) struct ModelBytes {
    buffer: Vec<u8>,
    start: usize,
}

impl ModelBytes {
    /// Reads the whole file; refuses one that is too large before it takes any memory for it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let words = |error: io::Error| error.kind().to_string();
        let mut file = File::open(path).map_err(words)?;
        let metadata = file.metadata().map_err(words)?;
        if !metadata.is_file() {
            return Err("this is no file".to_owned());
        }
        if metadata.len() > MODEL_BYTES_MAX {
            return Err(format!("it has {} bytes, and {MODEL_BYTES_MAX} are the most", metadata.len()));
        }
        let length = usize::try_from(metadata.len()).map_err(|_| "it does not fit into the memory".to_owned())?;
        let mut buffer = vec![0; length + ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        buffer.truncate(start + length);
        file.read_exact(&mut buffer[start..]).map_err(words)?;
        Ok(Self { buffer, start })
    }

    /// The file's content.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_and_where_it_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        for length in [0, 1, 63, 64, 65, 10_000] {
            let content: Vec<u8> = (0..length).map(|index| index as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let bytes = ModelBytes::read(&path).unwrap();
            assert_eq!(bytes.as_slice(), content);
            assert_eq!(bytes.as_slice().as_ptr().align_offset(ALIGNMENT), 0);
        }
    }

    #[test]
    fn a_folder_a_missing_file_and_a_huge_one_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ModelBytes::read(folder.path()).is_err());
        assert!(ModelBytes::read(&folder.path().join("nothing")).is_err());
        let huge = folder.path().join("huge");
        // Holes take no room on the disk.
        File::create(&huge).unwrap().set_len(MODEL_BYTES_MAX + 1).unwrap();
        assert!(ModelBytes::read(&huge).unwrap_err().contains("are the most"));
    }
}
