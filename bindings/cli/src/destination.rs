//! Files that a command writes for its caller: whole or not at all.
//!
//! A regular file is written beside its place and renamed into it, readable by its owner alone, since what leaves the store
//! here is plaintext or a key. What is there already and is no regular file (a pipe, `/dev/null`) is written into instead: it
//! must not be replaced by a file.

use crate::error::Error;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Writes `path` with what `fill` writes. If either fails, a file that was there before is still there.
pub(crate) fn write_whole<T>(
    path: &Path,
    what: &'static str,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |source| Error::write(what, source);
    if let Some(existing) = existing_special(path).map_err(failed)? {
        return fill_and_flush(existing, what, fill).map(|(value, _)| value);
    }
    // A link stays a link: the file that it names is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (folder, _name) = split(&target).ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidFilename)))?;
    let beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let file = beside.as_file().try_clone().map_err(failed)?;
    let (value, file) = fill_and_flush(file, what, fill)?;
    file.sync_all().map_err(failed)?;
    beside.persist(&target).map_err(|error| failed(error.error))?;
    Ok(value)
}

/// The thing at `path`, opened for writing, if it is there and is no regular file.
fn existing_special(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(facts) if facts.is_file() => Ok(None),
        Ok(_) => OpenOptions::new().write(true).open(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn split(path: &Path) -> Option<(PathBuf, &std::ffi::OsStr)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((folder.to_owned(), path.file_name()?))
}

fn fill_and_flush<T>(
    file: File,
    what: &'static str,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<(T, File), Error> {
    let mut watched = Watched { inner: BufWriter::new(file), failure: None };
    let filled = fill(&mut watched);
    let flushed = watched.flush();
    if let Some(source) = watched.failure {
        return Err(Error::write(what, source));
    }
    let value = filled?;
    flushed.map_err(|source| Error::write(what, source))?;
    let file = watched.inner.into_inner().map_err(|error| Error::write(what, error.into_error()))?;
    Ok((value, file))
}

/// Lets `fill` write to `writer` and tells a failure of the writer from one of the store, which reports both alike.
pub(crate) fn watched<T>(
    writer: impl Write,
    what: &'static str,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut watched = Watched { inner: writer, failure: None };
    let filled = fill(&mut watched);
    let flushed = watched.flush();
    if let Some(source) = watched.failure {
        return Err(Error::write(what, source));
    }
    flushed.map_err(|source| Error::write(what, source)).and(filled)
}

struct Watched<W> {
    inner: W,
    failure: Option<io::Error>,
}

impl<W> Watched<W> {
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.keep(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.keep(flushed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn put(bytes: &'static [u8]) -> impl FnOnce(&mut dyn Write) -> Result<(), Error> {
        move |writer| writer.write_all(bytes).map_err(|source| Error::write("it", source))
    }

    #[test]
    fn a_failure_leaves_what_was_there_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write_whole(&path, "it", put(b"first")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let failed = write_whole(&path, "it", |writer| -> Result<(), Error> {
            put(b"half")(writer)?;
            Err(Error::usage("no", "no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_replaced_by_one() {
        let full = write_whole(Path::new("/dev/full"), "it", put(b"x")).unwrap_err();
        assert_eq!(full.code(), "storage_full");
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_whole(folder.path(), "it", put(b"x")).unwrap_err().code(), "output_failed");
        let link = folder.path().join("link");
        fs::write(folder.path().join("real"), "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_whole(&link, "it", put(b"new")).unwrap();
        assert_eq!(fs::read(folder.path().join("real")).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
