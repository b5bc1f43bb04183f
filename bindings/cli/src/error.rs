//! Why a command failed: the façade's errors, and the few that only a command line can have.

use snaptrak::ErrorCode;
use std::io;

/// A failure of a command, with everything that a person or a script is told of it.
#[derive(Debug)]
pub(crate) enum Error {
    /// The SDK said so.
    Sdk(snaptrak::Error),
    /// The command line makes no sense.
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        next: String,
    },
    /// A passphrase or password cannot be had.
    Secret {
        /// What is wrong.
        message: String,
    },
    /// A file that was named on the command line cannot be read.
    Read {
        /// What was being read, as a noun.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A result cannot be written.
    Write {
        /// What was being written, as a noun.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever read our standard output has gone.
    ClosedPipe,
}

impl Error {
    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), next: next.into() }
    }

    /// A failed write; a reader that went away is its own case.
    pub(crate) fn write(what: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe { Self::ClosedPipe } else { Self::Write { what, source } }
    }

    /// The word in JSON.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Sdk(error) => error.code().as_str(),
            Self::Usage { .. } => "usage",
            Self::Secret { .. } => "secret_unreadable",
            Self::Read { .. } => "input_unreadable",
            Self::Write { source, .. } if is_full(source) => "storage_full",
            Self::Write { .. } => "output_failed",
            Self::ClosedPipe => "closed_pipe",
        }
    }

    /// What happened.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Sdk(error) => error.message().to_owned(),
            Self::Usage { message, .. } | Self::Secret { message } => message.clone(),
            Self::Read { what, source } => format!("{what} cannot be read: {source}"),
            Self::Write { what, source } => format!("{what} cannot be written: {source}"),
            Self::ClosedPipe => "nobody reads the output any more".to_owned(),
        }
    }

    /// What to do about it.
    pub(crate) fn next(&self) -> String {
        match self {
            // The façade speaks to an app that can show a dialogue; here it is an option of this command.
            Self::Sdk(error) if error.code() == ErrorCode::NeedsUser => {
                "give --passphrase-file FILE, or run this in a terminal to be asked".to_owned()
            }
            Self::Sdk(error) if error.code() == ErrorCode::NoStore => {
                "make one with `snaptrak init`, or check --store".to_owned()
            }
            // Here the folder was named, not chosen for a new store.
            Self::Sdk(error) if error.code() == ErrorCode::NotAStore => {
                "check the path; a store that lost its store.json comes back with `snaptrak recover`".to_owned()
            }
            Self::Sdk(error) if error.code() == ErrorCode::TlsFailed => {
                "give the server's root certificate with --trusted-root FILE, or check this machine's clock".to_owned()
            }
            Self::Sdk(error) => error.next().to_owned(),
            Self::Usage { next, .. } => next.clone(),
            Self::Secret { .. } => "give a readable file with one line of text".to_owned(),
            Self::Read { .. } => "check the path and its permissions".to_owned(),
            Self::Write { source, .. } if is_full(source) => "free space there, or write to another place".to_owned(),
            Self::Write { .. } => "check that its folder exists and can be written to".to_owned(),
            Self::ClosedPipe => "read the whole output".to_owned(),
        }
    }
}

/// Whether a disk or a quota has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl From<snaptrak::Error> for Error {
    fn from(error: snaptrak::Error) -> Self {
        Self::Sdk(error)
    }
}
