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
    /// Reads the whole file, a large one by two threads if it may have as many; refuses one that is too large before it takes any
    /// memory for it.
    pub(crate) fn read(path: &Path, threads: usize) -> Result<Self, String> {
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
        read_all(&mut file, &mut buffer[start..], threads).map_err(words)?;
        Ok(Self { buffer, start })
    }

    /// The file's content.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// From here on, half of a file is worth a thread of its own: it waits for the disk, or copies, as long as the other half.
const HALVES_FROM_BYTES: usize = 4 << 20;

/// Fills the buffer from the file's beginning.
fn read_all(file: &mut File, buffer: &mut [u8], threads: usize) -> io::Result<()> {
    #[cfg(unix)]
    if threads > 1
        && buffer.len() >= HALVES_FROM_BYTES
        && let Some(read) = read_halves(file, buffer)
    {
        return read;
    }
    file.read_exact(buffer)
}

/// `None` where the system gives no thread now.
#[cfg(unix)]
fn read_halves(file: &File, buffer: &mut [u8]) -> Option<io::Result<()>> {
    use std::{os::unix::fs::FileExt as _, thread};
    let middle = buffer.len() / 2;
    let (first, second) = buffer.split_at_mut(middle);
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || file.read_exact_at(first, 0)).ok()?;
        let here = file.read_exact_at(second, middle as u64);
        Some(here.and(other.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))))
    })
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
            let bytes = ModelBytes::read(&path, 1).unwrap();
            assert_eq!(bytes.as_slice(), content);
            assert_eq!(bytes.as_slice().as_ptr().align_offset(ALIGNMENT), 0);
        }
    }

    #[test]
    fn halves_meet_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        for length in [HALVES_FROM_BYTES - 1, HALVES_FROM_BYTES, HALVES_FROM_BYTES + 1] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            for threads in [1, 2] {
                assert!(ModelBytes::read(&path, threads).unwrap().as_slice() == content, "{length}, {threads}");
            }
        }
    }

    #[test]
    fn a_folder_a_missing_file_and_a_huge_one_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ModelBytes::read(folder.path(), 1).is_err());
        assert!(ModelBytes::read(&folder.path().join("nothing"), 1).is_err());
        let huge = folder.path().join("huge");
        // Holes take no room on the disk.
        File::create(&huge).unwrap().set_len(MODEL_BYTES_MAX + 1).unwrap();
        assert!(ModelBytes::read(&huge, 2).unwrap_err().contains("are the most"));
    }
}
