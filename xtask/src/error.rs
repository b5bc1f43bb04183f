//! What can go wrong, said so that the person at the terminal knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// The result of everything here.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// One error for all commands: their caller is a person, who reads it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A committed or cached description does not parse.
    #[error("{}: {source}", path.display())]
    Description {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A program that was needed could not be started.
    #[error("could not start {program}: {source}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    /// A program ended with a failure; what it said is in `said`.
    #[error("{program} failed ({status})\n{said}")]
    Failed { program: String, status: String, said: String },
    /// A package's client could not bring the package.
    #[error(
        "{package} could not be fetched\n{said}\nnext: check the network connection, or run this once on a machine that has \
         one and copy its cache folder here (SNAPTRAK_CACHE names the folder)"
    )]
    Fetch { package: String, said: String },
    /// What came, or what was made, is not what is pinned.
    #[error("{what} is not what is pinned: sha256 {found}, pinned {pinned}")]
    Digest { what: String, found: String, pinned: String },
    /// One of the SDK's programs did not do what it had to.
    #[error(transparent)]
    Driver(#[from] snaptrak_driver::DriverError),
    /// The machine lacks something that this program cannot bring.
    #[error("{what}\nnext: {next}")]
    Missing { what: String, next: String },
}

/// Names the path in an error of the file system.
pub(crate) trait AtPath<T> {
    /// The same result, with the path in its error.
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::File { path: path.to_owned(), source })
    }
}
