//! Exit codes: what a script branches on. One total table, so that a new error code does not compile until someone has
//! decided what scripts shall see.

use crate::error::{Error, is_full};
use snaptrak::ErrorCode;
use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// None of the others.
    Other = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Key or passphrase.
    Key = 3,
    /// No room.
    StorageFull = 4,
    /// Network, or not everything was brought over.
    Incomplete = 5,
    /// Something was parked.
    Parked = 6,
    /// Something is damaged.
    Damaged = 7,
    /// Another process has the store.
    InUse = 8,
    /// A newer version made the store.
    Newer = 9,
    /// The keyset is not there.
    KeysetMissing = 10,
    /// Ended by a signal between two captures; what shells report for SIGINT.
    Interrupted = 130,
    /// The reader of standard output went away; what shells report for SIGPIPE.
    ClosedPipe = 141,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How a failed command ends.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Sdk(error) => Self::of_code(error.code()),
            Error::Usage { .. } => Self::Usage,
            Error::Secret { .. } => Self::Key,
            Error::Write { source, .. } if is_full(source) => Self::StorageFull,
            Error::Read { .. } | Error::Write { .. } => Self::Other,
            Error::ClosedPipe => Self::ClosedPipe,
        }
    }

    /// The exit code of each error code of the SDK.
    pub(crate) fn of_code(code: ErrorCode) -> Self {
        use ErrorCode as C;
        match code {
            C::WrongKey | C::NeedsUser | C::NotYet | C::KeysLost => Self::Key,
            C::StorageFull => Self::StorageFull,
            C::Offline | C::TlsFailed | C::ServerFailed | C::TimedOut | C::NoToken | C::SealedMismatch => {
                Self::Incomplete
            }
            C::ServerLost => Self::Parked,
            C::Damaged => Self::Damaged,
            C::InUse => Self::InUse,
            C::NewerVersion => Self::Newer,
            C::KeysetMissing => Self::KeysetMissing,
            C::InvalidArgument => Self::Usage,
            C::Cancelled => Self::Interrupted,
            C::SignedOut
            | C::NotEnrolled
            | C::BadCredentials
            | C::EmailTaken
            | C::ServerRefused
            | C::TrustNotChained
            | C::TrustExpired
            | C::PlainHttpRefused
            | C::NoStore
            | C::NotAStore
            | C::NotEmpty
            | C::StoreExists
            | C::NotFound
            | C::Purged
            | C::EmptyFile
            | C::IsAFolder
            | C::IsAFifo
            | C::IsADevice
            | C::MissingPath
            | C::Unreadable
            | C::TooLarge
            | C::EngineMissing
            | C::ModelMissing
            | C::ModelDamaged
            | C::ModelsRefused
            | C::NotAPicture
            | C::Internal => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_five_answers_that_scripts_tell_apart_are_five_codes() {
        let codes = [
            ErrorCode::WrongKey,
            ErrorCode::Damaged,
            ErrorCode::NewerVersion,
            ErrorCode::KeysetMissing,
            ErrorCode::StorageFull,
        ];
        let exits: Vec<u8> = codes.iter().map(|code| Exit::of_code(*code) as u8).collect();
        assert_eq!(exits, [3, 7, 9, 10, 4]);
    }

    #[test]
    fn every_code_has_an_exit_code_and_only_what_parks_means_parked() {
        for code in ErrorCode::ALL {
            let exit = Exit::of_code(*code) as u8;
            assert!((1..=10).contains(&exit) || exit == 130, "{code:?}");
            // Fetching parks what the server lost; what sync and analyse park is in their answers, not in an error.
            assert_eq!(exit == Exit::Parked as u8, *code == ErrorCode::ServerLost, "{code:?}");
        }
    }

    #[test]
    fn a_full_disk_is_a_full_disk_wherever_it_is() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::write("the file", full);
        assert_eq!((Exit::of(&error), error.code()), (Exit::StorageFull, "storage_full"));
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Exit::of(&Error::write("standard output", gone)), Exit::ClosedPipe);
    }
}
