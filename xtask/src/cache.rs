//! The cache folder: everything that is fetched or made from what is fetched, and nothing that is committed.
//!
//! Owns: where it lies (`SNAPTRAK_CACHE`, else `.cache` at the root of the repository), that a file appears in it whole or
//! not at all, and that two commands do not fill it at the same time. Refuses to know what the files are. Deleting the
//! folder loses nothing but the time to fetch again.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use tempfile::{NamedTempFile, TempDir};

use crate::error::{AtPath, Error, Result};
use crate::terminal;

/// One read while digesting: large enough that the system call does not count, small enough to stay in a cache.
const READ_BYTES: usize = 128 * 1024;

/// The root of the repository, where this program was built.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the repository").to_owned()
}

/// What a file must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin<'a> {
    pub(crate) bytes: u64,
    pub(crate) sha256: &'a str,
}

/// The cache folder.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// Held by the command that fills the cache; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Filling {
    _lock: File,
}

impl Cache {
    /// Opens the cache folder, making it when it is not there.
    pub(crate) fn open() -> Result<Self> {
        let folder = env::var_os("SNAPTRAK_CACHE").map_or_else(|| repository().join(".cache"), PathBuf::from);
        Self::at(folder)
    }

    fn at(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).at(&folder)?;
        Ok(Self { folder: fs::canonicalize(&folder).at(&folder)? })
    }

    /// The path of something in the cache, whether it is there or not.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Waits until no other command fills the cache.
    pub(crate) fn filling(&self) -> Result<Filling> {
        let path = self.path("lock");
        let lock = File::create(&path).at(&path)?;
        if lock.try_lock().is_err() {
            terminal::progress("waiting for another command that is filling the cache");
            lock.lock().at(&path)?;
        }
        Ok(Filling { _lock: lock })
    }

    /// A folder for work in progress, on the file system of the cache, gone when dropped.
    pub(crate) fn workspace(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("work-").tempdir_in(&self.folder).at(&self.folder)
    }

    /// Puts a finished file in its place: whole or not at all, readable by all, replacing what was there.
    pub(crate) fn place(&self, contents: &mut impl Read, target: &Path) -> Result<()> {
        let parent = target.parent().expect("a target lies in a folder of the cache");
        fs::create_dir_all(parent).at(parent)?;
        let mut file = NamedTempFile::new_in(&self.folder).at(&self.folder)?;
        io::copy(contents, &mut file).at(target)?;
        make_readable(file.as_file()).at(target)?;
        file.as_file().sync_all().at(target)?;
        file.persist(target).map_err(|error| error.error).at(target)?;
        Ok(())
    }
}

/// Whether the file is there and is what it must be.
pub(crate) fn is(path: &Path, pin: Pin<'_>) -> Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() == pin.bytes => Ok(sha256(path)? == pin.sha256),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}

/// Fails, naming both digests, when the file is not what it must be.
pub(crate) fn verify(path: &Path, what: &str, sha256_pinned: &str) -> Result<()> {
    let found = sha256(path)?;
    if found == sha256_pinned {
        return Ok(());
    }
    Err(Error::Digest { what: what.to_owned(), found, pinned: sha256_pinned.to_owned() })
}

/// The digest of a file, in lower-case hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).at(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).at(path)? {
            0 => return Ok(hexadecimal(context.finish().as_ref())),
            read => context.update(&buffer[..read]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Temporary files are private; what the cache offers is read by whoever runs the tests.
fn make_readable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ABC_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn cache() -> (TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        (folder, cache)
    }

    #[test]
    fn a_placed_file_is_there_whole_and_nothing_is_left_beside_it() {
        let (_folder, cache) = cache();
        let target = cache.path("models/a.bin");
        cache.place(&mut &b"abc"[..], &target).unwrap();
        assert!(is(&target, Pin { bytes: 3, sha256: ABC_SHA256 }).unwrap());
        assert_eq!(fs::read_dir(cache.path("")).unwrap().count(), 1);
        verify(&target, "a", ABC_SHA256).unwrap();
    }

    #[test]
    fn a_changed_a_shortened_and_a_missing_file_are_not_what_they_must_be() {
        let (_folder, cache) = cache();
        let target = cache.path("a.bin");
        let pin = Pin { bytes: 3, sha256: ABC_SHA256 };
        assert!(!is(&target, pin).unwrap());
        for wrong in [&b"abd"[..], b"ab"] {
            cache.place(&mut &wrong[..], &target).unwrap();
            assert!(!is(&target, pin).unwrap());
        }
        let words = verify(&target, "a", ABC_SHA256).unwrap_err().to_string();
        assert!(words.contains(ABC_SHA256), "{words}");
    }

    #[test]
    fn a_second_filler_waits_for_the_first() {
        let (_folder, cache) = cache();
        let first = cache.filling().unwrap();
        let other = File::open(cache.path("lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(first);
        other.try_lock().unwrap();
    }
}
