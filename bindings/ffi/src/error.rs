//! The one error: what the app should do, and why as a word.

use snaptrak::{Cause, Error, ErrorCode};

/// What the app should do now. `code` is the precise cause, a word that stays the same across versions; `detail` is one sentence
/// for a developer, without contents of a capture.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Error)]
pub enum SnapTrakError {
    /// Ask the person to sign in, or an administrator to look at the organisation's keys.
    SignIn {
        /// The cause, for example `signed_out`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Ask the person to unlock.
    Unlock {
        /// The cause, for example `needs_user`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Ask the person to free space.
    FreeSpace {
        /// The cause: `storage_full`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Wait for a better network and call again.
    Network {
        /// The cause, for example `offline`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Ask the person to update the app.
    UpdateApp {
        /// The cause: `newer_version`, or `library_mismatch`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Close the other instance.
    InUse {
        /// The cause: `in_use`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Change the request: the same call would be refused again.
    Refused {
        /// The cause, for example `not_found`.
        code: String,
        /// For a developer.
        detail: String,
    },
    /// Report it: something is damaged or broken; nothing was deleted.
    Report {
        /// The cause, for example `damaged`.
        code: String,
        /// For a developer.
        detail: String,
    },
}

impl SnapTrakError {
    /// The error whose variant belongs to the code.
    pub(crate) fn new(code: ErrorCode, message: &str) -> Self {
        Error::new(code, message).into()
    }

    /// A defect.
    pub(crate) fn internal(message: &str) -> Self {
        Self::new(ErrorCode::Internal, message)
    }
}

impl From<Error> for SnapTrakError {
    fn from(error: Error) -> Self {
        let words = |cause: Cause| (cause.code.as_str().to_owned(), cause.message);
        match error {
            Error::SignIn(cause) => {
                let (code, detail) = words(cause);
                Self::SignIn { code, detail }
            }
            Error::Unlock(cause) => {
                let (code, detail) = words(cause);
                Self::Unlock { code, detail }
            }
            Error::FreeSpace(cause) => {
                let (code, detail) = words(cause);
                Self::FreeSpace { code, detail }
            }
            Error::Network(cause) => {
                let (code, detail) = words(cause);
                Self::Network { code, detail }
            }
            Error::UpdateApp(cause) => {
                let (code, detail) = words(cause);
                Self::UpdateApp { code, detail }
            }
            Error::InUse(cause) => {
                let (code, detail) = words(cause);
                Self::InUse { code, detail }
            }
            Error::Refused(cause) => {
                let (code, detail) = words(cause);
                Self::Refused { code, detail }
            }
            Error::Report(cause) => {
                let (code, detail) = words(cause);
                Self::Report { code, detail }
            }
        }
    }
}

impl std::fmt::Display for SnapTrakError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SignIn { code, detail }
            | Self::Unlock { code, detail }
            | Self::FreeSpace { code, detail }
            | Self::Network { code, detail }
            | Self::UpdateApp { code, detail }
            | Self::InUse { code, detail }
            | Self::Refused { code, detail }
            | Self::Report { code, detail } => write!(f, "{code}: {detail}"),
        }
    }
}

impl std::error::Error for SnapTrakError {}
